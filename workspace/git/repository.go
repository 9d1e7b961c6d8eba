package git

import (
	"context"
	"strings"

	"github.com/sandlot-dev/sandlot/internal/fault"
)

// notOption refuses values that git would take for an option where "--" cannot stand before them.
func notOption(what, value string) error {
	if strings.HasPrefix(value, "-") {
		return fault.Codef(fault.NotFound, codeNoBranch, "%s %q begins with a dash, which no name of git's does", what, value)
	}
	return nil
}

// notBranch refuses names that no branch can have: git would take them for expressions, patterns or refspecs.
func notBranch(name string) error {
	if strings.ContainsAny(name, " ~^:?*[\\\n\x00") || strings.Contains(name, "@{") || strings.Contains(name, "..") ||
		strings.HasPrefix(name, "+") {
		return fault.Codef(fault.NotFound, codeNoBranch, "there is no branch %q: no branch can be called so", name)
	}
	return notOption("branch", name)
}

// checkFiles refuses what cannot be the name of a file.
func checkFiles(files []string) error {
	for _, f := range files {
		if f == "" || strings.Contains(f, "\x00") {
			return fault.Newf(fault.Invalid, "%q is no file name; use \".\" for all files", f)
		}
	}
	return nil
}

// Init makes a repository at path, parents included; an existing one stays as it is. branch "" is git's own default.
func (m *Manager) Init(ctx context.Context, path string, bare bool, branch string) error {
	if strings.HasPrefix(branch, "-") {
		return fault.Newf(fault.Invalid, "invalid initial branch name %q: it begins with a dash", branch)
	}
	return m.change(ctx, path, func(b backend) error { return b.init(ctx, path, bare, branch) })
}

// Status describes the work tree at path. Untracked folders are given as their files, ignored files are not listed.
func (m *Manager) Status(ctx context.Context, path string) (*Status, error) {
	return m.backend().status(ctx, path)
}

// Add stages files, "." for all, deletions included. No files is no error.
func (m *Manager) Add(ctx context.Context, path string, files []string) error {
	if err := checkFiles(files); err != nil {
		return err
	}
	if len(files) == 0 {
		_, err := m.Branches(ctx, path) // the repository must be there all the same
		return err
	}
	return m.change(ctx, path, func(b backend) error { return b.add(ctx, path, files) })
}

// CommitSpec is a commit of what is staged.
type CommitSpec struct {
	Path, Message, Author, Email string // all required
	AllowEmpty                   bool
}

// Commit commits the index, with the author as committer too, without hooks and signature. Errors: fault.Conflict when
// nothing is staged.
func (m *Manager) Commit(ctx context.Context, spec CommitSpec) (hash string, err error) {
	err = m.change(ctx, spec.Path, func(b backend) (err error) {
		hash, err = b.commit(ctx, spec)
		return err
	})
	return hash, err
}

// Branches are the local ones.
type Branches struct {
	Names   []string // short, sorted; never nil
	Current string   // also one without commits; "" when HEAD is detached
}

// Branches lists the local branches of the repository at path.
func (m *Manager) Branches(ctx context.Context, path string) (Branches, error) {
	return m.backend().branches(ctx, path)
}

// CreateBranch makes a branch at HEAD and checks it out. Error: GIT_BRANCH_EXISTS.
func (m *Manager) CreateBranch(ctx context.Context, path, name string) error {
	return m.change(ctx, path, func(b backend) error { return b.createBranch(ctx, path, name) })
}

// DeleteBranch removes a branch, merged or not. Errors: GIT_BRANCH_NOT_FOUND; fault.Conflict for the branch that is
// checked out.
func (m *Manager) DeleteBranch(ctx context.Context, path, name string) error {
	if err := notBranch(name); err != nil {
		return err
	}
	return m.change(ctx, path, func(b backend) error { return b.deleteBranch(ctx, path, name) })
}

// Checkout makes name the current branch: a local one, else one of origin, which a local one is made of, else any
// revision, detached. Local changes that do not conflict are carried over. Errors: GIT_BRANCH_NOT_FOUND,
// GIT_DIRTY_WORKTREE.
func (m *Manager) Checkout(ctx context.Context, path, name string) error {
	if err := notOption("branch", name); err != nil {
		return err
	}
	return m.change(ctx, path, func(b backend) error { return b.checkout(ctx, path, name) })
}

// History hands the commits that HEAD reaches to yield, newest first. Error: GIT_BRANCH_NOT_FOUND when there are none.
func (m *Manager) History(ctx context.Context, path string, yield func(Commit) error) error {
	return m.backend().history(ctx, path, yield)
}

// ResetSpec says what to reset.
type ResetSpec struct {
	Path   string
	Mode   string   // soft, mixed, hard, merge or keep; "" is mixed
	Target string   // revision; "" is HEAD
	Files  []string // limits a mixed reset to these; nil for all
}

// Reset moves the current branch to a revision, or the index entries of some files.
func (m *Manager) Reset(ctx context.Context, spec ResetSpec) error {
	if err := notOption("target", spec.Target); err != nil {
		return err
	}
	switch spec.Mode {
	case "", "mixed":
	case "soft", "hard", "merge", "keep":
		if len(spec.Files) > 0 {
			return fault.Newf(fault.Invalid,
				"mode %s resets the whole repository; leave files out, or use mode mixed", spec.Mode)
		}
	default:
		return fault.Newf(fault.Invalid, "mode %q is not one of soft, mixed, hard, merge, keep", spec.Mode)
	}
	if err := checkFiles(spec.Files); err != nil {
		return err
	}
	return m.change(ctx, spec.Path, func(b backend) error { return b.reset(ctx, spec) })
}

// RestoreSpec says what to restore.
type RestoreSpec struct {
	Path     string
	Files    []string // none is no error
	Staged   bool     // restore the index
	Worktree bool     // restore the work tree; also when neither is set
	Source   string   // revision; "" is the index, for the index HEAD
}

// Restore brings files back from the index or a revision.
func (m *Manager) Restore(ctx context.Context, spec RestoreSpec) error {
	if err := checkFiles(spec.Files); err != nil {
		return err
	}
	if len(spec.Files) == 0 {
		_, err := m.Branches(ctx, spec.Path)
		return err
	}
	return m.change(ctx, spec.Path, func(b backend) error { return b.restore(ctx, spec) })
}
