package git

import (
	"os"
	"os/exec"
	"strings"
	"testing"

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
