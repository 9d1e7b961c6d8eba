package git

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/process"
)

// TestCredentialsAreGivenToEachThatAsks has several of git's children ask at a time, as fetches of submodules and
// git-lfs do, and for a password that is longer than the buffers of programs.
func TestCredentialsAreGivenToEachThatAsks(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("no git program")
	}
	dir := t.TempDir()
	processes, err := process.NewManager(process.Config{
		Dir: dir,
		Env: []string{"HOME=" + dir, "PATH=" + os.Getenv("PATH")},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer processes.Close(0)
	m := New(processes)
	password := strings.Repeat("long", 10_000)
	ask := func(creds Credentials) (result, error) {
		return m.program.do(t.Context(), command{
			args: []string{"-c", `alias.many=!for i in 1 2 3 4 5 6 7 8; do
				printf 'protocol=https\nhost=h\n\n' | git credential fill > answer$i & done; wait; cat answer*; rm answer*
				printf 'protocol=https\nhost=other\n\n' | git credential fill || true`, "many"},
			creds: creds, url: "https://h/a",
		})
	}
	r, err := ask(Credentials{Username: "u", Password: password})
	if err != nil || strings.Count(string(r.stdout), "password="+password+"\n") != 8 ||
		strings.Count(string(r.stdout), "username=u\n") != 8 {
		t.Errorf("%v: %d bytes, %d whole answers, want 8", err, len(r.stdout),
			strings.Count(string(r.stdout), "password="+password+"\n"))
	}
	if strings.Contains(string(r.stdout), "host=other") {
		t.Error("they were given to another host")
	}
	_, err = ask(Credentials{Username: "u", Password: strings.Repeat("x", maxCredentials)})
	if fault.KindOf(err) != fault.Invalid {
		t.Errorf("a password that no message holds: %v", err)
	}
}

// TestAGitThatWaitsForEverLeavesTheRepository puts a pipe where git itself reads, and leaves.
func TestAGitThatWaitsForEverLeavesTheRepository(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("no git program")
	}
	dir := t.TempDir()
	processes, err := process.NewManager(process.Config{
		Dir: dir,
		Env: []string{"HOME=" + dir, "PATH=" + os.Getenv("PATH")},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer processes.Close(0)
	m := New(processes)
	m.program.patience = 100 * time.Millisecond
	if err := m.Init(t.Context(), "r", false, ""); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mkfifo(dir+"/r/.gitignore", 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, leave := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer leave()
	began := time.Now()
	if err := m.Add(ctx, "r", []string{"."}); !errors.Is(err, context.DeadlineExceeded) ||
		time.Since(began) < m.program.patience {
		t.Errorf("add: %v after %v", err, time.Since(began))
	}
	if err := os.Remove(dir + "/r/.gitignore"); err != nil {
		t.Fatal(err)
	}
	if err := m.Add(t.Context(), "r", []string{"."}); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}
