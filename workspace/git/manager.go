package git

import (
	"context"
	"path/filepath"
	"strings"

	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/internal/keyed"
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
var ErrNoGit = fault.New(fault.Unavailable,
	"this needs the git program, which this sandbox's image has not; install the package git in it")

// Manager works on the repositories of a sandbox. It checks what it is asked, makes changes of one repository wait for
// one another, and leaves the work to a backend. It is safe for concurrent use.
type Manager struct {
	processes *process.Manager
	program   program
	library   library
	locks     keyed.Locks // by repository
}

// New returns a Manager whose git runs under processes, with their folder and environment.
func New(processes *process.Manager) *Manager {
	return &Manager{
		processes: processes,
		program:   program{runner{processes, patience}},
		library:   library{processes},
	}
}

// backend returns the git program if there is one, and else the library. A program may be installed at any time, so
// each call looks for it.
func (m *Manager) backend() backend {
	if _, err := process.LookPath("git", variable(m.processes, "PATH"), m.processes.Dir()); err != nil {
		return m.library
	}
	return m.program
}

// change has a backend change the repository at path, after other changes of it.
func (m *Manager) change(ctx context.Context, path string, do func(backend) error) error {
	unlock, err := m.locks.Lock(ctx, repositoryKey(absolute(m.processes, path)))
	if err != nil {
		return err
	}
	defer unlock()
	return do(m.backend())
}

// absolute is path as processes see it: a relative one starts at their folder.
func absolute(processes *process.Manager, path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(processes.Dir(), path)
}

// variable is the value of a variable in the environment of processes, "" when it is not set.
func variable(processes *process.Manager, name string) (value string) {
	for _, v := range processes.Environ() {
		if is, ok := strings.CutPrefix(v, name+"="); ok {
			value = is
		}
	}
	return value
}
