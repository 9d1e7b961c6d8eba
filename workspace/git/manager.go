package git

import (
	"context"
	"os"
	"path/filepath"
	"strings"
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
	locks map[string]*lock // by real path of the repository's first work tree; those in use alone
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
		key = shared(real)
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

// shared is the folder that all work trees of a repository have in common, for the main one its own.
func shared(tree string) string {
	own := named(tree, ".git", "gitdir: ")
	if own == "" {
		return tree
	}
	common := named(own, "commondir", "")
	if common == "" {
		return tree // a submodule
	}
	return strings.TrimSuffix(common, "/.git")
}

// named is the path that a small file in dir holds behind a prefix, "" when there is none.
func named(dir, file, prefix string) string {
	file = filepath.Join(dir, file)
	if st, err := os.Lstat(file); err != nil || !st.Mode().IsRegular() || st.Size() > 4<<10 {
		return ""
	}
	text, _ := os.ReadFile(file)
	path, ok := strings.CutPrefix(strings.TrimSpace(string(text)), prefix)
	switch {
	case !ok || path == "":
		return ""
	case !filepath.IsAbs(path):
		path = filepath.Join(dir, path)
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	return path
}

func (m *Manager) abs(path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(m.processes.Dir(), path)
}
