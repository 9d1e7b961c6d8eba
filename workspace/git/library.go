package git

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
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
	"github.com/go-git/go-git/v5/plumbing/transport"
	"github.com/go-git/go-git/v5/plumbing/transport/http"

	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/process"
)

// library does the work where the image has no git program: slower, in this process's memory, and not all of it. What it cannot do
// is ErrNoGit. It asks no credential helpers, runs no hooks and speaks HTTP(S) and SSH alone.
type library struct{ m *Manager }

// library returns the stand-in for git when there is no program. One may be installed at any time, so each call looks.
func (m *Manager) library() (library, bool) {
	var search string
	for _, v := range m.processes.Environ() {
		if p, ok := strings.CutPrefix(v, "PATH="); ok {
			search = p
		}
	}
	_, err := process.LookPath("git", search, m.processes.Dir())
	return library{m}, err != nil
}

// alone lets the library change a repository, when there is no git program; ok is false when there is one.
func (m *Manager) alone(ctx context.Context, path string, do func(library) error) (ok bool, err error) {
	l, ok := m.library()
	if !ok {
		return false, nil
	}
	unlock, err := m.lock(ctx, path)
	if err != nil {
		return true, err
	}
	defer unlock()
	return true, do(l)
}

func (l library) open(path string) (*gogit.Repository, error) {
	dir := l.m.abs(path)
	if err := calmRepository(dir); err != nil {
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
	w.Filesystem = calm{w.Filesystem}
	return r, w, nil
}

// libraryErrors are the library's own, by class.
var libraryErrors = []struct {
	is   error
	kind fault.Kind
	code string
}{
	{gogit.ErrRepositoryNotExists, fault.NotFound, codeNoRepo},
	{transport.ErrRepositoryNotFound, fault.NotFound, codeNoRepo},
	{gogit.ErrRemoteNotFound, fault.NotFound, codeNoRepo},
	{gogit.ErrIsBareRepository, fault.Unprocessable, ""},
	{gogit.ErrRepositoryAlreadyExists, fault.Conflict, ""},
	{gogit.ErrRemoteExists, fault.Conflict, ""},
	{gogit.ErrEmptyCommit, fault.Conflict, ""},
	{transport.ErrAuthenticationRequired, fault.Unauthenticated, codeAuth},
	{transport.ErrAuthorizationFailed, fault.Forbidden, "FORBIDDEN"},
	{transport.ErrEmptyRemoteRepository, fault.NotFound, codeNoBranch},
	{plumbing.ErrReferenceNotFound, fault.NotFound, codeNoBranch},
	{plumbing.ErrObjectNotFound, fault.NotFound, codeNoBranch},
	{gogit.ErrNonFastForwardUpdate, fault.Conflict, codeConflict},
	{gogit.ErrForceNeeded, fault.Conflict, codePushRejected},
	{gogit.ErrUnstagedChanges, fault.Conflict, codeDirty},
	{gogit.ErrWorktreeNotClean, fault.Conflict, codeDirty},
	{gogit.ErrGlobNoMatches, fault.NotFound, codeNoFile},
	{plumbing.ErrInvalidReferenceName, fault.Invalid, ""},
	{fs.ErrNotExist, fault.NotFound, codeNoFile},
	{fs.ErrPermission, fault.Forbidden, codeNoAccess},
	{fs.ErrExist, fault.Conflict, ""},
	{syscall.EROFS, fault.Forbidden, codeNoAccess},
	{syscall.EBUSY, fault.Conflict, ""},
	{syscall.ENOTDIR, fault.Invalid, ""},
	{syscall.EISDIR, fault.Invalid, ""},
	{syscall.ELOOP, fault.Invalid, ""},
	{syscall.ENAMETOOLONG, fault.Invalid, ""},
	{syscall.ENOSPC, fault.Full, codeDiskFull},
	{syscall.EDQUOT, fault.Full, codeDiskFull},
}

// networkVerbs are those of calls that read from another server.
var networkVerbs = []string{"clone", "fetch", "push", "pull"}

// libraryError gives an error of the library its class.
func libraryError(verb string, err error) error {
	if err == nil || errors.Is(err, gogit.NoErrAlreadyUpToDate) || fault.KindOf(err) != fault.Unknown || errors.Is(err, context.Canceled) {
		if errors.Is(err, gogit.NoErrAlreadyUpToDate) {
			return nil
		}
		return err
	}
	text := "git " + verb + ": " + redact(err.Error(), Credentials{})
	var no syscall.Errno
	var network net.Error
	isNetwork := errors.As(err, &network)
	if _, isErrno := network.(syscall.Errno); isNetwork && !isErrno || errors.Is(err, io.ErrUnexpectedEOF) && slices.Contains(networkVerbs, verb) {
		return fault.Codef(fault.Upstream, codeTransport, "%s", text)
	}
	for _, e := range libraryErrors {
		if errors.Is(err, e.is) {
			return fault.Codef(e.kind, e.code, "%s", text)
		}
	}
	switch {
	case errors.As(err, &no):
		system := fault.System("git "+verb, err)
		return fault.Newf(fault.KindOf(system), "%s", redact(system.Error(), Credentials{}))
	case errors.Is(err, gogit.NoMatchingRefSpecError{}):
		return fault.Codef(fault.NotFound, codeNoBranch, "%s", text)
	case strings.Contains(text, "non-fast-forward"):
		return fault.Codef(fault.Conflict, codePushRejected, "%s", text)
	case strings.Contains(text, "unsupported scheme"):
		return fault.Codef(fault.Upstream, codeTransport, "%s", text)
	case strings.Contains(text, "SSH agent"):
		return fault.Codef(fault.Unauthenticated, codeAuth, "%s", text)
	case strings.Contains(text, "invalid path"): // the library takes no control characters in names
		return fault.Newf(fault.Unprocessable, "%s; install the package git", text)
	case strings.Contains(text, "command error on"): // the remote's own words about a reference
		return fault.Codef(fault.Unprocessable, codeRejected, "%s", text)
	}
	return fault.Newf(fault.Internal, "%s", text)
}

func auth(c Credentials) transport.AuthMethod {
	if !c.given() {
		return nil
	}
	return &http.BasicAuth{Username: c.Username, Password: c.Password}
}

func (l library) clone(ctx context.Context, spec CloneSpec, address, target string) error {
	if err := reachable(address); err != nil {
		return err
	}
	opts := &gogit.CloneOptions{
		URL: address, Auth: auth(spec.Credentials), Depth: spec.Depth, InsecureSkipTLS: spec.InsecureSkipTLS, NoCheckout: spec.CommitID != "",
	}
	if spec.Branch != "" {
		opts.ReferenceName, opts.SingleBranch = plumbing.NewBranchReferenceName(spec.Branch), spec.Depth > 0
	}
	if entries, err := os.ReadDir(target); err == nil && len(entries) > 0 || err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fault.Newf(fault.Conflict, "git clone: %s already exists and is not an empty directory", spec.Path)
	}
	r, err := gogit.PlainCloneContext(ctx, target, false, opts)
	if errors.Is(err, transport.ErrEmptyRemoteRepository) && spec.Branch == "" && spec.CommitID == "" {
		return l.cloneEmpty(address, target)
	}
	if err != nil || spec.CommitID == "" {
		return libraryError("clone", err)
	}
	hash, err := r.ResolveRevision(plumbing.Revision(spec.CommitID))
	if err != nil && len(spec.CommitID) == 40 {
		h := plumbing.NewHash(spec.CommitID)
		hash, err = &h, r.FetchContext(ctx, &gogit.FetchOptions{
			RefSpecs: []config.RefSpec{config.RefSpec(spec.CommitID + ":refs/sandlot/commit")}, Depth: spec.Depth, Auth: opts.Auth, InsecureSkipTLS: spec.InsecureSkipTLS,
		})
	}
	if err != nil {
		return noRevision("clone", spec.CommitID, err)
	}
	w, err := r.Worktree()
	if err == nil {
		err = w.Checkout(&gogit.CheckoutOptions{Hash: *hash})
	}
	return libraryError("clone", err)
}

// reachable is ErrNoGit for local paths, for which the library would run git.
func reachable(address string) error {
	if u, err := transport.NewEndpoint(address); err != nil || u.Protocol == "file" {
		return ErrNoGit
	}
	return nil
}

// reaches is reachable for a remote, by its name.
func reaches(r *gogit.Repository, remote string) error {
	c, err := r.Remote(remote)
	if err != nil {
		return libraryError("remote", err)
	}
	for _, address := range c.Config().URLs {
		if err := reachable(address); err != nil {
			return err
		}
	}
	return nil
}

// cloneEmpty makes what a clone of a repository without commits is.
func (l library) cloneEmpty(address, target string) error {
	const branch = "master" // the library does not tell the remote's
	if err := l.init(target, false, branch); err != nil {
		return err
	}
	r, err := l.open(target)
	if err == nil {
		_, err = r.CreateRemote(&config.RemoteConfig{Name: "origin", URLs: []string{address}})
	}
	if err == nil {
		err = r.CreateBranch(&config.Branch{Name: branch, Remote: "origin", Merge: plumbing.NewBranchReferenceName(branch)})
	}
	return libraryError("clone", err)
}

func (l library) init(path string, bare bool, branch string) error {
	opts := &gogit.PlainInitOptions{Bare: bare}
	if branch == "" {
		branch = "master" // as git without configuration
	}
	opts.DefaultBranch = plumbing.NewBranchReferenceName(branch)
	if err := opts.DefaultBranch.Validate(); err != nil {
		return libraryError("init", err)
	}
	_, err := gogit.PlainInitWithOptions(l.m.abs(path), opts)
	if errors.Is(err, gogit.ErrRepositoryAlreadyExists) {
		err = nil
	}
	return libraryError("init", err)
}

// head returns the branch that HEAD names, "" when detached.
func (l library) head(r *gogit.Repository) (string, error) {
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
	gogit.Unmodified: Unmodified, gogit.Untracked: Untracked, gogit.Modified: Modified, gogit.Added: Added, gogit.Deleted: Deleted,
	gogit.Renamed: Renamed, gogit.Copied: Copied, gogit.UpdatedButUnmerged: Unmerged,
}

func (l library) status(path string) (*Status, error) {
	r, w, err := l.tree(path)
	if err != nil {
		return nil, err
	}
	st := &Status{Files: []FileStatus{}}
	if st.Branch, err = l.head(r); err != nil {
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
		st.Ahead, st.Behind, err = divergence(r, plumbing.NewBranchReferenceName(st.Branch), plumbing.NewRemoteReferenceName(b.Remote, b.Merge.Short()))
	}
	return st, err
}

// divergence counts the commits that one reference has and the other has not, both ways; 0 when one of them is not there.
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

func (l library) add(path string, files []string) error {
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

func (l library) commit(spec CommitSpec) (string, error) {
	_, w, err := l.tree(spec.Path)
	if err != nil {
		return "", err
	}
	message := strings.TrimSpace(spec.Message)
	if message == "" {
		return "", fault.New(fault.Invalid, "git commit: the message is blank")
	}
	who := &object.Signature{Name: spec.Author, Email: spec.Email, When: time.Now()}
	hash, err := w.Commit(message+"\n", &gogit.CommitOptions{Author: who, Committer: who, AllowEmptyCommits: spec.AllowEmpty})
	if err != nil {
		return "", libraryError("commit", err)
	}
	return hash.String(), nil
}

func (l library) branches(path string) (Branches, error) {
	b := Branches{Names: []string{}}
	r, err := l.open(path)
	if err != nil {
		return b, err
	}
	refs, err := r.Branches()
	if err != nil {
		return b, libraryError("branches", err)
	}
	_ = refs.ForEach(func(ref *plumbing.Reference) error { b.Names = append(b.Names, ref.Name().Short()); return nil }) // nothing in it fails
	slices.Sort(b.Names)
	b.Current, err = l.head(r)
	return b, err
}

func (l library) createBranch(path, name string) error {
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

func (l library) deleteBranch(path, name string) error {
	r, err := l.open(path)
	if err != nil {
		return err
	}
	ref := plumbing.NewBranchReferenceName(name)
	if _, err := r.Reference(ref, false); err != nil {
		return libraryError("branch "+name, err)
	}
	if current, err := l.head(r); err != nil || current == name {
		return errors.Join(err, fault.Newf(fault.Conflict, "git branch: cannot delete %s, it is checked out", name))
	}
	_ = r.DeleteBranch(name) // its configuration, where there is any
	return libraryError("branch", r.Storer.RemoveReference(ref))
}

func (l library) checkout(path, name string) error {
	r, w, err := l.tree(path)
	if err != nil {
		return err
	}
	opts := &gogit.CheckoutOptions{Branch: plumbing.NewBranchReferenceName(name)}
	if _, err := r.Reference(opts.Branch, false); err != nil {
		if remote, rerr := r.Reference(plumbing.NewRemoteReferenceName("origin", name), true); rerr == nil {
			opts.Hash, opts.Create = remote.Hash(), true
			if err := r.CreateBranch(&config.Branch{Name: name, Remote: "origin", Merge: opts.Branch}); err != nil && !errors.Is(err, gogit.ErrBranchExists) {
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

// noRevision says that there is no such branch or revision, unless looking for it failed in another way.
func noRevision(verb, name string, err error) error {
	failed := libraryError(verb, err)
	no := syscall.Errno(0)
	switch kind := fault.KindOf(failed); {
	case kind == fault.Unknown, kind == fault.Upstream, kind == fault.Unauthenticated, kind == fault.Forbidden, errors.As(err, &no) && no != syscall.ENOENT:
		return failed
	}
	return fault.Codef(fault.NotFound, codeNoBranch, "git %s: there is no branch or revision %s", verb, name)
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
				Hash: c.Hash.String(), Author: c.Author.Name, Email: c.Author.Email, Message: c.Message, Time: c.Author.When.Format(time.RFC3339),
			})
		}
		return stopped
	})
	if stopped != nil {
		return stopped
	}
	return libraryError("log", err)
}

func (l library) push(ctx context.Context, spec TransferSpec, branch string) error {
	r, err := l.open(spec.Path)
	if err != nil {
		return err
	}
	ref := plumbing.NewBranchReferenceName(branch)
	if _, err := r.Reference(ref, false); err != nil {
		return libraryError("push "+branch, err)
	}
	if err := reaches(r, spec.Remote); err != nil {
		return err
	}
	err = r.PushContext(ctx, &gogit.PushOptions{
		RemoteName: spec.Remote, Auth: auth(spec.Credentials), RefSpecs: []config.RefSpec{config.RefSpec(ref + ":" + ref)},
	})
	if err = libraryError("push", err); err != nil || !spec.SetUpstream {
		return err
	}
	cfg, err := r.Config()
	if err != nil {
		return libraryError("push", err)
	}
	cfg.Branches[branch] = &config.Branch{Name: branch, Remote: spec.Remote, Merge: ref}
	return libraryError("push", r.SetConfig(cfg))
}

func (l library) pull(ctx context.Context, spec TransferSpec, asked string) error {
	r, w, err := l.tree(spec.Path)
	if err != nil {
		return err
	}
	branch := spec.Branch
	if branch == "" {
		if branch, err = l.head(r); err != nil {
			return err
		}
		cfg, err := r.Config()
		if err != nil {
			return libraryError("pull", err)
		}
		if b := cfg.Branches[branch]; b != nil && b.Merge != "" && (asked == "" || b.Remote == spec.Remote) {
			spec.Remote, branch = b.Remote, b.Merge.Short()
		}
	}
	if branch == "" {
		return fault.New(fault.Conflict, "git pull: HEAD is not on a branch; check one out first")
	}
	if err := reaches(r, spec.Remote); err != nil {
		return err
	}
	return libraryError("pull", w.PullContext(ctx, &gogit.PullOptions{
		RemoteName: spec.Remote, ReferenceName: plumbing.NewBranchReferenceName(branch), Auth: auth(spec.Credentials),
	}))
}

func (l library) reset(spec ResetSpec) error {
	modes := map[string]gogit.ResetMode{"": gogit.MixedReset, "mixed": gogit.MixedReset, "soft": gogit.SoftReset, "hard": gogit.HardReset, "merge": gogit.MergeReset}
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

func (l library) restore(spec RestoreSpec) error {
	if spec.Source != "" || !spec.Staged || slices.ContainsFunc(spec.Files, func(f string) bool { return path.Clean(f) == "." }) {
		return ErrNoGit // the library restores named files from HEAD alone
	}
	_, w, err := l.tree(spec.Path)
	if err != nil {
		return err
	}
	return libraryError("restore", w.Restore(&gogit.RestoreOptions{Staged: spec.Staged, Worktree: spec.Worktree, Files: spec.Files}))
}

func (l library) remotes(path string) ([]Remote, error) {
	r, err := l.open(path)
	if err != nil {
		return nil, err
	}
	all, err := r.Remotes()
	remotes := []Remote{}
	for _, one := range all {
		if c := one.Config(); len(c.URLs) > 0 {
			remotes = append(remotes, Remote{c.Name, c.URLs[0]})
		}
	}
	slices.SortFunc(remotes, func(a, b Remote) int { return strings.Compare(a.Name, b.Name) })
	return remotes, libraryError("remote", err)
}

func (l library) addRemote(ctx context.Context, path string, remote Remote, fetch, overwrite bool) error {
	r, err := l.open(path)
	if err != nil {
		return err
	}
	if plumbing.NewRemoteReferenceName(remote.Name, "x").Validate() != nil {
		return fault.Newf(fault.Invalid, "%q is not a valid remote name", remote.Name)
	}
	_, err = r.CreateRemote(&config.RemoteConfig{Name: remote.Name, URLs: []string{remote.URL}})
	added := err == nil
	if errors.Is(err, gogit.ErrRemoteExists) && overwrite {
		var cfg *config.Config
		if cfg, err = r.Config(); err == nil {
			cfg.Remotes[remote.Name].URLs = []string{remote.URL}
			err = r.SetConfig(cfg)
		}
	}
	if err != nil || !fetch {
		return libraryError("remote", err)
	}
	if err = reaches(r, remote.Name); err == nil {
		err = libraryError("fetch", r.FetchContext(ctx, &gogit.FetchOptions{RemoteName: remote.Name}))
	}
	if err != nil && added {
		_ = r.DeleteRemote(remote.Name) // the fetch's error is the one to tell
	}
	return err
}

// configFile is the file of a scope.
func (l library) configFile(scope, path string) (string, error) {
	switch scope {
	case "local":
		if _, err := l.open(path); err != nil {
			return "", err
		}
		for _, name := range []string{".git/config", "config"} {
			file := filepath.Join(l.m.abs(path), name)
			if _, err := os.Stat(file); err == nil {
				return file, nil
			}
		}
		return "", ErrNoGit // a linked work tree
	case "global":
		for _, v := range l.m.processes.Environ() {
			if home, ok := strings.CutPrefix(v, "HOME="); ok && home != "" {
				return filepath.Join(home, ".gitconfig"), nil
			}
		}
	}
	return "", ErrNoGit
}
