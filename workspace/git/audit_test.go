package git_test

import (
	"encoding/pem"
	"fmt"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/process"
	"github.com/sandlot-dev/sandlot/workspace/git"
)

func TestExpressionsAreNoBranches(t *testing.T) {
	m, dir := open(t)
	sh(t, dir, origin)
	ok(t, m.Clone(t.Context(), git.CloneSpec{URL: dir + "/origin.git", Path: "r"}))
	sh(t, dir+"/r", "git checkout -q -b other; git checkout -q main; git reset -q --hard v1; echo own > own; git add own; git commit -q -m own")
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

// TestUserSettingsChangeNoAnswer sets what changes the form of git's output.
func TestUserSettingsChangeNoAnswer(t *testing.T) {
	m, dir := open(t)
	sh(t, dir, origin)
	sh(t, dir+"/seed", `for s in color.ui=always color.advice=always commit.gpgsign=true user.signingkey=x core.commentChar=';' commit.template=/none commit.verbose=true commit.status=false \
		core.abbrev=7 log.showSignature=true format.pretty=oneline status.short=true status.showUntrackedFiles=no status.branch=false log.date=relative log.follow=true log.decorate=full \
		core.pager=false core.quotepath=true status.showStash=true push.default=nothing push.followTags=true pull.rebase=true pull.ff=false merge.ff=false branch.autoSetupRebase=always \
		checkout.guess=false clone.defaultRemoteName=other i18n.logOutputEncoding=latin1 i18n.commitEncoding=latin1 core.fsmonitor=false fetch.recurseSubmodules=true; do git config --global "${s%%=*}" "${s#*=}"; done`)
	ok(t, m.Clone(t.Context(), git.CloneSpec{URL: dir + "/origin.git", Path: "r"}))
	_ = os.WriteFile(dir+"/r/é", nil, 0o600)
	st, err := m.Status(t.Context(), "r")
	if err != nil || st.Branch != "main" || len(st.Files) != 1 || st.Files[0].Name != "é" {
		t.Errorf("%+v %v", st, err)
	}
	ok(t, m.Add(t.Context(), "r", []string{"é"}))
	hash, err := m.Commit(t.Context(), git.CommitSpec{Path: "r", Message: "; kept é", Author: "Ä", Email: "a@b"})
	if err != nil || len(hash) != 40 {
		t.Errorf("%q %v", hash, err)
	}
	var first *git.Commit
	ok(t, m.History(t.Context(), "r", func(c git.Commit) error {
		if first == nil {
			first = &c
		}
		return nil
	}))
	if first == nil || first.Hash != hash || first.Message != "; kept é\n" || first.Author != "Ä" {
		t.Errorf("%+v", first)
	}
	ok(t, m.Push(t.Context(), git.TransferSpec{Path: "r"}))
	if tags := strings.TrimSpace(sh(t, dir+"/origin.git", "git tag")); tags != "v1" {
		t.Errorf("tags: %q", tags)
	}
	sh(t, dir+"/seed", "git checkout -q main; git fetch -q; git reset -q --hard origin/main; echo 9 > nine; git add nine; git -c commit.gpgsign=false commit -q -m nine; git push -q --no-follow-tags origin HEAD:main")
	ok(t, m.Pull(t.Context(), git.TransferSpec{Path: "r"}))
	if got := strings.TrimSpace(sh(t, dir+"/r", "git log -1 --format=%s%p HEAD | tr -d '[:xdigit:]'")); !strings.HasPrefix(got, "nin") {
		t.Errorf("after the pull HEAD is %q", got)
	}
	sh(t, dir+"/r", "git checkout -q -b a; echo a > f; git -c commit.gpgsign=false commit -qam a; git checkout -q main; echo b > f; git -c commit.gpgsign=false commit -qam b; git merge -q a || true")
	_, err = m.Commit(t.Context(), git.CommitSpec{Path: "r", Message: "x", Author: "a", Email: "e"})
	wantFault(t, "conflict", err, fault.Conflict, "GIT_MERGE_CONFLICT")
	if err != nil && strings.ContainsAny(err.Error(), "\x1b") || strings.Contains(err.Error(), "hint") {
		t.Errorf("the error is %q", err)
	}
}

// TestRepositoriesOfOtherUsers needs root, to make one.
func TestRepositoriesOfOtherUsers(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	m, dir := open(t)
	sh(t, dir, origin+"; chown -R 1234 .")
	if st, err := m.Status(t.Context(), "seed"); err != nil || st.Branch != "side" {
		t.Errorf("%+v %v", st, err)
	}
	err := m.Clone(t.Context(), git.CloneSpec{URL: dir + "/seed", Path: "new"})
	wantFault(t, "clone", err, fault.Forbidden, "FILE_ACCESS_DENIED")
	if err != nil && !strings.Contains(err.Error(), "--add safe.directory") {
		t.Errorf("the fix is not in %v", err)
	}
}

func TestMessagesSayWhatIsWrongWithTheInput(t *testing.T) {
	m, dir := open(t)
	sh(t, dir, origin)
	sh(t, dir+"/seed", "echo more >> f; git add f")
	_, err := m.Commit(t.Context(), git.CommitSpec{Path: "seed", Message: "a\x00b", Author: "a", Email: "e"})
	wantFault(t, "NUL in a message", err, fault.Invalid, "")
	creds := git.Credentials{Username: "u", Password: "p"}
	for _, at := range [][2]string{
		{"https", "a/b"},
		{"https", "https://a"},
		{"https", "u@a"},
		{"https", "a b"},
		{"ht tp", "a"},
		{"https://", "a"},
	} {
		wantFault(t, strings.Join(at[:], " "), m.StoreCredentials(t.Context(), at[0], at[1], creds), fault.Invalid, "")
	}
	base, _ := forge(t, dir)
	err = m.Clone(t.Context(), git.CloneSpec{URL: base + "/origin.git", Path: "x"})
	if err == nil || !strings.Contains(err.Error(), "give username and password") {
		t.Errorf("the fix is not in %v", err)
	}
	err = m.Clone(t.Context(), git.CloneSpec{
		URL: base + "/origin.git", Path: "x",
		Credentials: git.Credentials{Username: "u", Password: "n"},
	})
	if err == nil || !strings.Contains(err.Error(), "Authentication failed") || strings.Contains(err.Error(), "give") {
		t.Errorf("a password of one letter makes the error %v", err)
	}
}

// TestAuthoritiesOfTheUser serves a repository by TLS under a certificate that nobody knows.
func TestAuthoritiesOfTheUser(t *testing.T) {
	_, dir := open(t)
	sh(t, dir, origin+"; git -C ../origin.git update-server-info")
	program, err := exec.LookPath("git")
	ok(t, err)
	srv := httptest.NewTLSServer(&cgi.Handler{
		Path: program, Args: []string{"http-backend"}, Env: []string{
			"GIT_PROJECT_ROOT=" + dir, "GIT_HTTP_EXPORT_ALL=1",
			"GIT_CONFIG_NOSYSTEM=1",
		},
	})
	defer srv.Close()
	bundle := filepath.Join(dir, "ca.pem")
	ok(t, os.WriteFile(bundle, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw}), 0o600))
	home := t.TempDir()
	for _, tc := range []struct {
		name string
		env  []string
		spec git.CloneSpec
		code string
	}{
		{"unknown", nil, git.CloneSpec{Path: "a"}, "GIT_TRANSPORT_FAILED"},
		{"not looked at", nil, git.CloneSpec{Path: "b", InsecureSkipTLS: true}, ""},
		{"known by environment", []string{"GIT_SSL_CAINFO=" + bundle}, git.CloneSpec{Path: "c"}, ""},
		{"the next call is looked at again", nil, git.CloneSpec{Path: "d"}, "GIT_TRANSPORT_FAILED"},
	} {
		processes, err := process.NewManager(process.Config{
			Dir: dir,
			Env: append([]string{"HOME=" + home, "PATH=" + os.Getenv("PATH")}, tc.env...),
		})
		ok(t, err)
		tc.spec.URL = srv.URL + "/origin.git"
		if err := git.New(processes).Clone(t.Context(), tc.spec); fault.CodeOf(err) != tc.code ||
			(err == nil) != (tc.code == "") {
			t.Errorf("%s: %v, want %q", tc.name, err, tc.code)
		}
		ok(t, processes.Close(0))
	}
	if got := sh(t, dir+"/b", "git config --local --get-regexp ssl || true"); got != "" {
		t.Errorf("the repository keeps %q", got)
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
	if left := strings.TrimSpace(sh(t, dir, "ls -d n 2>/dev/null || true; ls "+home+"/.gitconfig.lock 2>/dev/null || true")); left != "" {
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

// TestWorkTreesOfOneRepositoryWaitForOneAnother too: they share configuration and references.
func TestWorkTreesOfOneRepositoryWaitForOneAnother(t *testing.T) {
	m, dir := open(t)
	sh(t, dir, "git init -q -b main r; cd r; echo 1 > a; git add a; git commit -q -m 1; git worktree add -q ../w; git worktree add -q ../v")
	var all sync.WaitGroup
	for i := range 60 {
		all.Go(func() {
			path := []string{"r", "w", "v"}[i%3]
			err := m.SetConfig(t.Context(), "local", path, [2]string{fmt.Sprintf("a.b%d", i), "1"})
			if i%2 == 0 {
				err = m.AddRemote(t.Context(), path, git.Remote{Name: fmt.Sprint("n", i), URL: "x"}, false, false)
			}
			if err != nil {
				t.Errorf("%s: %v", path, err)
			}
		})
	}
	all.Wait()
}
