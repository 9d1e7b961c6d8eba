package git_test

import (
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/workspace/git"
)

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
	sh(t, dir+"/r", `git reset -q --hard; git clean -qfd; git checkout -q -b other HEAD~1; echo o > f
		git commit -q -am o; git checkout -q main; echo m > f; git commit -q -am m; git merge other || true`)
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

func TestAddAndCommit(t *testing.T) {
	m, dir := open(t)
	ok(t, m.Init(t.Context(), "r", false, ""))
	sh(t, dir+"/r", `echo 1 > a; echo 2 > 'b*'; echo 3 > bc; echo i > ign; echo ign > .git/info/exclude
		mkdir -p .git/hooks; cd .git/hooks; printf '#!/bin/sh\nexit 1\n' > pre-commit; chmod +x pre-commit`)
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
	got := sh(t, dir+"/r", "git log -1 --format='%an %ae %cn %ce %B'")
	if got != "Ä Name a@b Ä Name a@b subject\n\n# not a comment\n\n" {
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

func BenchmarkStatus(b *testing.B) {
	m, dir := open(b)
	sh(b, dir, `git init -q r; cd r; for d in $(seq 200); do mkdir $d; for f in $(seq 100); do echo $d$f > $d/$f
		done; done; git add .; git commit -q -m x; sleep 1; git status -s`)
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

func TestExpressionsAreNoBranches(t *testing.T) {
	m, dir := open(t)
	sh(t, dir, origin)
	ok(t, m.Clone(t.Context(), git.CloneSpec{URL: dir + "/origin.git", Path: "r"}))
	sh(t, dir+"/r", `git checkout -q -b other; git checkout -q main; git reset -q --hard v1; echo own > own
		git add own; git commit -q -m own`)
	before := sh(t, dir+"/r", "git for-each-ref refs/heads")
	for _, name := range []string{
		"+main:main", "main:evil", "*", "refs/heads/*", "@{-1}", "main~1", "a b", "main..other",
		"^main", "a\nb",
	} {
		wantFault(t, "pull "+name, m.Pull(t.Context(), git.TransferSpec{Path: "r", Branch: name}), fault.NotFound,
			"GIT_BRANCH_NOT_FOUND")
		wantFault(t, "push "+name, m.Push(t.Context(), git.TransferSpec{Path: "r", Branch: name}), fault.NotFound,
			"GIT_BRANCH_NOT_FOUND")
		wantFault(t, "delete "+name, m.DeleteBranch(t.Context(), "r", name), fault.NotFound, "GIT_BRANCH_NOT_FOUND")
	}
	if after := sh(t, dir+"/r", "git for-each-ref refs/heads"); after != before {
		t.Errorf("branches became\n%sfrom\n%s", after, before)
	}
	wantFault(t, "a tree", m.Checkout(t.Context(), "r", "HEAD:d"), fault.NotFound, "GIT_BRANCH_NOT_FOUND")
	ok(t, m.CreateBranch(t.Context(), "r", "x/y"))
	wantFault(t, "a branch where a folder of branches is", m.CreateBranch(t.Context(), "r", "x"), fault.Conflict, "")
	wantFault(t, "first branch", m.Init(t.Context(), "new", false, "-x"), fault.Invalid, "")
}

func TestBareRepositoriesSayWhatTheyCannotDo(t *testing.T) {
	m, dir := open(t)
	sh(t, dir, origin)
	_, err := m.Status(t.Context(), "origin.git")
	for what, err := range map[string]error{
		"status": err, "add": m.Add(t.Context(), "origin.git", []string{"."}),
		"reset":    m.Reset(t.Context(), git.ResetSpec{Path: "origin.git"}),
		"checkout": m.Checkout(t.Context(), "origin.git", "side"),
		"pull":     m.Pull(t.Context(), git.TransferSpec{Path: "origin.git"}),
	} {
		wantFault(t, what, err, fault.Unprocessable, "")
	}
	if b, err := m.Branches(t.Context(), "origin.git"); err != nil || len(b.Names) != 2 || b.Current != "main" {
		t.Errorf("%+v %v", b, err)
	}
	n := 0
	ok(t, m.History(t.Context(), "origin.git", func(git.Commit) error { n++; return nil }))
	if n != 2 {
		t.Errorf("%d commits", n)
	}
}
