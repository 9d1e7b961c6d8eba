package git

import (
	"context"
	"io"
	"regexp"
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
	if strings.ContainsAny(name, " ~^:?*[\\\n\x00") || strings.Contains(name, "@{") || strings.Contains(name, "..") || strings.HasPrefix(name, "+") {
		return fault.Codef(fault.NotFound, codeNoBranch, "there is no branch %q: no branch can be called so", name)
	}
	return notOption("branch", name)
}

// paths is the input for --pathspec-from-file=- --pathspec-file-nul: any number of names in one call.
func paths(files []string) ([]byte, error) {
	for _, f := range files {
		if f == "" || strings.Contains(f, "\x00") {
			return nil, fault.Newf(fault.Invalid, "%q is no file name; use \".\" for all files", f)
		}
	}
	return []byte(strings.Join(files, "\x00")), nil
}

var fromInput = []string{"--pathspec-from-file=-", "--pathspec-file-nul"}

// Init makes a repository at path, parents included; an existing one stays as it is. branch "" is git's own default.
func (m *Manager) Init(ctx context.Context, path string, bare bool, branch string) error {
	if ok, err := m.alone(ctx, path, func(l library) error { return l.init(path, bare, branch) }); ok {
		return err
	}
	if strings.HasPrefix(branch, "-") {
		return fault.Newf(fault.Invalid, "invalid initial branch name %q: it begins with a dash", branch)
	}
	args := []string{"init", "-q"}
	if bare {
		args = append(args, "--bare")
	}
	if branch != "" {
		args = append(args, "--initial-branch="+branch)
	}
	unlock, err := m.lock(ctx, path)
	if err != nil {
		return err
	}
	defer unlock()
	_, err = m.do(ctx, command{args: append(args, "--", m.abs(path))})
	return err
}

// Status describes the work tree at path. Untracked folders are given as their files, ignored files are not listed.
func (m *Manager) Status(ctx context.Context, path string) (*Status, error) {
	if l, ok := m.library(); ok {
		return l.status(path)
	}
	var st *Status
	_, err := m.do(ctx, command{
		dir: path, args: []string{"status", "--porcelain=v2", "--branch", "-z", "--untracked-files=all"},
		output: func(r io.Reader) (err error) { st, err = parseStatus(r); return err },
	})
	return st, err
}

// Add stages files, "." for all, deletions included. No files is no error.
func (m *Manager) Add(ctx context.Context, path string, files []string) error {
	input, err := paths(files)
	if err != nil {
		return err
	}
	if len(files) == 0 {
		_, err := m.Branches(ctx, path) // the repository must be there all the same
		return err
	}
	if ok, err := m.alone(ctx, path, func(l library) error { return l.add(path, files) }); ok {
		return err
	}
	_, err = m.change(ctx, command{dir: path, args: append([]string{"add", "-A"}, fromInput...), input: input})
	return err
}

// CommitSpec is a commit of what is staged.
type CommitSpec struct {
	Path, Message, Author, Email string // all required
	AllowEmpty                   bool
}

var committed = regexp.MustCompile(`(?m)^\[\S+(?: HEAD)?(?: \(root-commit\))? ([0-9a-f]{40}(?:[0-9a-f]{24})?)\]`)

// Commit commits the index, with the author as committer too, without hooks and signature. Errors: fault.Conflict when nothing is staged.
func (m *Manager) Commit(ctx context.Context, spec CommitSpec) (hash string, err error) {
	if ok, err := m.alone(ctx, spec.Path, func(l library) (err error) { hash, err = l.commit(spec); return err }); ok {
		return hash, err
	}
	args := []string{"-c", "core.hooksPath=/dev/null", "-c", "core.abbrev=40", "-c", "i18n.commitEncoding=UTF-8", "commit", "--no-verify", "--no-gpg-sign", "--cleanup=whitespace", "--file=-"}
	if spec.AllowEmpty {
		args = append(args, "--allow-empty")
	}
	r, err := m.change(ctx, command{dir: spec.Path, args: args, input: []byte(spec.Message), env: map[string]string{
		"GIT_AUTHOR_NAME": spec.Author, "GIT_AUTHOR_EMAIL": spec.Email, "GIT_COMMITTER_NAME": spec.Author, "GIT_COMMITTER_EMAIL": spec.Email,
	}})
	if err != nil {
		return "", err
	}
	if found := committed.FindSubmatch(r.stdout); found != nil {
		return string(found[1]), nil
	}
	return "", fault.New(fault.Internal, "git commit did not tell the hash of what it made")
}

// Branches are the local ones.
type Branches struct {
	Names   []string // short, sorted; never nil
	Current string   // also one without commits; "" when HEAD is detached
}

// Branches lists the local branches of the repository at path.
func (m *Manager) Branches(ctx context.Context, path string) (Branches, error) {
	if l, ok := m.library(); ok {
		return l.branches(path)
	}
	r, err := m.do(ctx, command{dir: path, args: []string{"for-each-ref", "--format=%(HEAD)%(refname:lstrip=2)", "refs/heads"}})
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
		b.Current, err = m.head(ctx, path)
	}
	return b, err
}

// head is the branch that HEAD names, "" when it is detached.
func (m *Manager) head(ctx context.Context, path string) (string, error) {
	if l, ok := m.library(); ok {
		r, err := l.open(path)
		if err != nil {
			return "", err
		}
		return l.head(r)
	}
	c := command{dir: path, args: []string{"symbolic-ref", "-q", "--short", "HEAD"}}
	r, err := m.run(ctx, c)
	if err == nil && r.code == 1 && len(r.stderr) == 0 {
		return "", nil
	}
	if err == nil {
		err = c.failure(r)
	}
	return strings.TrimSpace(string(r.stdout)), err
}

// CreateBranch makes a branch at HEAD and checks it out. Error: GIT_BRANCH_EXISTS.
func (m *Manager) CreateBranch(ctx context.Context, path, name string) error {
	if ok, err := m.alone(ctx, path, func(l library) error { return l.createBranch(path, name) }); ok {
		return err
	}
	_, err := m.change(ctx, command{dir: path, args: []string{"checkout", "-q", "--no-track", "-b", name}})
	return err
}

// DeleteBranch removes a branch, merged or not. Errors: GIT_BRANCH_NOT_FOUND; fault.Conflict for the branch that is checked out.
func (m *Manager) DeleteBranch(ctx context.Context, path, name string) error {
	if err := notBranch(name); err != nil {
		return err
	}
	if ok, err := m.alone(ctx, path, func(l library) error { return l.deleteBranch(path, name) }); ok {
		return err
	}
	_, err := m.change(ctx, command{dir: path, args: []string{"branch", "-q", "-D", "--", name}})
	return err
}

// Checkout makes name the current branch: a local one, else one of origin, which a local one is made of, else any revision, detached.
// Local changes that do not conflict are carried over. Errors: GIT_BRANCH_NOT_FOUND, GIT_DIRTY_WORKTREE.
func (m *Manager) Checkout(ctx context.Context, path, name string) error {
	if err := notOption("branch", name); err != nil {
		return err
	}
	if ok, err := m.alone(ctx, path, func(l library) error { return l.checkout(path, name) }); ok {
		return err
	}
	_, err := m.change(ctx, command{dir: path, args: []string{"-c", "checkout.defaultRemote=origin", "checkout", "-q", "--guess", name, "--"}})
	return err
}

// History hands the commits that HEAD reaches to yield, newest first. Error: GIT_BRANCH_NOT_FOUND when there are none.
func (m *Manager) History(ctx context.Context, path string, yield func(Commit) error) error {
	if l, ok := m.library(); ok {
		return l.history(ctx, path, yield)
	}
	_, err := m.do(ctx, command{
		dir: path, args: []string{"log", "-z", "--no-show-signature", "--no-color", "--encoding=UTF-8", logFormat, "HEAD", "--"},
		output: func(r io.Reader) error { return parseLog(r, yield) },
	})
	return err
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
	args := []string{"reset", "-q"}
	switch spec.Mode {
	case "", "mixed":
	case "soft", "hard", "merge", "keep":
		if len(spec.Files) > 0 {
			return fault.Newf(fault.Invalid, "mode %s resets the whole repository; leave files out, or use mode mixed", spec.Mode)
		}
		args = append(args, "--"+spec.Mode)
	default:
		return fault.Newf(fault.Invalid, "mode %q is not one of soft, mixed, hard, merge, keep", spec.Mode)
	}
	if ok, err := m.alone(ctx, spec.Path, func(l library) error { return l.reset(spec) }); ok {
		return err
	}
	c := command{dir: spec.Path}
	if len(spec.Files) > 0 {
		var err error
		if c.input, err = paths(spec.Files); err != nil {
			return err
		}
		args = append(args, fromInput...)
	}
	if spec.Target != "" {
		args = append(args, spec.Target)
	}
	c.args = append(args, "--")
	if len(spec.Files) > 0 {
		c.args = args // names come by input alone
	}
	_, err := m.change(ctx, c)
	return err
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
	input, err := paths(spec.Files)
	if err != nil {
		return err
	}
	if len(spec.Files) == 0 {
		_, err := m.Branches(ctx, spec.Path)
		return err
	}
	if ok, err := m.alone(ctx, spec.Path, func(l library) error { return l.restore(spec) }); ok {
		return err
	}
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
	_, err = m.change(ctx, command{dir: spec.Path, args: args, input: input})
	return err
}
