package harness

import (
	"path/filepath"
	"testing"
	"time"
)

// waitState bounds a wait for a sandbox's state.
const waitState = 60 * time.Second

// Toolboxd runs the daemon of a sandbox as an ordinary process on loopback, without a secret, and returns its base URL.
// home is its home and work folder.
func Toolboxd(t testing.TB, env ...string) (url, home string, p *Process) {
	t.Helper()
	program, err := Bin("toolboxd")
	if err != nil {
		t.Fatal(err)
	}
	addr, err := FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	home = t.TempDir()
	p, err = Spawn(filepath.Join(t.TempDir(), "toolboxd.log"), append([]string{
		"SANDLOT_TOOLBOX_LISTEN=" + addr, "HOME=" + home, "DAYTONA_USER_HOME_AS_WORKDIR=true", "DAYTONA_SANDBOX_ID=test",
	}, env...), program)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Stop(10 * time.Second); err != nil {
			t.Errorf("toolboxd after SIGTERM: %v", err)
		}
		if t.Failed() {
			t.Logf("log of toolboxd:\n%s", p.Tail())
		}
	})
	if err := p.answers(addr, 10*time.Second); err != nil {
		t.Fatal(err)
	}
	return "http://" + addr, home, p
}
