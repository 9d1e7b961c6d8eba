package git

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/sandlot-dev/sandlot/internal/fault"
)

// CloneSpec says what to clone to where.
type CloneSpec struct {
	URL, Path       string // required
	Branch          string // checked out; "" is the remote's default. The others are known too, unless Depth is given
	CommitID        string // checked out detached, fetched by itself where Depth left it out
	Depth           int    // commits; 0 is all
	InsecureSkipTLS bool   // for this call only
	Credentials
}

// Clone copies a repository. Path is made with its parents and may be an empty folder. A clone that fails leaves
// nothing behind. Errors: fault.Conflict for a path that holds something, GIT_REPO_NOT_FOUND, GIT_BRANCH_NOT_FOUND,
// GIT_AUTH_FAILED, GIT_TRANSPORT_FAILED.
func (m *Manager) Clone(ctx context.Context, spec CloneSpec) error {
	if spec.Depth < 0 {
		return fault.Newf(fault.Invalid, "depth %d is less than 0; 0 is everything", spec.Depth)
	}
	if err := errors.Join(notOption("commit", spec.CommitID), notBranch(spec.Branch)); err != nil {
		return err
	}
	spec.URL = complete(spec.URL)
	return m.change(ctx, spec.Path, func(b backend) error {
		remove := remover(absolute(m.processes, spec.Path))
		err := b.clone(ctx, spec)
		if err != nil {
			remove()
		}
		return err
	})
}

// remover is called before a clone and returns a function that removes the clone: target with those of its parents
// that do not exist yet, or the content of a target that is an empty folder now. A target that holds something is
// left alone.
func remover(target string) func() {
	entries, err := os.ReadDir(target)
	if err == nil && len(entries) > 0 || err != nil && !errors.Is(err, fs.ErrNotExist) {
		return func() {}
	}
	kept := err == nil // an empty folder stays
	first := target    // of the folders that are not there
	for parent := filepath.Dir(first); !kept && parent != first; parent = filepath.Dir(parent) {
		if _, err := os.Lstat(parent); err == nil {
			break
		}
		first = parent
	}
	return func() {
		if !kept {
			_ = os.RemoveAll(first)
			return
		}
		entries, _ := os.ReadDir(target)
		for _, e := range entries {
			_ = os.RemoveAll(filepath.Join(target, e.Name()))
		}
	}
}

var hostFirst = regexp.MustCompile(`^[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+(:[0-9]+)?/`)

// complete puts https:// before a URL without a scheme, such as github.com/a/b; local paths and host:path stay.
func complete(raw string) string {
	if strings.Contains(raw, "://") || !hostFirst.MatchString(raw) {
		return raw
	}
	if _, err := os.Lstat(raw); err == nil {
		return raw
	}
	return "https://" + raw
}

// TransferSpec says what to push or pull.
type TransferSpec struct {
	Path        string
	Remote      string // "" is origin
	Branch      string // push: "" is the current one; pull: "" is its upstream, else the same name at Remote
	SetUpstream bool   // push: record what was pushed to as upstream
	Credentials
}

func (s *TransferSpec) check() error {
	return errors.Join(notOption("remote", s.Remote), notBranch(s.Branch))
}

// Push sends a branch to the branch of the same name. Nothing is forced, no tags are sent; nothing to send is no error.
// Errors: GIT_PUSH_REJECTED, GIT_REMOTE_REJECTED, GIT_BRANCH_NOT_FOUND and those of the connection.
func (m *Manager) Push(ctx context.Context, spec TransferSpec) error {
	spec.Remote = cmp.Or(spec.Remote, "origin")
	if err := spec.check(); err != nil {
		return err
	}
	return m.change(ctx, spec.Path, func(b backend) (err error) {
		if spec.Branch == "" {
			if spec.Branch, err = b.head(ctx, spec.Path); err != nil {
				return err
			}
		}
		if spec.Branch == "" {
			return fault.New(fault.Conflict, "git push: HEAD is not on a branch; name one, or check one out")
		}
		return b.push(ctx, spec)
	})
}

// Pull brings the current branch up to its upstream by fast-forward alone. Errors: GIT_MERGE_CONFLICT when that is not
// possible, GIT_DIRTY_WORKTREE, GIT_BRANCH_NOT_FOUND and those of the connection.
func (m *Manager) Pull(ctx context.Context, spec TransferSpec) error {
	if err := spec.check(); err != nil {
		return err
	}
	return m.change(ctx, spec.Path, func(b backend) error { return b.pull(ctx, spec) })
}

// Remote is a remote repository's name and address.
type Remote struct{ Name, URL string }

// Remotes lists those of the repository at path, as they are configured.
func (m *Manager) Remotes(ctx context.Context, path string) ([]Remote, error) {
	return m.backend().remotes(ctx, path)
}

// AddRemote adds a remote. With overwrite an existing one gets the address instead of fault.Conflict; with fetch its
// branches are fetched at once, and a new remote that cannot be fetched from is not kept.
func (m *Manager) AddRemote(ctx context.Context, path string, remote Remote, fetch, overwrite bool) error {
	if strings.HasPrefix(remote.Name, "-") {
		return fault.Newf(fault.Invalid, "%q is not a valid remote name: it begins with a dash", remote.Name)
	}
	return m.change(ctx, path, func(b backend) error { return b.addRemote(ctx, path, remote, fetch, overwrite) })
}
