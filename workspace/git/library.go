package git

import (
	"context"
	"errors"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	gogit "github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/config"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"

	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/process"
)

// library is the backend without a git program: slower, in this process's memory, and not all of it. What it cannot do
// is ErrNoGit. It asks no credential helpers, runs no hooks and speaks HTTP(S) and SSH alone.
type library struct{ processes *process.Manager }

func (l library) open(path string) (*gogit.Repository, error) {
	dir := absolute(l.processes, path)
	if err := checkOrdinary(dir); err != nil {
		return nil, err
	}
	r, err := gogit.PlainOpen(dir)
	if errors.Is(err, syscall.ENOTDIR) {
		err = gogit.ErrRepositoryNotExists
	}
	return r, libraryError("open", err)
}

// tree opens a repository that has a work tree.
func (l library) tree(path string) (*gogit.Repository, *gogit.Worktree, error) {
	r, err := l.open(path)
	if err != nil {
		return nil, nil, err
	}
	w, err := r.Worktree()
	if err != nil {
		return nil, nil, libraryError("open", err)
	}
	w.Filesystem = ordinaryFiles{w.Filesystem}
	return r, w, nil
}

func (l library) init(_ context.Context, path string, bare bool, branch string) error {
	opts := &gogit.PlainInitOptions{Bare: bare}
	if branch == "" {
		branch = "master" // as git without configuration
	}
	opts.DefaultBranch = plumbing.NewBranchReferenceName(branch)
	if err := opts.DefaultBranch.Validate(); err != nil {
		return libraryError("init", err)
	}
	_, err := gogit.PlainInitWithOptions(absolute(l.processes, path), opts)
	if errors.Is(err, gogit.ErrRepositoryAlreadyExists) {
		err = nil
	}
	return libraryError("init", err)
}

func (l library) head(_ context.Context, path string) (string, error) {
	r, err := l.open(path)
	if err != nil {
		return "", err
	}
	return headOf(r)
}

// headOf returns the branch that HEAD names, "" when detached.
func headOf(r *gogit.Repository) (string, error) {
	ref, err := r.Reference(plumbing.HEAD, false)
	if err != nil {
		return "", libraryError("head", err)
	}
	if ref.Type() == plumbing.HashReference {
		return "", nil
	}
	return ref.Target().Short(), nil
}

var libraryChanges = map[gogit.StatusCode]Change{
	gogit.Unmodified: Unmodified, gogit.Untracked: Untracked, gogit.Modified: Modified, gogit.Added: Added,
	gogit.Deleted: Deleted, gogit.Renamed: Renamed, gogit.Copied: Copied, gogit.UpdatedButUnmerged: Unmerged,
}

func (l library) status(_ context.Context, path string) (*Status, error) {
	r, w, err := l.tree(path)
	if err != nil {
		return nil, err
	}
	st := &Status{Files: []FileStatus{}}
	if st.Branch, err = headOf(r); err != nil {
		return nil, err
	}
	changed, err := w.Status()
	if err != nil {
		return nil, libraryError("status", err)
	}
	for name, f := range changed {
		s := FileStatus{Name: name, Old: f.Extra, Staging: libraryChanges[f.Staging], Worktree: libraryChanges[f.Worktree]}
		if s.Staging != Unmodified || s.Worktree != Unmodified {
			st.Files = append(st.Files, s)
		}
	}
	slices.SortFunc(st.Files, func(a, b FileStatus) int { return strings.Compare(a.Name, b.Name) })
	if st.Branch == "" {
		st.Branch, st.Detached = "HEAD", true
		return st, nil
	}
	cfg, err := r.Config()
	if err != nil {
		return nil, libraryError("status", err)
	}
	if b := cfg.Branches[st.Branch]; b != nil && b.Remote != "" && b.Merge != "" {
		st.Upstream = b.Remote + "/" + b.Merge.Short()
		st.Ahead, st.Behind, err = divergence(r,
			plumbing.NewBranchReferenceName(st.Branch), plumbing.NewRemoteReferenceName(b.Remote, b.Merge.Short()))
	}
	return st, err
}

// divergence counts the commits that one reference has and the other has not, both ways. Both are 0 if a reference is
// missing.
func divergence(r *gogit.Repository, ours, theirs plumbing.ReferenceName) (ahead, behind int, err error) {
	a, aerr := r.Reference(ours, true)
	b, berr := r.Reference(theirs, true)
	if aerr != nil || berr != nil || a.Hash() == b.Hash() {
		return 0, 0, nil
	}
	in := map[plumbing.Hash]bool{}
	walk := func(from plumbing.Hash, each func(plumbing.Hash)) error {
		commits, err := r.Log(&gogit.LogOptions{From: from})
		if err != nil {
			return libraryError("status", err)
		}
		return libraryError("status", commits.ForEach(func(c *object.Commit) error { each(c.Hash); return nil }))
	}
	if err := walk(a.Hash(), func(h plumbing.Hash) { in[h] = true }); err != nil {
		return 0, 0, err
	}
	both := 0
	err = walk(b.Hash(), func(h plumbing.Hash) {
		if in[h] {
			both++
		} else {
			behind++
		}
	})
	return len(in) - both, behind, err
}

func (l library) add(_ context.Context, path string, files []string) error {
	_, w, err := l.tree(path)
	if err != nil {
		return err
	}
	for _, f := range files {
		opts := &gogit.AddOptions{Path: f}
		if filepath.Clean(f) == "." {
			opts = &gogit.AddOptions{All: true}
		}
		if err := w.AddWithOptions(opts); err != nil {
			if strings.Contains(err.Error(), "entry not found") { // neither a file nor known to the index
				return fault.Codef(fault.NotFound, codeNoFile, "git add: %s did not match any files", f)
			}
			return libraryError("add", err)
		}
	}
	return nil
}

func (l library) commit(_ context.Context, spec CommitSpec) (string, error) {
	_, w, err := l.tree(spec.Path)
	if err != nil {
		return "", err
	}
	message := strings.TrimSpace(spec.Message)
	if message == "" {
		return "", fault.New(fault.Invalid, "git commit: the message is blank")
	}
	who := &object.Signature{Name: spec.Author, Email: spec.Email, When: time.Now()}
	hash, err := w.Commit(message+"\n", &gogit.CommitOptions{
		Author: who, Committer: who, AllowEmptyCommits: spec.AllowEmpty,
	})
	if err != nil {
		return "", libraryError("commit", err)
	}
	return hash.String(), nil
}

func (l library) branches(_ context.Context, path string) (Branches, error) {
	b := Branches{Names: []string{}}
	r, err := l.open(path)
	if err != nil {
		return b, err
	}
	refs, err := r.Branches()
	if err != nil {
		return b, libraryError("branches", err)
	}
	_ = refs.ForEach(func(ref *plumbing.Reference) error { // nothing in it fails
		b.Names = append(b.Names, ref.Name().Short())
		return nil
	})
	slices.Sort(b.Names)
	b.Current, err = headOf(r)
	return b, err
}

func (l library) createBranch(_ context.Context, path, name string) error {
	r, w, err := l.tree(path)
	if err != nil {
		return err
	}
	ref := plumbing.NewBranchReferenceName(name)
	if err := ref.Validate(); err != nil || strings.HasPrefix(name, "-") {
		return fault.Newf(fault.Invalid, "git branch: %q is not a valid branch name", name)
	}
	if _, err := r.Reference(ref, false); err == nil {
		return fault.Codef(fault.Conflict, codeBranchExists, "git branch: a branch named %s already exists", name)
	}
	if _, err := r.Head(); err != nil { // no commits
		return libraryError("branch", r.Storer.SetReference(plumbing.NewSymbolicReference(plumbing.HEAD, ref)))
	}
	return libraryError("branch", w.Checkout(&gogit.CheckoutOptions{Branch: ref, Create: true, Keep: true}))
}

func (l library) deleteBranch(_ context.Context, path, name string) error {
	r, err := l.open(path)
	if err != nil {
		return err
	}
	ref := plumbing.NewBranchReferenceName(name)
	if _, err := r.Reference(ref, false); err != nil {
		return libraryError("branch "+name, err)
	}
	if current, err := headOf(r); err != nil || current == name {
		return errors.Join(err, fault.Newf(fault.Conflict, "git branch: cannot delete %s, it is checked out", name))
	}
	_ = r.DeleteBranch(name) // its configuration, where there is any
	return libraryError("branch", r.Storer.RemoveReference(ref))
}

func (l library) checkout(_ context.Context, path, name string) error {
	r, w, err := l.tree(path)
	if err != nil {
		return err
	}
	opts := &gogit.CheckoutOptions{Branch: plumbing.NewBranchReferenceName(name)}
	if _, err := r.Reference(opts.Branch, false); err != nil {
		if remote, rerr := r.Reference(plumbing.NewRemoteReferenceName("origin", name), true); rerr == nil {
			opts.Hash, opts.Create = remote.Hash(), true
			err := r.CreateBranch(&config.Branch{Name: name, Remote: "origin", Merge: opts.Branch})
			if err != nil && !errors.Is(err, gogit.ErrBranchExists) {
				return libraryError("checkout", err)
			}
		} else if hash, herr := commitOf(r, name); herr == nil {
			opts = &gogit.CheckoutOptions{Hash: hash}
		} else {
			return noRevision("checkout", name, herr)
		}
	}
	return libraryError("checkout", w.Checkout(opts))
}

// commitOf is the commit that a revision names: trees and files are none.
func commitOf(r *gogit.Repository, revision string) (plumbing.Hash, error) {
	if strings.Contains(revision, ":") { // a path in a commit, which the library would take for the commit
		return plumbing.ZeroHash, plumbing.ErrReferenceNotFound
	}
	hash, err := r.ResolveRevision(plumbing.Revision(revision))
	if err != nil {
		return plumbing.ZeroHash, err
	}
	_, err = r.CommitObject(*hash)
	return *hash, err
}

func (l library) history(ctx context.Context, path string, yield func(Commit) error) error {
	r, err := l.open(path)
	if err != nil {
		return err
	}
	commits, err := r.Log(&gogit.LogOptions{Order: gogit.LogOrderCommitterTime})
	if err != nil {
		return libraryError("log", err)
	}
	var stopped error
	err = commits.ForEach(func(c *object.Commit) error {
		if stopped = ctx.Err(); stopped == nil {
			stopped = yield(Commit{
				Hash: c.Hash.String(), Author: c.Author.Name, Email: c.Author.Email, Message: c.Message,
				Time: c.Author.When.Format(time.RFC3339),
			})
		}
		return stopped
	})
	if stopped != nil {
		return stopped
	}
	return libraryError("log", err)
}

func (l library) reset(_ context.Context, spec ResetSpec) error {
	modes := map[string]gogit.ResetMode{
		"": gogit.MixedReset, "mixed": gogit.MixedReset, "soft": gogit.SoftReset, "hard": gogit.HardReset,
		"merge": gogit.MergeReset,
	}
	mode, ok := modes[spec.Mode]
	if !ok {
		return ErrNoGit
	}
	r, w, err := l.tree(spec.Path)
	if err != nil {
		return err
	}
	opts := &gogit.ResetOptions{Mode: mode, Files: spec.Files}
	if spec.Target != "" {
		hash, err := commitOf(r, spec.Target)
		if err != nil {
			return noRevision("reset", spec.Target, err)
		}
		opts.Commit = hash
	}
	return libraryError("reset", w.Reset(opts))
}

func (l library) restore(_ context.Context, spec RestoreSpec) error {
	isAll := func(f string) bool { return path.Clean(f) == "." }
	if spec.Source != "" || !spec.Staged || slices.ContainsFunc(spec.Files, isAll) {
		return ErrNoGit // the library restores named files from HEAD alone
	}
	_, w, err := l.tree(spec.Path)
	if err != nil {
		return err
	}
	return libraryError("restore", w.Restore(&gogit.RestoreOptions{
		Staged: spec.Staged, Worktree: spec.Worktree, Files: spec.Files,
	}))
}
