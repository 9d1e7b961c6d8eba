package git

import (
	"context"
	"io"
	"regexp"
	"strings"

	"github.com/sandlot-dev/sandlot/internal/fault"
)

// program is the backend that runs git, one call for each of its own where git can do it in one.
type program struct{ runner }

// fromInput makes git read names of files from its input, which pathspecs makes: any number of them in one call.
var fromInput = []string{"--pathspec-from-file=-", "--pathspec-file-nul"}

func pathspecs(files []string) []byte { return []byte(strings.Join(files, "\x00")) }

func (p program) init(ctx context.Context, path string, bare bool, branch string) error {
	args := []string{"init", "-q"}
	if bare {
		args = append(args, "--bare")
	}
	if branch != "" {
		args = append(args, "--initial-branch="+branch)
	}
	_, err := p.do(ctx, command{args: append(args, "--", absolute(p.processes, path))})
	return err
}

func (p program) status(ctx context.Context, path string) (*Status, error) {
	var st *Status
	_, err := p.do(ctx, command{
		dir: path, args: []string{"status", "--porcelain=v2", "--branch", "-z", "--untracked-files=all"},
		output: func(r io.Reader) (err error) { st, err = parseStatus(r); return err },
	})
	return st, err
}

func (p program) add(ctx context.Context, path string, files []string) error {
	_, err := p.do(ctx, command{dir: path, args: append([]string{"add", "-A"}, fromInput...), input: pathspecs(files)})
	return err
}

// committed finds the hash in what git commit says.
var committed = regexp.MustCompile(`(?m)^\[\S+(?: HEAD)?(?: \(root-commit\))? ([0-9a-f]{40}(?:[0-9a-f]{24})?)\]`)

func (p program) commit(ctx context.Context, spec CommitSpec) (hash string, err error) {
	args := []string{
		"-c", "core.hooksPath=/dev/null", "-c", "core.abbrev=40", "-c", "i18n.commitEncoding=UTF-8",
		"commit", "--no-verify", "--no-gpg-sign", "--cleanup=whitespace", "--file=-",
	}
	if spec.AllowEmpty {
		args = append(args, "--allow-empty")
	}
	r, err := p.do(ctx, command{dir: spec.Path, args: args, input: []byte(spec.Message), env: map[string]string{
		"GIT_AUTHOR_NAME": spec.Author, "GIT_AUTHOR_EMAIL": spec.Email,
		"GIT_COMMITTER_NAME": spec.Author, "GIT_COMMITTER_EMAIL": spec.Email,
	}})
	if err != nil {
		return "", err
	}
	if found := committed.FindSubmatch(r.stdout); found != nil {
		return string(found[1]), nil
	}
	return "", fault.New(fault.Internal, "git commit did not tell the hash of what it made")
}

func (p program) branches(ctx context.Context, path string) (Branches, error) {
	r, err := p.do(ctx, command{dir: path, args: []string{
		"for-each-ref", "--format=%(HEAD)%(refname:lstrip=2)", "refs/heads",
	}})
	b := Branches{Names: []string{}}
	if err != nil {
		return b, err
	}
	for line := range strings.Lines(string(r.stdout)) {
		name := strings.TrimSuffix(line[1:], "\n")
		if b.Names = append(b.Names, name); line[0] == '*' {
			b.Current = name
		}
	}
	if b.Current == "" {
		b.Current, err = p.head(ctx, path)
	}
	return b, err
}

func (p program) head(ctx context.Context, path string) (string, error) {
	c := command{dir: path, args: []string{"symbolic-ref", "-q", "--short", "HEAD"}}
	r, err := p.run(ctx, c)
	if err == nil && r.code == 1 && len(r.stderr) == 0 {
		return "", nil
	}
	if err == nil {
		err = c.failure(r)
	}
	return strings.TrimSpace(string(r.stdout)), err
}

func (p program) createBranch(ctx context.Context, path, name string) error {
	_, err := p.do(ctx, command{dir: path, args: []string{"checkout", "-q", "--no-track", "-b", name}})
	return err
}

func (p program) deleteBranch(ctx context.Context, path, name string) error {
	_, err := p.do(ctx, command{dir: path, args: []string{"branch", "-q", "-D", "--", name}})
	return err
}

func (p program) checkout(ctx context.Context, path, name string) error {
	_, err := p.do(ctx, command{dir: path, args: []string{
		"-c", "checkout.defaultRemote=origin", "checkout", "-q", "--guess", name, "--",
	}})
	return err
}

func (p program) history(ctx context.Context, path string, yield func(Commit) error) error {
	_, err := p.do(ctx, command{
		dir: path,
		args: []string{
			"log", "-z", "--no-show-signature", "--no-color", "--encoding=UTF-8", logFormat, "HEAD", "--",
		},
		output: func(r io.Reader) error { return parseLog(r, yield) },
	})
	return err
}

func (p program) reset(ctx context.Context, spec ResetSpec) error {
	c := command{dir: spec.Path, args: []string{"reset", "-q"}}
	if spec.Mode != "" && spec.Mode != "mixed" {
		c.args = append(c.args, "--"+spec.Mode)
	}
	if len(spec.Files) > 0 {
		c.args, c.input = append(c.args, fromInput...), pathspecs(spec.Files)
	}
	if spec.Target != "" {
		c.args = append(c.args, spec.Target)
	}
	if len(spec.Files) == 0 {
		c.args = append(c.args, "--") // beside names from the input git would take it for one more
	}
	_, err := p.do(ctx, c)
	return err
}

func (p program) restore(ctx context.Context, spec RestoreSpec) error {
	args := append([]string{"restore", "-q"}, fromInput...)
	if spec.Staged {
		args = append(args, "--staged")
	}
	if spec.Worktree {
		args = append(args, "--worktree")
	}
	if spec.Source != "" {
		args = append(args, "--source="+spec.Source)
	}
	_, err := p.do(ctx, command{dir: spec.Path, args: args, input: pathspecs(spec.Files)})
	return err
}
