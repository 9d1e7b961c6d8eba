package git_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/process"
	"github.com/sandlot-dev/sandlot/workspace/git"
)

// open returns a Manager that works in a folder of its own, with an own home.
func open(t testing.TB) (m *git.Manager, dir string) {
	t.Helper()
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("no git program")
	}
	dir = t.TempDir()
	home := t.TempDir()
	env := []string{"HOME=" + home, "PATH=" + os.Getenv("PATH"), "GIT_CONFIG_NOSYSTEM=1"}
	processes, err := process.NewManager(process.Config{Dir: dir, Env: env})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = processes.Close(0) })
	if err := os.WriteFile(home+"/.gitconfig", []byte("[init]\n\tdefaultBranch = main\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("HOME", home)
	return git.New(processes), dir
}

// sh runs a script for the tests themselves.
func sh(t testing.TB, dir, script string) string {
	t.Helper()
	c := exec.CommandContext(t.Context(), "/bin/sh", "-ec", script)
	c.Dir = dir
	c.Env = append(os.Environ(), "GIT_CONFIG_NOSYSTEM=1", "GIT_AUTHOR_NAME=T", "GIT_AUTHOR_EMAIL=t@x",
		"GIT_COMMITTER_NAME=T", "GIT_COMMITTER_EMAIL=t@x")
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", script, err, out)
	}
	return string(out)
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantFault(t *testing.T, what string, err error, kind fault.Kind, code string) {
	t.Helper()
	if fault.KindOf(err) != kind || fault.CodeOf(err) != code {
		t.Errorf("%s: %v (%v, %q); want %v, %q", what, err, fault.KindOf(err), fault.CodeOf(err), kind, code)
	}
}

const origin = `git init -q --bare -b main origin.git; git clone -q origin.git seed 2>/dev/null; cd seed; git checkout -q -b main
	echo one > f; mkdir d; echo x > d/x; git add .; git commit -q -m one; git tag v1; echo two > f; git commit -q -a -m two
	git push -q origin main v1; git checkout -q -b side; echo s > side; git add .; git commit -q -m side; git push -q origin side`

func TestCloneInAllForms(t *testing.T) {
	m, dir := open(t)
	sh(t, dir, origin)
	first := strings.TrimSpace(sh(t, dir+"/seed", "git rev-parse v1"))
	url := "file://" + dir + "/origin.git"
	for _, tc := range []struct {
		spec    git.CloneSpec
		branch  string
		commits string
	}{
		{git.CloneSpec{URL: dir + "/origin.git", Path: "a"}, "main", "2"},
		{git.CloneSpec{URL: url, Path: "p/q/b"}, "main", "2"},
		{git.CloneSpec{URL: url, Path: "c", Branch: "side"}, "side", "3"},
		{git.CloneSpec{URL: url, Path: "d", Depth: 1}, "main", "1"},
		{git.CloneSpec{URL: url, Path: "e", CommitID: first}, "HEAD", "1"},
		{git.CloneSpec{URL: url, Path: "f", CommitID: first, Depth: 1}, "HEAD", "1"},
	} {
		ok(t, m.Clone(t.Context(), tc.spec))
		st, err := m.Status(t.Context(), tc.spec.Path)
		if err != nil || st.Branch != tc.branch || len(st.Files) != 0 {
			t.Errorf("%+v: %+v %v", tc.spec, st, err)
		}
		if got := strings.TrimSpace(sh(t, dir+"/"+tc.spec.Path, "git rev-list --count HEAD")); got != tc.commits {
			t.Errorf("%+v: %s commits, want %s", tc.spec, got, tc.commits)
		}
		if tc.branch != "HEAD" && st.Upstream != "origin/"+tc.branch {
			t.Errorf("%+v: upstream %q", tc.spec, st.Upstream)
		}
	}
	_ = os.Mkdir(dir+"/empty", 0o755)
	ok(t, m.Clone(t.Context(), git.CloneSpec{URL: url, Path: "empty"}))
}

func TestFailedCloneLeavesNothing(t *testing.T) {
	m, dir := open(t)
	sh(t, dir, origin)
	_ = os.Mkdir(dir+"/empty", 0o755)
	sh(t, dir, "mkdir full; echo x > full/x; echo x > file")
	url := dir + "/origin.git"
	for _, tc := range []struct {
		name string
		spec git.CloneSpec
		kind fault.Kind
		code string
	}{
		{"no such repository", git.CloneSpec{URL: dir + "/none.git", Path: "n/e/w"}, fault.NotFound, "GIT_REPO_NOT_FOUND"},
		{"into an empty folder", git.CloneSpec{URL: dir + "/none.git", Path: "empty"}, fault.NotFound, "GIT_REPO_NOT_FOUND"},
		{"no such branch", git.CloneSpec{URL: url, Path: "n/e/w", Branch: "none"}, fault.NotFound, "GIT_BRANCH_NOT_FOUND"},
		{
			"no such commit",
			git.CloneSpec{URL: url, Path: "n/e/w", CommitID: strings.Repeat("a", 40)},
			fault.NotFound,
			"GIT_BRANCH_NOT_FOUND",
		},
		{"no such commit, into an empty folder", git.CloneSpec{
			URL: url, Path: "empty", CommitID: strings.Repeat("a", 40),
			Depth: 1,
		}, fault.NotFound, "GIT_BRANCH_NOT_FOUND"},
		{
			"no such host",
			git.CloneSpec{URL: "https://no-such-host.invalid/a.git", Path: "new"},
			fault.Upstream,
			"GIT_TRANSPORT_FAILED",
		},
		{"refused", git.CloneSpec{URL: "http://127.0.0.1:1/a.git", Path: "new"}, fault.Upstream, "GIT_TRANSPORT_FAILED"},
		{
			"a program as transport",
			git.CloneSpec{URL: "ext::sh -c touch% /tmp/x", Path: "new"},
			fault.Upstream,
			"GIT_TRANSPORT_FAILED",
		},
		{"option as URL", git.CloneSpec{URL: "--upload-pack=touch x", Path: "new"}, fault.NotFound, "GIT_REPO_NOT_FOUND"},
		{"option as commit", git.CloneSpec{URL: url, Path: "new", CommitID: "--x"}, fault.NotFound, "GIT_BRANCH_NOT_FOUND"},
		{"taken", git.CloneSpec{URL: url, Path: "full"}, fault.Conflict, ""},
		{"taken by a file", git.CloneSpec{URL: url, Path: "file"}, fault.Conflict, ""},
		{"taken by a repository", git.CloneSpec{URL: url, Path: "seed"}, fault.Conflict, ""},
		{"bad depth", git.CloneSpec{URL: url, Path: "new", Depth: -1}, fault.Invalid, ""},
	} {
		wantFault(t, tc.name, m.Clone(t.Context(), tc.spec), tc.kind, tc.code)
	}
	if got := sh(t, dir, "ls -A . empty full file"); got != "file\n\n.:\nempty\nfile\nfull\norigin.git\nseed\n\nempty:\n\nfull:\nx\n" {
		t.Errorf("left: %q", got)
	}
}

func TestStatusTellsEachState(t *testing.T) {
	m, dir := open(t)
	sh(t, dir, origin)
	ok(t, m.Clone(t.Context(), git.CloneSpec{URL: dir + "/origin.git", Path: "r"}))
	sh(t, dir+"/r", `printf '*.ign\n' > .gitignore; git add .gitignore; git commit -q -m more
		echo a > added; git add added; echo y > d/x; git add d/x; echo z > d/x; mv f 'new
line'; git add -A f 'new
line'; mkdir u; echo > u/v; echo > u/é; echo > u/x.ign; git checkout -q -b w; git checkout -q main; rm d/x`)
	st, err := m.Status(t.Context(), "r")
	want := &git.Status{Branch: "main", Upstream: "origin/main", Ahead: 1, Files: []git.FileStatus{
		{Name: "added", Staging: git.Added, Worktree: git.Unmodified},
		{Name: "d/x", Staging: git.Modified, Worktree: git.Deleted},
		{Name: "new\nline", Old: "f", Staging: git.Renamed, Worktree: git.Unmodified},
		{Name: "u/v", Staging: git.Untracked, Worktree: git.Untracked},
		{Name: "u/é", Staging: git.Untracked, Worktree: git.Untracked},
	}}
	if err != nil || fmt.Sprintf("%+v", st) != fmt.Sprintf("%+v", want) {
		t.Errorf("got  %+v %v\nwant %+v", st, err, want)
	}
	ok(t, m.Init(t.Context(), "fresh", false, "trunk"))
	sh(t, dir, "echo > file")
	wantFault(t, "over a file", m.Init(t.Context(), "file", false, ""), fault.Conflict, "")
	wantFault(t, "below a file", m.Init(t.Context(), "file/r", false, ""), fault.Conflict, "")
	wantFault(t, "bad branch", m.Init(t.Context(), "bad", false, "a..b"), fault.Invalid, "")
	wantFault(t, "name too long", m.Init(t.Context(), strings.Repeat("x", 300), false, ""), fault.Invalid, "")
	if st, err := m.Status(t.Context(), "fresh"); err != nil || st.Branch != "trunk" || st.Files == nil ||
		st.Upstream != "" {
		t.Errorf("without commits: %+v %v", st, err)
	}
	sh(t, dir+"/r", "git reset -q --hard; git clean -qfd; git checkout -q -b other HEAD~1; echo o > f; git commit -q -am o; git checkout -q main; echo m > f; git commit -q -am m; git merge other || true")
	st, err = m.Status(t.Context(), "r")
	if err != nil || len(st.Files) != 1 || st.Files[0] != (git.FileStatus{
		Name: "f", Staging: git.Unmerged,
		Worktree: git.Unmerged,
	}) {
		t.Errorf("conflict: %+v %v", st, err)
	}
	wantFault(t, "commit of a conflict", errOf(m.Commit(t.Context(),
		git.CommitSpec{Path: "r", Message: "x", Author: "a", Email: "e"})), fault.Conflict, "GIT_MERGE_CONFLICT")
	sh(t, dir+"/r", "git merge --abort; git checkout -q --detach")
	if st, err := m.Status(t.Context(), "r"); err != nil || st.Branch != "HEAD" || !st.Detached {
		t.Errorf("detached: %+v %v", st, err)
	}
	for _, path := range []string{"none", "r/d", ".", "/"} {
		_, err := m.Status(t.Context(), path)
		wantFault(t, path, err, fault.NotFound, "GIT_REPO_NOT_FOUND")
	}
}

func errOf[T any](_ T, err error) error { return err }

func TestAddAndCommit(t *testing.T) {
	m, dir := open(t)
	ok(t, m.Init(t.Context(), "r", false, ""))
	sh(t, dir+"/r", "echo 1 > a; echo 2 > 'b*'; echo 3 > bc; echo i > ign; echo ign > .git/info/exclude; mkdir -p .git/hooks; printf '#!/bin/sh\nexit 1\n' > .git/hooks/pre-commit; chmod +x .git/hooks/pre-commit")
	commit := git.CommitSpec{Path: "r", Message: "subject\n\n# not a comment\n", Author: "Ä Name", Email: "a@b"}
	wantFault(t, "nothing staged", errOf(m.Commit(t.Context(), commit)), fault.Conflict, "")
	wantFault(t, "missing file", m.Add(t.Context(), "r", []string{"a", "none"}), fault.NotFound, "FILE_NOT_FOUND")
	wantFault(t, "ignored file", m.Add(t.Context(), "r", []string{"ign"}), fault.Invalid, "")
	wantFault(t, "outside", m.Add(t.Context(), "r", []string{"../x"}), fault.Invalid, "")
	wantFault(t, "NUL", m.Add(t.Context(), "r", []string{"a\x00"}), fault.Invalid, "")
	ok(t, m.Add(t.Context(), "r", nil))
	wantFault(t, "nothing in no repository", m.Add(t.Context(), "none", nil), fault.NotFound, "GIT_REPO_NOT_FOUND")
	ok(t, m.Add(t.Context(), "r", []string{"b*", "a"}))
	if got := sh(t, dir+"/r", "git status --porcelain"); got != "A  a\nA  b*\n?? bc\n" {
		t.Errorf("names were taken for patterns: %q", got)
	}
	hash, err := m.Commit(t.Context(), commit)
	if err != nil || hash != strings.TrimSpace(sh(t, dir+"/r", "git rev-parse HEAD")) {
		t.Errorf("%q %v", hash, err)
	}
	if got := sh(t, dir+"/r", "git log -1 --format='%an %ae %cn %ce %B'"); got != "Ä Name a@b Ä Name a@b subject\n\n# not a comment\n\n" {
		t.Errorf("%q", got)
	}
	sh(t, dir+"/r", "echo more >> a; rm 'b*'")
	wantFault(t, "changes that are not staged", errOf(m.Commit(t.Context(), commit)), fault.Conflict, "")
	ok(t, m.Add(t.Context(), "r", []string{"b*"})) // a deletion
	ok(t, m.Add(t.Context(), "r", []string{"."}))
	if _, err := m.Commit(t.Context(), commit); err != nil {
		t.Error(err)
	}
	commit.AllowEmpty = true
	if _, err := m.Commit(t.Context(), commit); err != nil {
		t.Error(err)
	}
	commit.Message = " \n"
	wantFault(t, "blank message", errOf(m.Commit(t.Context(), commit)), fault.Invalid, "")
	commit.Message, commit.Author = "x", "<>"
	wantFault(t, "blank author", errOf(m.Commit(t.Context(), commit)), fault.Invalid, "")
	sh(t, dir+"/r", "touch .git/index.lock")
	err = m.Add(t.Context(), "r", []string{"."})
	wantFault(t, "lock left over", err, fault.Conflict, "")
	if !strings.Contains(err.Error(), "index.lock") {
		t.Errorf("the lock is not named: %v", err)
	}
}

func TestBranchesAndCheckout(t *testing.T) {
	m, dir := open(t)
	sh(t, dir, origin)
	ok(t, m.Init(t.Context(), "fresh", false, "trunk"))
	if b, err := m.Branches(t.Context(), "fresh"); err != nil || b.Names == nil || len(b.Names) != 0 ||
		b.Current != "trunk" {
		t.Errorf("without commits: %+v %v", b, err)
	}
	ok(t, m.Clone(t.Context(), git.CloneSpec{URL: dir + "/origin.git", Path: "r"}))
	ok(t, m.CreateBranch(t.Context(), "r", "feat/x"))
	if b, err := m.Branches(t.Context(), "r"); err != nil || !slices.Equal(b.Names, []string{"feat/x", "main"}) ||
		b.Current != "feat/x" {
		t.Errorf("%+v %v", b, err)
	}
	wantFault(t, "exists", m.CreateBranch(t.Context(), "r", "main"), fault.Conflict, "GIT_BRANCH_EXISTS")
	for _, bad := range []string{"-f", "a..b", "a b", "x.lock"} {
		wantFault(t, bad, m.CreateBranch(t.Context(), "r", bad), fault.Invalid, "")
	}
	wantFault(t, "current", m.DeleteBranch(t.Context(), "r", "feat/x"), fault.Conflict, "")
	wantFault(t, "missing", m.DeleteBranch(t.Context(), "r", "none"), fault.NotFound, "GIT_BRANCH_NOT_FOUND")
	ok(t, m.Checkout(t.Context(), "r", "main"))
	ok(t, m.DeleteBranch(t.Context(), "r", "feat/x"))
	ok(t, m.Checkout(t.Context(), "r", "side")) // origin's
	if st, err := m.Status(t.Context(), "r"); err != nil || st.Branch != "side" || st.Upstream != "origin/side" {
		t.Errorf("%+v %v", st, err)
	}
	hash := strings.TrimSpace(sh(t, dir+"/r", "git rev-parse main"))
	for _, rev := range []string{"v1", hash, hash[:8], "main~1"} {
		ok(t, m.Checkout(t.Context(), "r", rev))
		if b, err := m.Branches(t.Context(), "r"); err != nil || b.Current != "" {
			t.Errorf("%s: %+v %v", rev, b, err)
		}
	}
	for _, rev := range []string{"none", "-", "--force", "f", strings.Repeat("a", 40)} {
		wantFault(t, rev, m.Checkout(t.Context(), "r", rev), fault.NotFound, "GIT_BRANCH_NOT_FOUND")
	}
	ok(t, m.Checkout(t.Context(), "r", "main"))
	sh(t, dir+"/r", "echo local > d/x")
	ok(t, m.Checkout(t.Context(), "r", "side")) // carried over
	ok(t, m.Checkout(t.Context(), "r", "main"))
	sh(t, dir+"/r", "echo local > f")
	wantFault(t, "conflicting change", m.Checkout(t.Context(), "r", "v1"), fault.Conflict, "GIT_DIRTY_WORKTREE")
	sh(t, dir+"/r", "git checkout -q f; echo > side")
	wantFault(t, "file in the way", m.Checkout(t.Context(), "r", "side"), fault.Conflict, "GIT_DIRTY_WORKTREE")
}

func TestHistory(t *testing.T) {
	m, dir := open(t)
	sh(t, dir, origin)
	var got []git.Commit
	ok(t, m.History(t.Context(), "seed", func(c git.Commit) error { got = append(got, c); return nil }))
	if len(got) != 3 || got[0].Message != "side\n" || got[2].Message != "one\n" || got[0].Author != "T" ||
		got[0].Email != "t@x" || !regexp.MustCompile(`^[0-9a-f]{40}$`).MatchString(got[1].Hash) {
		t.Errorf("%+v", got)
	}
	if _, err := time.Parse(time.RFC3339, got[0].Time); err != nil {
		t.Error(err)
	}
	stop := errors.New("enough")
	if err := m.History(t.Context(), "seed", func(git.Commit) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("went on: %v", err)
	}
	ok(t, m.Init(t.Context(), "fresh", false, ""))
	wantFault(t, "no commits", m.History(t.Context(), "fresh", nil), fault.NotFound, "GIT_BRANCH_NOT_FOUND")
}

func TestResetAndRestore(t *testing.T) {
	m, dir := open(t)
	sh(t, dir, origin)
	porcelain := func() string { t.Helper(); return sh(t, dir+"/seed", "git status --porcelain; git log -1 --format=%s") }
	sh(t, dir+"/seed", "git checkout -q main; echo new > f; echo n > d/x; git add .")
	ok(t, m.Reset(t.Context(), git.ResetSpec{Path: "seed", Files: []string{"f"}}))
	if got := porcelain(); got != "M  d/x\n M f\ntwo\n" {
		t.Errorf("files: %q", got)
	}
	ok(t, m.Reset(t.Context(), git.ResetSpec{Path: "seed", Mode: "soft", Target: "v1"}))
	if got := porcelain(); got != "M  d/x\nMM f\none\n" {
		t.Errorf("soft: %q", got)
	}
	ok(t, m.Reset(t.Context(), git.ResetSpec{Path: "seed"}))
	if got := porcelain(); got != " M d/x\n M f\none\n" {
		t.Errorf("mixed: %q", got)
	}
	wantFault(t, "keep over changes", m.Reset(t.Context(), git.ResetSpec{Path: "seed", Mode: "keep", Target: "main@{1}"}),
		fault.Conflict, "GIT_DIRTY_WORKTREE")
	ok(t, m.Restore(t.Context(), git.RestoreSpec{Path: "seed", Files: []string{"f"}}))
	sh(t, dir+"/seed", "git add .; echo w > d/x")
	ok(t, m.Restore(t.Context(), git.RestoreSpec{Path: "seed", Files: []string{"."}, Staged: true}))
	if got := porcelain(); got != " M d/x\none\n" {
		t.Errorf("staged: %q", got)
	}
	ok(t, m.Restore(t.Context(), git.RestoreSpec{
		Path: "seed", Files: []string{"."}, Staged: true, Worktree: true,
		Source: "side",
	}))
	if got := porcelain(); got != "M  f\nA  side\none\n" {
		t.Errorf("source: %q", got)
	}
	ok(t, m.Reset(t.Context(), git.ResetSpec{Path: "seed", Mode: "hard", Target: "side"}))
	for _, tc := range []struct {
		spec git.ResetSpec
		kind fault.Kind
		code string
	}{
		{git.ResetSpec{Path: "seed", Mode: "wild"}, fault.Invalid, ""},
		{git.ResetSpec{Path: "seed", Mode: "hard", Files: []string{"f"}}, fault.Invalid, ""},
		{git.ResetSpec{Path: "seed", Target: "none"}, fault.NotFound, "GIT_BRANCH_NOT_FOUND"},
		{git.ResetSpec{Path: "seed", Target: "--hard"}, fault.NotFound, "GIT_BRANCH_NOT_FOUND"},
		{git.ResetSpec{Path: "none"}, fault.NotFound, "GIT_REPO_NOT_FOUND"},
	} {
		wantFault(t, fmt.Sprint(tc.spec), m.Reset(t.Context(), tc.spec), tc.kind, tc.code)
	}
	wantFault(t, "restore nothing known", m.Restore(t.Context(), git.RestoreSpec{Path: "seed", Files: []string{"none"}}),
		fault.NotFound, "FILE_NOT_FOUND")
	wantFault(t, "restore from nowhere", m.Restore(t.Context(),
		git.RestoreSpec{Path: "seed", Files: []string{"f"}, Source: "none"}), fault.NotFound, "GIT_BRANCH_NOT_FOUND")
}

func TestPushAndPull(t *testing.T) {
	m, dir := open(t)
	sh(t, dir, origin)
	for _, p := range []string{"a", "b"} {
		ok(t, m.Clone(t.Context(), git.CloneSpec{URL: dir + "/origin.git", Path: p}))
	}
	push := func(p string) error { return m.Push(t.Context(), git.TransferSpec{Path: p}) }
	pull := func(p string) error { return m.Pull(t.Context(), git.TransferSpec{Path: p}) }
	ok(t, push("a")) // up to date
	ok(t, pull("a"))
	sh(t, dir+"/a", "echo 3 > f; git commit -q -am three")
	ok(t, push("a"))
	ok(t, pull("b"))
	if got := sh(t, dir+"/b", "cat f"); got != "3\n" {
		t.Errorf("pulled %q", got)
	}
	sh(t, dir+"/a", "echo 4 > f; git commit -q -am four")
	sh(t, dir+"/b", "echo 5 > g; git add g; git commit -q -m five")
	ok(t, push("a"))
	wantFault(t, "not fast-forward", push("b"), fault.Conflict, "GIT_PUSH_REJECTED")
	wantFault(t, "diverged", pull("b"), fault.Conflict, "GIT_MERGE_CONFLICT")
	sh(t, dir+"/b", "git reset -q --hard HEAD~1; echo local > f")
	wantFault(t, "local changes", pull("b"), fault.Conflict, "GIT_DIRTY_WORKTREE")
	sh(t, dir+"/b", "git checkout -q f; git checkout -q -b new; echo n > n; git add n; git commit -q -m n")
	wantFault(t, "no such branch", m.Push(t.Context(), git.TransferSpec{Path: "b", Branch: "none"}), fault.NotFound,
		"GIT_BRANCH_NOT_FOUND")
	wantFault(t, "no such remote", m.Push(t.Context(), git.TransferSpec{Path: "b", Remote: "none"}), fault.NotFound,
		"GIT_REPO_NOT_FOUND")
	wantFault(t, "pull of no such branch", m.Pull(t.Context(), git.TransferSpec{Path: "b", Branch: "none"}),
		fault.NotFound, "GIT_BRANCH_NOT_FOUND")
	ok(t, m.Push(t.Context(), git.TransferSpec{Path: "b", SetUpstream: true}))
	if st, err := m.Status(t.Context(), "b"); err != nil || st.Upstream != "origin/new" || st.Ahead != 0 {
		t.Errorf("%+v %v", st, err)
	}
	sh(t, dir+"/a", "git fetch -q; git checkout -q -b new --no-track origin/main~1")
	ok(t, pull("a")) // no upstream: the same name at origin
	if got := sh(t, dir+"/a", "cat n"); got != "n\n" {
		t.Errorf("pulled %q", got)
	}
	sh(t, dir, "printf '#!/bin/sh\necho no entry; exit 1\n' > origin.git/hooks/pre-receive; chmod +x origin.git/hooks/pre-receive")
	sh(t, dir+"/b", "echo 6 > h; git add h; git commit -q -m six")
	err := push("b")
	wantFault(t, "hook", err, fault.Unprocessable, "GIT_REMOTE_REJECTED")
	if !strings.Contains(err.Error(), "no entry") {
		t.Errorf("the hook's reason is lost: %v", err)
	}
	sh(t, dir+"/b", "git checkout -q --detach")
	wantFault(t, "push of a detached HEAD", push("b"), fault.Conflict, "")
	wantFault(t, "pull into a detached HEAD", pull("b"), fault.Conflict, "")
}

func TestRemotes(t *testing.T) {
	m, dir := open(t)
	sh(t, dir, origin)
	ok(t, m.Init(t.Context(), "r", false, ""))
	if got, err := m.Remotes(t.Context(), "r"); err != nil || got == nil || len(got) != 0 {
		t.Errorf("%v %v", got, err)
	}
	add := func(name, url string, fetch, overwrite bool) error {
		return m.AddRemote(t.Context(), "r", git.Remote{Name: name, URL: url}, fetch, overwrite)
	}
	ok(t, add("origin", dir+"/origin.git", true, false))
	ok(t, add("up.stream", "https://example.com/x", false, false))
	wantFault(t, "taken", add("origin", "x", false, false), fault.Conflict, "")
	ok(t, add("up.stream", "https://example.com/y", false, true))
	wantFault(t, "bad name", add("a..b", "x", false, false), fault.Invalid, "")
	wantFault(t, "dash", add("-x", "x", false, false), fault.Invalid, "")
	wantFault(t, "cannot be fetched", add("broken", dir+"/none", true, false), fault.NotFound, "GIT_REPO_NOT_FOUND")
	got, err := m.Remotes(t.Context(), "r")
	if err != nil || !slices.Equal(got, []git.Remote{
		{Name: "origin", URL: dir + "/origin.git"},
		{Name: "up.stream", URL: "https://example.com/y"},
	}) {
		t.Errorf("%v %v", got, err)
	}
	if got := sh(t, dir+"/r", "git rev-parse origin/main"); len(got) != 41 {
		t.Errorf("not fetched: %q", got)
	}
	_, err = m.Remotes(t.Context(), ".")
	wantFault(t, "no repository", err, fault.NotFound, "GIT_REPO_NOT_FOUND")
}

func TestConfig(t *testing.T) {
	m, dir := open(t)
	ok(t, m.Init(t.Context(), "r", false, ""))
	if v, err := m.Config(t.Context(), "", "", "user.name"); v != nil || err != nil {
		t.Errorf("unset: %v %v", v, err)
	}
	for _, tc := range []struct{ scope, path, value string }{
		{"", "", "Global"},
		{"local", "r", "-x --y"},
		{"global", "", "two\nlines "},
		{"local", "r", ""},
	} {
		ok(t, m.SetConfig(t.Context(), tc.scope, tc.path, [2]string{"user.name", tc.value}, [2]string{"user.email", "e"}))
		if v, err := m.Config(t.Context(), tc.scope, tc.path, "user.name"); err != nil || v == nil || *v != tc.value {
			t.Errorf("%+v: %v %v", tc, v, err)
		}
	}
	sh(t, dir+"/r", "git config --add x.y 1; git config --add x.y 2")
	ok(t, m.SetConfig(t.Context(), "local", "r", [2]string{"x.y", "3"}))
	if got := sh(t, dir+"/r", "git config --get-all x.y"); got != "3\n" {
		t.Errorf("%q", got)
	}
	for _, tc := range []struct{ scope, path, key string }{
		{"wild", "", "a.b"},
		{"local", "", "a.b"},
		{"", "", "nosection"},
		{"", "", "--list"},
		{"", "", "a.b\x00"},
	} {
		_, err := m.Config(t.Context(), tc.scope, tc.path, tc.key)
		wantFault(t, fmt.Sprint(tc), err, fault.Invalid, "")
		wantFault(t, fmt.Sprint(tc), m.SetConfig(t.Context(), tc.scope, tc.path, [2]string{tc.key, "x"}), fault.Invalid, "")
	}
	_, err := m.Config(t.Context(), "local", "none", "a.b")
	wantFault(t, "no repository", err, fault.NotFound, "GIT_REPO_NOT_FOUND")
}

func TestStoredCredentialsAreUsedByGit(t *testing.T) {
	m, _ := open(t)
	ok(t, m.SetConfig(t.Context(), "", "", [2]string{"credential.helper", "cache"}))
	for range 2 {
		ok(t, m.StoreCredentials(t.Context(), "", "", git.Credentials{Username: "u", Password: "p:/@ x"}))
	}
	ok(t, m.StoreCredentials(t.Context(), "http", "git.local:8080", git.Credentials{Username: "v", Password: "q"}))
	if got := sh(t, "/", "git config --get-all credential.helper; sort ~/.git-credentials; stat -c %a ~/.git-credentials"); got != "cache\nstore\nhttp://v:q@git.local%3a8080\nhttps://u:p%3a%2f%40%20x@github.com\n600\n" {
		t.Errorf("%s", got)
	}
	wantFault(t, "line end", m.StoreCredentials(t.Context(), "", "a\nhost=b",
		git.Credentials{Username: "u", Password: "p"}), fault.Invalid, "")
	wantFault(t, "no password", m.StoreCredentials(t.Context(), "", "", git.Credentials{Username: "u"}), fault.Invalid, "")
}

const secret = "s3cret-%41 'quoted\" $(x)"

// forge serves the repositories of dir over HTTP to one user, and looks for the secret in every process's arguments and
// environment while it does.
func forge(t *testing.T, dir string) (base string, seen *sync.Map) {
	t.Helper()
	seen = &sync.Map{}
	core := strings.TrimSpace(sh(t, dir, "git --exec-path"))
	backend := &cgi.Handler{
		Path: core + "/git-http-backend",
		Env:  []string{"GIT_PROJECT_ROOT=" + dir, "GIT_HTTP_EXPORT_ALL=1", "REMOTE_USER=u"},
	}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, pattern := range []string{"/proc/[0-9]*/cmdline", "/proc/[0-9]*/environ"} {
			files, _ := filepath.Glob(pattern)
			for _, f := range files {
				if data, _ := os.ReadFile(f); bytes.Contains(data, []byte("s3cret")) {
					seen.Store(f, string(data))
				}
			}
		}
		user, password, given := r.BasicAuth()
		switch {
		case strings.HasPrefix(r.URL.Path, "/forbidden"):
			w.WriteHeader(http.StatusForbidden)
		case strings.HasPrefix(r.URL.Path, "/broken"):
			w.WriteHeader(http.StatusInternalServerError)
		case !given || user != "u" || password != secret:
			w.Header().Set("WWW-Authenticate", `Basic realm="forge"`)
			w.WriteHeader(http.StatusUnauthorized)
		default:
			backend.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(srv.Close)
	return srv.URL, seen
}

func TestCredentialsWorkAndLeaveNoTrace(t *testing.T) {
	m, dir := open(t)
	sh(t, dir, origin+"; git -C ../origin.git config http.receivepack true")
	base, seen := forge(t, dir)
	creds := git.Credentials{Username: "u", Password: secret}
	ok(t, m.SetConfig(t.Context(), "", "", [2]string{"credential.helper", "store"})) // would keep what works
	ok(t, m.Clone(t.Context(), git.CloneSpec{URL: base + "/origin.git", Path: "r", Credentials: creds}))
	sh(t, dir+"/r", "echo 3 > f; git commit -q -am three")
	wantFault(t, "push without", m.Push(t.Context(), git.TransferSpec{Path: "r"}), fault.Unauthenticated,
		"GIT_AUTH_FAILED")
	wantFault(t, "push with a wrong one", m.Push(t.Context(), git.TransferSpec{
		Path: "r", Credentials: git.Credentials{Username: "u", Password: "wrong"},
	}), fault.Unauthenticated, "GIT_AUTH_FAILED")
	wantFault(t, "push with a user alone", m.Push(t.Context(),
		git.TransferSpec{Path: "r", Credentials: git.Credentials{Username: "u"}}), fault.Unauthenticated, "GIT_AUTH_FAILED")
	ok(t, m.Push(t.Context(), git.TransferSpec{Path: "r", Credentials: creds}))
	ok(t, m.Pull(t.Context(), git.TransferSpec{Path: "r", Credentials: creds}))
	wantFault(t, "clone without", m.Clone(t.Context(), git.CloneSpec{URL: base + "/origin.git", Path: "s"}),
		fault.Unauthenticated, "GIT_AUTH_FAILED")
	wantFault(t, "no such repository", m.Clone(t.Context(),
		git.CloneSpec{URL: base + "/none.git", Path: "s", Credentials: creds}), fault.NotFound, "GIT_REPO_NOT_FOUND")
	wantFault(t, "forbidden", m.Clone(t.Context(), git.CloneSpec{
		URL: base + "/forbidden.git", Path: "s",
		Credentials: creds,
	}), fault.Forbidden, "FORBIDDEN")
	wantFault(t, "broken", m.Clone(t.Context(), git.CloneSpec{URL: base + "/broken.git", Path: "s", Credentials: creds}),
		fault.Upstream, "GIT_TRANSPORT_FAILED")
	err := m.Clone(t.Context(), git.CloneSpec{
		URL:  strings.Replace(base, "://", "://u:s3cret@", 1) + "/origin.git",
		Path: "s",
	})
	wantFault(t, "wrong ones in the URL", err, fault.Unauthenticated, "GIT_AUTH_FAILED")
	if strings.Contains(err.Error(), "s3cret") {
		t.Errorf("the error tells them: %v", err)
	}
	wantFault(t, "line end", m.Clone(t.Context(), git.CloneSpec{
		URL: base + "/origin.git", Path: "s",
		Credentials: git.Credentials{Username: "u", Password: "a\nhost=b"},
	}), fault.Invalid, "")
	seen.Range(func(file, data any) bool {
		if strings.Contains(data.(string), "://u:s3cret@") { // the caller's own URL
			return true
		}
		t.Errorf("the secret was in %s: %q", file, data)
		return true
	})
	if got := sh(t, dir, `grep -rlF s3cret . "$HOME" || true`); got != "" {
		t.Errorf("the secret is in %s", got)
	}
}

func TestCallsOnOneRepositoryWaitForOneAnother(t *testing.T) {
	m, dir := open(t)
	ok(t, m.Init(t.Context(), "r", false, ""))
	_ = os.Symlink("r", dir+"/link")
	var wg sync.WaitGroup
	for i := range 12 {
		wg.Go(func() {
			name := fmt.Sprint("f", i)
			_ = os.WriteFile(dir+"/r/"+name, nil, 0o600)
			path := []string{"r", "link", dir + "/r/"}[i%3]
			if err := m.Add(t.Context(), path, []string{name}); err != nil {
				t.Error(err)
			}
			if _, err := m.Commit(t.Context(), git.CommitSpec{
				Path: path, Message: name, Author: "a", Email: "e",
				AllowEmpty: true,
			}); err != nil {
				t.Error(err)
			}
			if _, err := m.Status(t.Context(), path); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := strings.TrimSpace(sh(t, dir+"/r", "git rev-list --count HEAD; git status --porcelain")); got != "12" {
		t.Errorf("%q", got)
	}
}

func TestCloneEndsWithItsCaller(t *testing.T) {
	m, dir := open(t)
	reached := make(chan struct{})
	gone := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(reached)
		<-r.Context().Done()
		close(gone)
	}))
	defer srv.Close()
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-reached; cancel() }()
	if err := m.Clone(ctx, git.CloneSpec{URL: srv.URL + "/a.git", Path: "x/y"}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	<-gone
	if _, err := os.Stat(dir + "/x"); err == nil {
		t.Error("something is left")
	}
}

// TestWithoutGit goes through what the library can do, where the sandbox has no git program. The forge and the checks
// have one.
func TestWithoutGit(t *testing.T) {
	_, dir := open(t)
	sh(t, dir, origin+"; git -C ../origin.git config http.receivepack true")
	base, _ := forge(t, dir)
	creds := git.Credentials{Username: "u", Password: secret}
	processes, err := process.NewManager(process.Config{Dir: dir, Env: []string{"PATH=" + dir, "HOME=" + t.TempDir()}})
	ok(t, err)
	defer processes.Close(0)
	m := git.New(processes)
	ctx := t.Context()
	ok(t, m.Clone(ctx, git.CloneSpec{URL: base + "/origin.git", Path: "p/r", Credentials: creds}))
	if st, err := m.Status(ctx, "p/r"); err != nil || st.Branch != "main" || st.Upstream != "origin/main" ||
		len(st.Files) != 0 {
		t.Errorf("%+v %v", st, err)
	}
	for what, tc := range map[string]struct {
		spec git.CloneSpec
		kind fault.Kind
		code string
	}{
		"no such repository": {
			git.CloneSpec{URL: base + "/none.git", Path: "n/w", Credentials: creds},
			fault.NotFound,
			"GIT_REPO_NOT_FOUND",
		},
		"no such branch": {
			git.CloneSpec{URL: base + "/origin.git", Path: "n/w", Branch: "none", Credentials: creds},
			fault.NotFound, "GIT_BRANCH_NOT_FOUND",
		},
		"no such commit": {git.CloneSpec{
			URL: base + "/origin.git", Path: "n/w", CommitID: strings.Repeat("a", 40),
			Credentials: creds,
		}, fault.NotFound, "GIT_BRANCH_NOT_FOUND"},
		"no credentials": {
			git.CloneSpec{URL: base + "/origin.git", Path: "n/w"},
			fault.Unauthenticated,
			"GIT_AUTH_FAILED",
		},
		"forbidden": {git.CloneSpec{URL: base + "/forbidden", Path: "n/w"}, fault.Forbidden, "FORBIDDEN"},
		"refused": {
			git.CloneSpec{URL: "http://127.0.0.1:1/a.git", Path: "n/w"},
			fault.Upstream,
			"GIT_TRANSPORT_FAILED",
		},
		"taken": {
			git.CloneSpec{URL: base + "/origin.git", Path: "seed", Credentials: creds},
			fault.Conflict,
			"",
		},
		"local": {git.CloneSpec{URL: dir + "/origin.git", Path: "n/w"}, fault.Unavailable, ""},
	} {
		wantFault(t, what, m.Clone(ctx, tc.spec), tc.kind, tc.code)
	}
	if _, err := os.Stat(dir + "/n"); err == nil {
		t.Error("a failed clone left something")
	}
	first := strings.TrimSpace(sh(t, dir+"/seed", "git rev-parse v1"))
	ok(t, m.Clone(ctx, git.CloneSpec{URL: base + "/origin.git", Path: "at", CommitID: first, Credentials: creds}))
	if st, err := m.Status(ctx, "at"); err != nil || !st.Detached || st.Branch != "HEAD" || len(st.Files) != 0 {
		t.Errorf("%+v %v", st, err)
	}
	sh(t, dir+"/p/r", "echo 3 > f; rm d/x; echo new > n")
	st, err := m.Status(ctx, "p/r")
	if err != nil || fmt.Sprint(st.Files) != fmt.Sprint([]git.FileStatus{
		{Name: "d/x", Staging: git.Unmodified, Worktree: git.Deleted},
		{Name: "f", Staging: git.Unmodified, Worktree: git.Modified},
		{Name: "n", Staging: git.Untracked, Worktree: git.Untracked},
	}) {
		t.Errorf("%+v %v", st, err)
	}
	commit := git.CommitSpec{Path: "p/r", Message: "three", Author: "A", Email: "a@x"}
	wantFault(t, "nothing staged", errOf(m.Commit(ctx, commit)), fault.Conflict, "")
	wantFault(t, "missing file", m.Add(ctx, "p/r", []string{"none"}), fault.NotFound, "FILE_NOT_FOUND")
	ok(t, m.Add(ctx, "p/r", []string{"f", "d/x"}))
	ok(t, m.Add(ctx, "p/r", []string{"."}))
	hash, err := m.Commit(ctx, commit)
	if err != nil || hash != strings.TrimSpace(sh(t, dir+"/p/r", "git rev-parse HEAD; git status --porcelain")) {
		t.Errorf("%q %v", hash, err)
	}
	if st, err := m.Status(ctx, "p/r"); err != nil || st.Ahead != 1 || st.Behind != 0 {
		t.Errorf("%+v %v", st, err)
	}
	wantFault(t, "push without credentials", m.Push(ctx, git.TransferSpec{Path: "p/r"}), fault.Unauthenticated,
		"GIT_AUTH_FAILED")
	for range 2 {
		ok(t, m.Push(ctx, git.TransferSpec{Path: "p/r", Credentials: creds}))
	}
	sh(t, dir+"/seed", "git checkout -q main; echo other > o; git add o; git commit -q -m other; git push -q -f origin main")
	wantFault(t, "diverged", m.Pull(ctx, git.TransferSpec{Path: "p/r", Credentials: creds}), fault.Conflict,
		"GIT_MERGE_CONFLICT")
	wantFault(t, "not fast-forward", m.Push(ctx, git.TransferSpec{Path: "p/r", Credentials: creds}), fault.Conflict,
		"GIT_PUSH_REJECTED")
	wantFault(t, "no such branch", m.Push(ctx, git.TransferSpec{Path: "p/r", Branch: "none", Credentials: creds}),
		fault.NotFound, "GIT_BRANCH_NOT_FOUND")
	ok(t, m.Reset(ctx, git.ResetSpec{Path: "p/r", Mode: "hard", Target: "HEAD~1"}))
	ok(t, m.Pull(ctx, git.TransferSpec{Path: "p/r", Credentials: creds}))
	if got := sh(t, dir+"/p/r", "cat o"); got != "other\n" {
		t.Errorf("%q", got)
	}
	ok(t, m.CreateBranch(ctx, "p/r", "x/y"))
	ok(t, m.Push(ctx, git.TransferSpec{Path: "p/r", SetUpstream: true, Credentials: creds}))
	wantFault(t, "exists", m.CreateBranch(ctx, "p/r", "main"), fault.Conflict, "GIT_BRANCH_EXISTS")
	wantFault(t, "bad name", m.CreateBranch(ctx, "p/r", "a..b"), fault.Invalid, "")
	wantFault(t, "current", m.DeleteBranch(ctx, "p/r", "x/y"), fault.Conflict, "")
	ok(t, m.Checkout(ctx, "p/r", "side"))
	if st, err := m.Status(ctx, "p/r"); err != nil || st.Upstream != "origin/side" {
		t.Errorf("%+v %v", st, err)
	}
	ok(t, m.DeleteBranch(ctx, "p/r", "x/y"))
	wantFault(t, "missing", m.DeleteBranch(ctx, "p/r", "x/y"), fault.NotFound, "GIT_BRANCH_NOT_FOUND")
	wantFault(t, "missing", m.Checkout(ctx, "p/r", "none"), fault.NotFound, "GIT_BRANCH_NOT_FOUND")
	ok(t, m.Checkout(ctx, "p/r", "v1"))
	if b, err := m.Branches(ctx, "p/r"); err != nil || b.Current != "" ||
		!slices.Equal(b.Names, []string{"main", "side"}) {
		t.Errorf("%+v %v", b, err)
	}
	n := 0
	ok(t, m.History(ctx, "seed", func(git.Commit) error { n++; return nil }))
	if n != 3 {
		t.Errorf("%d commits", n)
	}
	ok(t, m.Init(ctx, "fresh", false, "trunk"))
	ok(t, m.Init(ctx, "fresh", false, ""))
	sh(t, dir, "echo > file")
	wantFault(t, "below a file", m.Init(ctx, "file/r", false, ""), fault.Invalid, "")
	if st, err := m.Status(ctx, "fresh"); err != nil || st.Branch != "trunk" {
		t.Errorf("%+v %v", st, err)
	}
	wantFault(t, "no commits", m.History(ctx, "fresh", nil), fault.NotFound, "GIT_BRANCH_NOT_FOUND")
	ok(t, m.AddRemote(ctx, "fresh", git.Remote{Name: "o", URL: "https://x/y"}, false, false))
	wantFault(t, "taken", m.AddRemote(ctx, "fresh", git.Remote{Name: "o", URL: "x"}, false, false), fault.Conflict, "")
	ok(t, m.AddRemote(ctx, "fresh", git.Remote{Name: "o", URL: "https://x/z"}, false, true))
	if r, err := m.Remotes(ctx, "fresh"); err != nil || !slices.Equal(r, []git.Remote{{Name: "o", URL: "https://x/z"}}) {
		t.Errorf("%v %v", r, err)
	}
	for _, scope := range []string{"global", "local"} {
		if v, err := m.Config(ctx, scope, "fresh", "user.name"); v != nil || err != nil {
			t.Errorf("%v %v", v, err)
		}
		ok(t, m.SetConfig(ctx, scope, "fresh", [2]string{"user.name", "N \"q\""}, [2]string{"url.a.b.insteadOf", "c"}))
		if v, err := m.Config(ctx, scope, "fresh", "user.name"); err != nil || *v != "N \"q\"" {
			t.Errorf("%v %v", v, err)
		}
	}
	if got := sh(t, dir+"/fresh", "git config --local user.name; git config --local url.a.b.insteadof; git remote"); got != "N \"q\"\nc\no\n" {
		t.Errorf("git reads %q", got)
	}
	wantFault(t, "bad key", errOf(m.Config(ctx, "", "", "nosection")), fault.Invalid, "")
	_, err = m.Status(ctx, "none")
	wantFault(t, "no repository", err, fault.NotFound, "GIT_REPO_NOT_FOUND")
	for what, err := range map[string]error{
		"keep": m.Reset(ctx, git.ResetSpec{Path: "p/r", Mode: "keep"}), "store": m.StoreCredentials(ctx, "", "", creds),
		"source": m.Restore(ctx, git.RestoreSpec{Path: "p/r", Files: []string{"f"}, Source: "v1"}),
	} {
		if !errors.Is(err, git.ErrNoGit) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func BenchmarkStatus(b *testing.B) {
	m, dir := open(b)
	sh(b, dir, "git init -q r; cd r; for d in $(seq 200); do mkdir $d; for f in $(seq 100); do echo $d$f > $d/$f; done; done; git add .; git commit -q -m x; sleep 1; git status -s")
	b.Run("ours", func(b *testing.B) {
		for b.Loop() {
			if _, err := m.Status(b.Context(), "r"); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("git", func(b *testing.B) {
		for b.Loop() {
			c := exec.Command("git", "--no-optional-locks", "status", "--porcelain=v2", "--branch", "-z", "-uall")
			c.Dir = dir + "/r"
			if out, err := c.CombinedOutput(); err != nil {
				b.Fatal(err, string(out))
			}
		}
	})
}
