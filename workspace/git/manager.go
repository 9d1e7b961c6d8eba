package git

import (
	"context"
	"path/filepath"
	"sync"
	"time"

	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/process"
)

// Wire codes of git's errors.
const (
	codeAuth         = "GIT_AUTH_FAILED"
	codeNoRepo       = "GIT_REPO_NOT_FOUND"
	codeNoBranch     = "GIT_BRANCH_NOT_FOUND"
	codeBranchExists = "GIT_BRANCH_EXISTS"
	codePushRejected = "GIT_PUSH_REJECTED"
	codeDirty        = "GIT_DIRTY_WORKTREE"
	codeConflict     = "GIT_MERGE_CONFLICT"
	codeTransport    = "GIT_TRANSPORT_FAILED"
	codeRejected     = "GIT_REMOTE_REJECTED"
	codeNoFile       = "FILE_NOT_FOUND"
	codeNoAccess     = "FILE_ACCESS_DENIED"
	codeDiskFull     = "DISK_FULL"
)

// ErrNoGit is returned for what only the git program can do, where the image has none.
var ErrNoGit = fault.New(fault.Unavailable, "this needs the git program, which this sandbox's image has not; install the package git in it")

// Manager runs git for a sandbox. It is safe for concurrent use.
type Manager struct {
	processes *process.Manager
	patience  time.Duration // of a local change whose caller has left

	mu    sync.Mutex
	locks map[string]*lock // by real path of the repository; those in use alone
}

// New returns a Manager whose git runs under processes, with their folder and environment.
func New(processes *process.Manager) *Manager {
	return &Manager{processes: processes, patience: patience, locks: map[string]*lock{}}
}

type lock struct {
	held  chan struct{} // of one: full while somebody holds the lock
	users int           // holders and waiters
}

// lock waits until nobody else changes the repository at path, or ctx ends.
func (m *Manager) lock(ctx context.Context, path string) (unlock func(), err error) {
	key := m.abs(path)
	if real, err := filepath.EvalSymlinks(key); err == nil {
		key = real
	}
	m.mu.Lock()
	l := m.locks[key]
	if l == nil {
		l = &lock{held: make(chan struct{}, 1)}
		m.locks[key] = l
	}
	l.users++
	m.mu.Unlock()
	leave := func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		if l.users--; l.users == 0 {
			delete(m.locks, key)
		}
	}
	select {
	case l.held <- struct{}{}:
		return func() { <-l.held; leave() }, nil
	case <-ctx.Done():
		leave()
		return nil, context.Cause(ctx)
	}
}

func (m *Manager) abs(path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(m.processes.Dir(), path)
}
