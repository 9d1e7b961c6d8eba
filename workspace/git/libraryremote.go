package git

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"

	gogit "github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/config"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/transport"
	"github.com/go-git/go-git/v5/plumbing/transport/http"

	"github.com/sandlot-dev/sandlot/internal/fault"
)

func auth(c Credentials) transport.AuthMethod {
	if !c.given() {
		return nil
	}
	return &http.BasicAuth{Username: c.Username, Password: c.Password}
}

func (l library) clone(ctx context.Context, spec CloneSpec) error {
	if err := reachable(spec.URL); err != nil {
		return err
	}
	opts := &gogit.CloneOptions{
		URL: spec.URL, Auth: auth(spec.Credentials), Depth: spec.Depth, InsecureSkipTLS: spec.InsecureSkipTLS,
		NoCheckout: spec.CommitID != "",
	}
	if spec.Branch != "" {
		opts.ReferenceName, opts.SingleBranch = plumbing.NewBranchReferenceName(spec.Branch), spec.Depth > 0
	}
	target := absolute(l.processes, spec.Path)
	entries, err := os.ReadDir(target)
	if err == nil && len(entries) > 0 || err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fault.Newf(fault.Conflict, "git clone: %s already exists and is not an empty directory", spec.Path)
	}
	r, err := gogit.PlainCloneContext(ctx, target, false, opts)
	if errors.Is(err, transport.ErrEmptyRemoteRepository) && spec.Branch == "" && spec.CommitID == "" {
		return l.cloneEmpty(ctx, spec)
	}
	if err != nil || spec.CommitID == "" {
		return libraryError("clone", err)
	}
	hash, err := r.ResolveRevision(plumbing.Revision(spec.CommitID))
	if err != nil && len(spec.CommitID) == 40 {
		h := plumbing.NewHash(spec.CommitID)
		hash, err = &h, r.FetchContext(ctx, &gogit.FetchOptions{
			RefSpecs: []config.RefSpec{config.RefSpec(spec.CommitID + ":refs/sandlot/commit")}, Depth: spec.Depth,
			Auth: opts.Auth, InsecureSkipTLS: spec.InsecureSkipTLS,
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

// reachable returns ErrNoGit for local paths, for which the library would run git.
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
func (l library) cloneEmpty(ctx context.Context, spec CloneSpec) error {
	const branch = "master" // the library does not tell the remote's
	if err := l.init(ctx, spec.Path, false, branch); err != nil {
		return err
	}
	r, err := l.open(spec.Path)
	if err == nil {
		_, err = r.CreateRemote(&config.RemoteConfig{Name: "origin", URLs: []string{spec.URL}})
	}
	if err == nil {
		err = r.CreateBranch(&config.Branch{Name: branch, Remote: "origin", Merge: plumbing.NewBranchReferenceName(branch)})
	}
	return libraryError("clone", err)
}

func (l library) push(ctx context.Context, spec TransferSpec) error {
	r, err := l.open(spec.Path)
	if err != nil {
		return err
	}
	ref := plumbing.NewBranchReferenceName(spec.Branch)
	if _, err := r.Reference(ref, false); err != nil {
		return libraryError("push "+spec.Branch, err)
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
	cfg.Branches[spec.Branch] = &config.Branch{Name: spec.Branch, Remote: spec.Remote, Merge: ref}
	return libraryError("push", r.SetConfig(cfg))
}

func (l library) pull(ctx context.Context, spec TransferSpec) error {
	asked := spec.Remote
	spec.Remote = cmp.Or(asked, "origin")
	r, w, err := l.tree(spec.Path)
	if err != nil {
		return err
	}
	branch := spec.Branch
	if branch == "" {
		if branch, err = headOf(r); err != nil {
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

func (l library) remotes(_ context.Context, path string) ([]Remote, error) {
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
		_ = r.DeleteRemote(remote.Name) // the fetch's error is returned
	}
	return err
}
