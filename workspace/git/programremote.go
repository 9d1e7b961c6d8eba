package git

import (
	"cmp"
	"context"
	"strconv"
	"strings"

	"github.com/sandlot-dev/sandlot/internal/fault"
)

func (p program) clone(ctx context.Context, spec CloneSpec) error {
	call := func(dir string, args ...string) command {
		c := command{dir: dir, args: args, network: true, creds: spec.Credentials, url: spec.URL}
		if spec.InsecureSkipTLS {
			c.args = append([]string{"-c", "http.sslVerify=false"}, args...)
		}
		return c
	}
	target := absolute(p.processes, spec.Path)
	args := []string{"clone", "-q", "--origin=origin"}
	fetch := []string{"fetch", "-q"}
	if spec.Depth > 0 {
		depth := "--depth=" + strconv.Itoa(spec.Depth)
		args, fetch = append(args, depth), append(fetch, depth)
	}
	if spec.Branch != "" {
		args = append(args, "--branch="+spec.Branch)
	}
	if spec.CommitID != "" {
		args = append(args, "--no-checkout")
	}
	_, err := p.do(ctx, call("", append(args, "--", spec.URL, target)...))
	if err != nil || spec.CommitID == "" {
		return err
	}
	checkout := call(target, "checkout", "-q", "--detach", spec.CommitID, "--")
	_, err = p.do(ctx, checkout)
	if fault.CodeOf(err) != codeNoBranch || spec.Depth == 0 && spec.Branch == "" {
		return err
	}
	if _, err = p.do(ctx, call(target, append(fetch, "origin", spec.CommitID)...)); err == nil {
		_, err = p.do(ctx, checkout)
	}
	return err
}

// transfer is a call that reaches spec.Remote, with the credentials for its address, which git remote get-url tells
// with the options getURL.
func (p program) transfer(ctx context.Context, spec TransferSpec, getURL []string, args ...string) (command, error) {
	c := command{dir: spec.Path, args: args, network: true, creds: spec.Credentials}
	if !spec.given() {
		return c, nil
	}
	get := append([]string{"remote", "get-url"}, getURL...)
	r, err := p.do(ctx, command{dir: spec.Path, args: append(get, "--", spec.Remote)})
	c.url = strings.TrimSpace(string(r.stdout))
	return c, err
}

func (p program) push(ctx context.Context, spec TransferSpec) error {
	c, err := p.transfer(ctx, spec, []string{"--push"}, "push", "--porcelain", "--no-follow-tags")
	if err != nil {
		return err
	}
	if spec.SetUpstream {
		c.args = append(c.args, "--set-upstream")
	}
	ref := "refs/heads/" + strings.TrimPrefix(spec.Branch, "refs/heads/")
	c.args = append(c.args, "--", spec.Remote, ref+":"+ref)
	_, err = p.do(ctx, c)
	return err
}

func (p program) pull(ctx context.Context, spec TransferSpec) error {
	asked := spec.Remote
	spec.Remote = cmp.Or(asked, "origin")
	c, err := p.transfer(ctx, spec, nil, "pull", "-q", "--ff-only", "--no-rebase")
	if err != nil {
		return err
	}
	branch := spec.Branch
	if branch == "" {
		if branch, err = p.upstream(ctx, spec.Path, spec.Remote, asked); err != nil {
			return err
		}
	}
	if branch != "" {
		c.args = append(c.args, "--", spec.Remote, branch)
	}
	_, err = p.do(ctx, c)
	return err
}

// upstream is the branch to pull from remote: "" leaves it to git, as the current branch's upstream is configured
// there.
func (p program) upstream(ctx context.Context, path, remote, asked string) (string, error) {
	current, err := p.head(ctx, path)
	if err != nil {
		return "", err
	}
	if current == "" {
		return "", fault.New(fault.Conflict, "git pull: HEAD is not on a branch; check one out first")
	}
	from, err := p.getConfig(ctx, "local", path, "branch."+current+".remote")
	if err != nil {
		return "", err
	}
	merge, err := p.getConfig(ctx, "local", path, "branch."+current+".merge")
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

func (p program) remotes(ctx context.Context, path string) ([]Remote, error) {
	c := command{dir: path, args: []string{"config", "--local", "-z", "--get-regexp", `^remote\..*\.url$`}}
	r, err := p.run(ctx, c)
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

func (p program) addRemote(ctx context.Context, path string, remote Remote, fetch, overwrite bool) error {
	add := command{dir: path, args: []string{"remote", "add", "--", remote.Name, remote.URL}}
	r, err := p.run(ctx, add)
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
		_, err = p.do(ctx, command{dir: path, args: []string{"remote", "set-url", "--", remote.Name, remote.URL}})
	}
	if err != nil || !fetch {
		return err
	}
	_, err = p.do(ctx, command{dir: path, args: []string{"fetch", "-q", "--", remote.Name}, network: true})
	if err != nil && added {
		// The fetch's error is returned.
		_, _ = p.do(context.WithoutCancel(ctx), command{dir: path, args: []string{"remote", "remove", remote.Name}})
	}
	return err
}
