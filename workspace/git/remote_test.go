package git_test

import (
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/process"
	"github.com/sandlot-dev/sandlot/workspace/git"
)

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
	got := sh(t, dir, "ls -A . empty full file")
	if got != "file\n\n.:\nempty\nfile\nfull\norigin.git\nseed\n\nempty:\n\nfull:\nx\n" {
		t.Errorf("left: %q", got)
	}
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
	sh(t, dir+"/origin.git/hooks", "printf '#!/bin/sh\necho no entry; exit 1\n' > pre-receive; chmod +x pre-receive")
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

// TestACloneOfABranchKnowsTheOthers as that of git clone -b does, with the git program and without. A shallow one has
// the branch alone, also as git has it.
func TestACloneOfABranchKnowsTheOthers(t *testing.T) {
	program, dir := open(t)
	sh(t, dir, origin)
	base, _ := forge(t, dir)
	processes, err := process.NewManager(process.Config{Dir: dir, Env: []string{"PATH=" + dir, "HOME=" + t.TempDir()}})
	ok(t, err)
	defer processes.Close(0)
	creds := git.Credentials{Username: "u", Password: secret}
	for name, m := range map[string]*git.Manager{"program": program, "library": git.New(processes)} {
		spec := git.CloneSpec{URL: base + "/origin.git", Path: name, Branch: "side", Credentials: creds}
		ok(t, m.Clone(t.Context(), spec))
		if st, err := m.Status(t.Context(), name); err != nil || st.Branch != "side" || st.Upstream != "origin/side" ||
			len(st.Files) != 0 {
			t.Errorf("%s: %+v %v", name, st, err)
		}
		if err := m.Checkout(t.Context(), name, "main"); err != nil {
			t.Errorf("%s: checkout of another branch: %v", name, err)
		}
		if st, err := m.Status(t.Context(), name); err != nil || st.Branch != "main" || st.Upstream != "origin/main" ||
			len(st.Files) != 0 {
			t.Errorf("%s: %+v %v", name, st, err)
		}
		sh(t, dir+"/seed", "git checkout -q -B "+name+" main; git push -q origin "+name)
		ok(t, m.Pull(t.Context(), git.TransferSpec{Path: name, Credentials: creds}))
		if err := m.Checkout(t.Context(), name, name); err != nil { // what to fetch is all branches too
			t.Errorf("%s: checkout of a branch that came later: %v", name, err)
		}

		spec.Path, spec.Depth = name+"-shallow", 1
		ok(t, m.Clone(t.Context(), spec))
		got := sh(t, dir+"/"+spec.Path,
			"git rev-list --count HEAD; git for-each-ref --format='%(refname)' refs/remotes | grep -c main || true")
		if got != "1\n0\n" {
			t.Errorf("%s: a shallow clone has commits and other branches: %q", name, got)
		}
	}
}

// readable is what another process of the same user finds the secret in: arguments, environment and open files of our
// own process and of those whose arguments name the address, and the files below dir.
func readable(t *testing.T, address, dir string) (found []string, looked int) {
	t.Helper()
	look := func(name string) {
		fd, err := unix.Open(name, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
		if err != nil {
			return // a socket, for instance
		}
		file := os.NewFile(uintptr(fd), name)
		defer file.Close()
		var st unix.Stat_t
		if unix.Fstat(fd, &st) != nil || st.Mode&unix.S_IFMT == unix.S_IFCHR || st.Mode&unix.S_IFMT == unix.S_IFDIR {
			return
		}
		data := make([]byte, 64<<10)
		n, _ := unix.Read(fd, data)
		looked++
		if n > 0 && bytes.Contains(data[:n], []byte("s3cret")) {
			found = append(found, name)
		}
	}
	processes, _ := filepath.Glob("/proc/[0-9]*")
	for _, p := range processes {
		arguments, _ := os.ReadFile(p + "/cmdline")
		if own := p == "/proc/"+strconv.Itoa(os.Getpid()); !own && !bytes.Contains(arguments, []byte(address)) {
			continue
		}
		look(p + "/cmdline")
		look(p + "/environ")
		files, _ := filepath.Glob(p + "/fd/*")
		for _, f := range files {
			look(f)
		}
	}
	_ = filepath.WalkDir(dir, func(p string, _ os.DirEntry, err error) error {
		if err == nil {
			look(p)
		}
		return nil // what vanishes meanwhile is not there to be read
	})
	return found, looked
}

// TestNobodyReadsThePasswordOfASlowClone looks for it in all that others can open, while the server keeps git waiting:
// before it has asked for credentials, and when it has them.
func TestNobodyReadsThePasswordOfASlowClone(t *testing.T) {
	m, dir := open(t)
	sh(t, dir, origin)
	core := strings.TrimSpace(sh(t, dir, "git --exec-path"))
	backend := &cgi.Handler{
		Path: core + "/git-http-backend",
		Env:  []string{"GIT_PROJECT_ROOT=" + dir, "GIT_HTTP_EXPORT_ALL=1", "REMOTE_USER=u"},
	}
	var mu sync.Mutex
	phases := map[string]int{}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, password, given := r.BasicAuth()
		phase := r.Method + " with the password"
		if !given {
			phase = r.Method + " without it"
		}
		found, looked := readable(t, "http://"+r.Host+"/", dir+"/r") // git waits for the answer
		mu.Lock()
		phases[phase] += looked
		mu.Unlock()
		if len(found) > 0 {
			t.Errorf("%s: the password is in %q", phase, found)
		}
		if password != secret {
			w.Header().Set("WWW-Authenticate", `Basic realm="forge"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		backend.ServeHTTP(w, r)
	}))
	defer srv.Close()
	ok(t, m.Clone(t.Context(), git.CloneSpec{
		URL: srv.URL + "/origin.git", Path: "r",
		Credentials: git.Credentials{Username: "u", Password: secret},
	}))
	for _, phase := range []string{"GET without it", "GET with the password", "POST with the password"} {
		if phases[phase] < 10 {
			t.Errorf("%s: looked at %d files alone", phase, phases[phase])
		}
	}
}
