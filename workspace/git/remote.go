package git

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
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

// Clone copies a repository. Path is made with its parents and may be an empty folder. A clone that fails leaves nothing behind.
// Errors: fault.Conflict for a path that holds something, GIT_REPO_NOT_FOUND, GIT_BRANCH_NOT_FOUND, GIT_AUTH_FAILED, GIT_TRANSPORT_FAILED.
func (m *Manager) Clone(ctx context.Context, spec CloneSpec) error {
	if spec.Depth < 0 {
		return fault.Newf(fault.Invalid, "depth %d is less than 0; 0 is everything", spec.Depth)
	}
	if err := errors.Join(notOption("commit", spec.CommitID), notBranch(spec.Branch)); err != nil {
		return err
	}
	unlock, err := m.lock(ctx, spec.Path)
	if err != nil {
		return err
	}
	defer unlock()
	target := m.abs(spec.Path)
	clean := remover(target)
	address := complete(spec.URL)
	if l, ok := m.library(); ok {
		err = l.clone(ctx, spec, address, target)
	} else {
		err = m.clone(ctx, spec, address, target)
	}
	if err != nil {
		clean()
	}
	return err
}

func (m *Manager) clone(ctx context.Context, spec CloneSpec, address, target string) error {
	call := func(dir string, args ...string) command {
		c := command{dir: dir, args: args, network: true, creds: spec.Credentials, url: address}
		if spec.InsecureSkipTLS {
			c.args = append([]string{"-c", "http.sslVerify=false"}, args...)
		}
		return c
	}
	args := []string{"clone", "-q", "--origin=origin"}
	depth := "--depth=" + strconv.Itoa(spec.Depth)
	if spec.Depth > 0 {
		args = append(args, depth)
	}
	if spec.Branch != "" {
		args = append(args, "--branch="+spec.Branch)
	}
	if spec.CommitID != "" {
		args = append(args, "--no-checkout")
	}
	_, err := m.do(ctx, call("", append(args, "--", address, target)...))
	if err == nil && spec.CommitID != "" {
		checkout := call(target, "checkout", "-q", "--detach", spec.CommitID, "--")
		_, err = m.do(ctx, checkout)
		if err != nil && fault.CodeOf(err) == codeNoBranch && (spec.Depth > 0 || spec.Branch != "") {
			fetch := []string{"fetch", "-q"}
			if spec.Depth > 0 {
				fetch = append(fetch, depth)
			}
			if _, err = m.do(ctx, call(target, append(fetch, "origin", spec.CommitID)...)); err == nil {
				_, err = m.do(ctx, checkout)
			}
		}
	}
	return err
}

// remover returns what takes away a target that is not there yet, or the content of one that is an empty folder now, and the parents
// made for it.
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

func (m *Manager) transfer(ctx context.Context, spec *TransferSpec, push bool, args ...string) (command, error) {
	if spec.Remote == "" {
		spec.Remote = "origin"
	}
	if err := errors.Join(notOption("remote", spec.Remote), notBranch(spec.Branch)); err != nil {
		return command{}, err
	}
	c := command{dir: spec.Path, args: args, network: true, creds: spec.Credentials}
	if _, ok := m.library(); ok || !spec.given() {
		return c, nil
	}
	get := []string{"remote", "get-url", "--", spec.Remote}
	if push {
		get = []string{"remote", "get-url", "--push", "--", spec.Remote}
	}
	r, err := m.do(ctx, command{dir: spec.Path, args: get})
	c.url = strings.TrimSpace(string(r.stdout))
	return c, err
}

// Push sends a branch to the branch of the same name. Nothing is forced, no tags are sent; nothing to send is no error.
// Errors: GIT_PUSH_REJECTED, GIT_REMOTE_REJECTED, GIT_BRANCH_NOT_FOUND and those of the connection.
func (m *Manager) Push(ctx context.Context, spec TransferSpec) error {
	unlock, err := m.lock(ctx, spec.Path)
	if err != nil {
		return err
	}
	defer unlock()
	c, err := m.transfer(ctx, &spec, true, "push", "--porcelain", "--no-follow-tags")
	if err != nil {
		return err
	}
	if spec.SetUpstream {
		c.args = append(c.args, "--set-upstream")
	}
	branch := spec.Branch
	if branch == "" {
		if branch, err = m.head(ctx, spec.Path); err != nil {
			return err
		}
		if branch == "" {
			return fault.New(fault.Conflict, "git push: HEAD is not on a branch; name one, or check one out")
		}
	}
	if l, ok := m.library(); ok {
		return l.push(ctx, spec, branch)
	}
	ref := "refs/heads/" + strings.TrimPrefix(branch, "refs/heads/")
	c.args = append(c.args, "--", spec.Remote, ref+":"+ref)
	_, err = m.do(ctx, c)
	return err
}

// Pull brings the current branch up to its upstream by fast-forward alone. Errors: GIT_MERGE_CONFLICT when that is not possible,
// GIT_DIRTY_WORKTREE, GIT_BRANCH_NOT_FOUND and those of the connection.
func (m *Manager) Pull(ctx context.Context, spec TransferSpec) error {
	unlock, err := m.lock(ctx, spec.Path)
	if err != nil {
		return err
	}
	defer unlock()
	own := spec.Remote
	if l, ok := m.library(); ok {
		spec.Remote = cmp.Or(spec.Remote, "origin")
		return l.pull(ctx, spec, own)
	}
	c, err := m.transfer(ctx, &spec, false, "pull", "-q", "--ff-only", "--no-rebase")
	if err != nil {
		return err
	}
	branch := spec.Branch
	if branch == "" {
		if branch, err = m.upstream(ctx, spec.Path, spec.Remote, own); err != nil {
			return err
		}
	}
	if branch != "" {
		c.args = append(c.args, "--", spec.Remote, branch)
	}
	_, err = m.do(ctx, c)
	return err
}

// upstream is the branch to pull from remote: "" leaves it to git, as the current branch's upstream is configured there.
func (m *Manager) upstream(ctx context.Context, path, remote, asked string) (string, error) {
	current, err := m.head(ctx, path)
	if err != nil {
		return "", err
	}
	if current == "" {
		return "", fault.New(fault.Conflict, "git pull: HEAD is not on a branch; check one out first")
	}
	from, err := m.get(ctx, "local", path, "branch."+current+".remote")
	if err != nil {
		return "", err
	}
	merge, err := m.get(ctx, "local", path, "branch."+current+".merge")
	switch {
	case err != nil:
		return "", err
	case from == nil || merge == nil || asked != "" && *from != remote:
		return current, nil
	case asked == "":
		return "", nil
	}
	return *merge, nil
}

// Remote is a remote repository's name and address.
type Remote struct{ Name, URL string }

// Remotes lists those of the repository at path, as they are configured.
func (m *Manager) Remotes(ctx context.Context, path string) ([]Remote, error) {
	if l, ok := m.library(); ok {
		return l.remotes(path)
	}
	c := command{dir: path, args: []string{"config", "--local", "-z", "--get-regexp", `^remote\..*\.url$`}}
	r, err := m.run(ctx, c)
	if err != nil {
		return nil, err
	}
	remotes := []Remote{}
	if r.code == 1 && len(r.stderr) == 0 {
		return remotes, nil
	}
	if err := c.failure(r); err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	for entry := range strings.SplitSeq(strings.TrimSuffix(string(r.stdout), "\x00"), "\x00") {
		key, value, _ := strings.Cut(entry, "\n")
		name := strings.TrimSuffix(strings.TrimPrefix(key, "remote."), ".url")
		if !seen[name] {
			remotes = append(remotes, Remote{name, value})
		}
		seen[name] = true
	}
	return remotes, nil
}

// AddRemote adds a remote. With overwrite an existing one gets the address instead of fault.Conflict; with fetch its branches are
// fetched at once, and a new remote that cannot be fetched from is not kept.
func (m *Manager) AddRemote(ctx context.Context, path string, remote Remote, fetch, overwrite bool) error {
	if strings.HasPrefix(remote.Name, "-") {
		return fault.Newf(fault.Invalid, "%q is not a valid remote name: it begins with a dash", remote.Name)
	}
	if ok, err := m.alone(ctx, path, func(l library) error { return l.addRemote(ctx, path, remote, fetch, overwrite) }); ok {
		return err
	}
	unlock, err := m.lock(ctx, path)
	if err != nil {
		return err
	}
	defer unlock()
	add := command{dir: path, args: []string{"remote", "add", "--", remote.Name, remote.URL}}
	r, err := m.run(ctx, add)
	if err != nil {
		return err
	}
	const taken = 3 // git's exit code
	added := r.code == 0
	switch {
	case r.code != taken:
		err = add.failure(r)
	case !overwrite:
		err = fault.Newf(fault.Conflict, "remote %s exists already; set overwrite to give it another URL", remote.Name)
	default:
		_, err = m.do(ctx, command{dir: path, args: []string{"remote", "set-url", "--", remote.Name, remote.URL}})
	}
	if err != nil || !fetch {
		return err
	}
	_, err = m.do(ctx, command{dir: path, args: []string{"fetch", "-q", "--", remote.Name}, network: true})
	if err != nil && added {
		_, _ = m.do(context.WithoutCancel(ctx), command{dir: path, args: []string{"remote", "remove", remote.Name}}) // the fetch's error is the one to tell
	}
	return err
}
