package git_test

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/process"
	"github.com/sandlot-dev/sandlot/workspace/git"
)

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
	sh(t, dir+"/seed", `git checkout -q main; echo other > o; git add o; git commit -q -m other
		git push -q -f origin main`)
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
	got := sh(t, dir+"/fresh", "git config --local user.name; git config --local url.a.b.insteadof; git remote")
	if got != "N \"q\"\nc\no\n" {
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

// TestWithoutGitAtItsEdges holds that the library's oddities have the answers of the program, or say that it is needed.
func TestWithoutGitAtItsEdges(t *testing.T) {
	_, dir := open(t)
	sh(t, dir, origin+"; git init -q --bare ../empty.git")
	base, _ := forge(t, dir)
	creds := git.Credentials{Username: "u", Password: secret}
	home := t.TempDir()
	processes, err := process.NewManager(process.Config{Dir: dir, Env: []string{"PATH=" + dir, "HOME=" + home}})
	ok(t, err)
	defer processes.Close(0)
	m, ctx := git.New(processes), t.Context()
	ok(t, m.Clone(ctx, git.CloneSpec{URL: base + "/origin.git", Path: "r", Credentials: creds}))
	ok(t, m.Clone(ctx, git.CloneSpec{URL: base + "/empty.git", Path: "empty", Credentials: creds}))
	if st, err := m.Status(ctx, "empty"); err != nil || st.Upstream != "origin/master" || len(st.Files) != 0 {
		t.Errorf("%+v %v", st, err)
	}
	wantFault(t, "a branch of an empty repository", m.Clone(ctx, git.CloneSpec{
		URL: base + "/empty.git", Path: "n", Branch: "x", Credentials: creds,
	}), fault.NotFound, "GIT_BRANCH_NOT_FOUND")
	for what, tc := range map[string]struct {
		err  error
		kind fault.Kind
		code string
	}{
		"scheme": {
			m.Clone(ctx, git.CloneSpec{URL: "ftp://127.0.0.1:1/x", Path: "n"}), fault.Upstream,
			"GIT_TRANSPORT_FAILED",
		},
		"no keys": {
			m.Clone(ctx, git.CloneSpec{URL: "ssh://git@127.0.0.1:1/x", Path: "n"}), fault.Unauthenticated,
			"GIT_AUTH_FAILED",
		},
		"NUL in a branch": {m.Clone(ctx, git.CloneSpec{
			URL: base + "/origin.git", Path: "n", Branch: "a\x00b",
			Credentials: creds,
		}), fault.NotFound, "GIT_BRANCH_NOT_FOUND"},
		"below a file":       {errOf(m.Status(ctx, "r/f")), fault.NotFound, "GIT_REPO_NOT_FOUND"},
		"bare":               {errOf(m.Status(ctx, "origin.git")), fault.Unprocessable, ""},
		"checkout of a tree": {m.Checkout(ctx, "r", "HEAD:d"), fault.NotFound, "GIT_BRANCH_NOT_FOUND"},
		"reset to a tree": {
			m.Reset(ctx, git.ResetSpec{Path: "r", Target: "HEAD:d"}), fault.NotFound,
			"GIT_BRANCH_NOT_FOUND",
		},
		"fetch of a path": {
			m.AddRemote(ctx, "r", git.Remote{Name: "p", URL: dir + "/origin.git"}, true, false),
			fault.Unavailable, "",
		},
		"NUL in a value": {m.SetConfig(ctx, "", "", [2]string{"a.b", "c\x00d"}), fault.Invalid, ""},
		"NUL in a user": {
			m.SetConfig(ctx, "", "", [2]string{"user.name", "c"}, [2]string{"user.email", "\x00"}),
			fault.Invalid, "",
		},
		"a value that is odd": {m.SetConfig(ctx, "", "", [2]string{"a.odd", "x\ny \"q\" \\ # ; é"}), fault.Unknown, ""},
	} {
		wantFault(t, what, tc.err, tc.kind, tc.code)
	}
	if v, err := m.Config(ctx, "", "", "a.odd"); err != nil || v == nil || *v != "x\ny \"q\" \\ # ; é" {
		t.Errorf("%v %v", v, err)
	}
	if v, err := m.Config(ctx, "", "", "user.name"); v != nil || err != nil {
		t.Errorf("half of a change was made: %v %v", v, err)
	}
	ok(t, m.Checkout(ctx, "r", "v1"))
	ok(t, m.Checkout(ctx, "r", "main"))
	_ = os.WriteFile(dir+"/r/new\nline", nil, 0o600)
	err = m.Add(ctx, "r", []string{"new\nline"})
	wantFault(t, "a name with a line end", err, fault.Unprocessable, "")
	ok(t, os.WriteFile(home+"/.gitconfig", []byte("[broken\n"), 0o600))
	wantFault(t, "broken configuration", errOf(m.Config(ctx, "", "", "a.b")), fault.Invalid, "")
	wantFault(t, "change of one", m.SetConfig(ctx, "", "", [2]string{"a.b", "c"}), fault.Invalid, "")
	if left := sh(t, dir, "ls -d n "+home+"/.gitconfig.lock 2>/dev/null || true"); left != "" {
		t.Errorf("left: %s", left)
	}
}

// TestPipesHoldNobodyUp puts pipes where the library reads. Each call has to come back, and leave the repository to the
// next.
func TestPipesHoldNobodyUp(t *testing.T) {
	_, dir := open(t)
	sh(t, dir, origin)
	processes, err := process.NewManager(process.Config{Dir: dir, Env: []string{"PATH=" + dir, "HOME=" + dir}})
	ok(t, err)
	defer processes.Close(0)
	m, ctx := git.New(processes), t.Context()
	for _, tc := range []struct {
		name, script string
		kind         fault.Kind // of all calls
	}{
		{"a new pipe", "mkfifo fifo d/fifo", fault.Unknown},
		{"a pipe for a file", "rm f; mkfifo f", fault.Unknown},
		{"a link to a pipe", "mkfifo ../p; ln -s ../p ln", fault.Unknown},
		{"ignore rules", "mkfifo .gitignore d/.gitignore; rm -f .git/info/exclude; mkfifo .git/info/exclude", fault.Unknown},
		{"configuration", "rm .git/config; mkfifo .git/config", fault.Unprocessable},
		{"HEAD", "rm .git/HEAD; mkfifo .git/HEAD", fault.Unprocessable},
		{"index", "rm -f .git/index; mkfifo .git/index", fault.Unprocessable},
		{"the repository", "rm -rf .git; mkfifo .git", fault.Unprocessable},
	} {
		sh(t, dir, "rm -rf r p; git clone -q origin.git r; cd r; "+tc.script)
		for what, do := range map[string]func() error{
			"status": func() error { return errOf(m.Status(ctx, "r")) },
			"add .":  func() error { return m.Add(ctx, "r", []string{"."}) },
			"branch": func() error { return errOf(m.Branches(ctx, "r")) },
			"reset":  func() error { return m.Reset(ctx, git.ResetSpec{Path: "r"}) },
		} {
			done := make(chan error, 1)
			go func() { done <- do() }()
			select {
			case err := <-done:
				if fault.KindOf(err) != tc.kind || (err == nil) != (tc.kind == fault.Unknown) {
					t.Errorf("%s, %s: %v, want %v", tc.name, what, err, tc.kind)
				}
			case <-time.After(10 * time.Second):
				t.Fatalf("%s: %s does not come back", tc.name, what)
			}
		}
	}
}
