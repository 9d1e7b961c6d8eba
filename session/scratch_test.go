package session_test

import (
	"testing"

	"github.com/sandlot-dev/sandlot/session"
)

func TestCleanedUpFolderIsMadeAgain(t *testing.T) {
	s := create(t, newManager(t, session.Config{}), "s")
	if code, _, _ := do(t, s, `rm -rf "$(dirname "$BASH_SOURCE")"; (exit 4)`); code != 4 {
		t.Errorf("code = %d, want 4", code)
	}
	for _, also := range []string{
		`rm -f "$(dirname "$BASH_SOURCE")"/*`, `rm -f "$(dirname "$BASH_SOURCE")"/[0-9]*`, "true",
	} {
		if code, stdout, _ := do(t, s, "echo ok; "+also); code != 0 || stdout != "ok\n" {
			t.Errorf("next command = %d, %q", code, stdout)
		}
	}
}
