package git_test

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

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

const origin = `git init -q --bare -b main origin.git
	git clone -q origin.git seed 2>/dev/null; cd seed; git checkout -q -b main
	echo one > f; mkdir d; echo x > d/x; git add .; git commit -q -m one; git tag v1; echo two > f; git commit -q -a -m two
	git push -q origin main v1; git checkout -q -b side
	echo s > side; git add .; git commit -q -m side; git push -q origin side`

func errOf[T any](_ T, err error) error { return err }

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
