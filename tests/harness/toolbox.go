package harness

import (
	"path/filepath"
	"testing"
	"time"
)

// waitState bounds a wait for a sandbox's state.
const waitState = 60 * time.Second

// SpawnToolboxd runs the daemon of a sandbox as an ordinary process at addr, without a secret. home is its home and
// work folder, log the file of its output. It returns at once; Answers waits for it.
func SpawnToolboxd(addr, home, log string, env ...string) (*Process, error) {
	program, err := Bin("toolboxd")
	if err != nil {
		return nil, err
	}
	return spawnToolboxd(program, addr, home, log, env)
}

func spawnToolboxd(program, addr, home, log string, env []string) (*Process, error) {
	return Spawn(log, append([]string{"HOME=" + home, "DAYTONA_USER_HOME_AS_WORKDIR=true", "DAYTONA_SANDBOX_ID=test"},
		env...), program, "--listen", addr)
}

// Toolboxd is SpawnToolboxd on a free loopback port until the test ends; it returns the base URL and the home.
func Toolboxd(t testing.TB, env ...string) (url, home string, p *Process) {
	t.Helper()
	program, err := Bin("toolboxd")
	if err != nil {
		t.Fatal(err)
	}
	return toolboxd(t, program, env)
}

// RaceToolboxd is Toolboxd with the daemon built for the race detector, which needs a C compiler. A race fails the
// test.
func RaceToolboxd(t testing.TB, env ...string) (url, home string, p *Process) {
	t.Helper()
	program := filepath.Join(t.TempDir(), "toolboxd")
	if _, err := Run(nil, []string{"CGO_ENABLED=1"}, "go", "-C", Root(), "build", "-race", "-o", program,
		"./cmd/toolboxd"); err != nil {
		t.Fatal(err)
	}
	return toolboxd(t, program, env)
}

func toolboxd(t testing.TB, program string, env []string) (url, home string, p *Process) {
	t.Helper()
	addr, err := FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	home = t.TempDir()
	p, err = spawnToolboxd(program, addr, home, filepath.Join(t.TempDir(), "toolboxd.log"), env)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Stop(10 * time.Second); err != nil {
			t.Errorf("toolboxd after SIGTERM: %v", err) // after a race it ends with 66
		}
		if t.Failed() {
			t.Logf("log of toolboxd:\n%s", p.Tail())
		}
	})
	if err := p.Answers(addr, 10*time.Second); err != nil {
		t.Fatal(err)
	}
	return "http://" + addr, home, p
}
