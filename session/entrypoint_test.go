package session_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/sandlot-dev/sandlot/process/journal"
	"github.com/sandlot-dev/sandlot/session"
)

func TestEntrypoint(t *testing.T) {
	m := newManager(t, session.Config{})
	none := m.Entrypoint()
	if none.ID() != session.EntrypointID || len(none.Commands()) > 0 {
		t.Fatalf("without one: %q has %d commands", none.ID(), len(none.Commands()))
	}
	if _, err := none.Command(session.EntrypointCommand); !errors.Is(err, session.ErrCommandNotFound) {
		t.Errorf("without one, its command: %v", err)
	}
	if c, err := none.Log(session.EntrypointCommand); err != nil || c.Output().Size(0) != 0 || c.Err() != nil {
		t.Errorf("without one, its log: %v", err)
	}
	if _, err := m.StartEntrypoint([]string{"sh", "-c", "echo it\\'s; echo e >&2; exit 3"}); err != nil {
		t.Fatal(err)
	}
	c, err := m.Entrypoint().Command(session.EntrypointCommand)
	if err != nil {
		t.Fatal(err)
	}
	wait(t, c)
	want := `'sh' '-c' 'echo it\'\''s; echo e >&2; exit 3'`
	if code, _ := c.ExitCode(); code != 3 || c.Text != want || text(t, c, journal.Stderr) != "e\n" {
		t.Errorf("code %d, text %q, stderr %q", code, c.Text, text(t, c, journal.Stderr))
	}
	if _, err := m.Get(session.EntrypointID); !errors.Is(err, session.ErrReserved) {
		t.Errorf("as a session: %v, want ErrReserved", err)
	}
	if len(m.List()) != 0 {
		t.Error("it is in the list")
	}
}

func TestEntrypointThatCannotBeExecutedSaysSo(t *testing.T) {
	dir := t.TempDir()
	for name, mode := range map[string]os.FileMode{"text": 0o600, "folder": os.ModeDir} {
		path := filepath.Join(dir, name)
		err := os.WriteFile(path, []byte("x"), mode)
		if mode.IsDir() {
			_ = os.Remove(path)
			err = os.Mkdir(path, 0o700)
		}
		if err != nil {
			t.Fatal(err)
		}
		checkStart(t, path, 126)
	}
	checkStart(t, filepath.Join(dir, "none"), 127)
}

func checkStart(t *testing.T, program string, want int) {
	t.Helper()
	m := newManager(t, session.Config{})
	if _, err := m.StartEntrypoint([]string{program}); err == nil {
		t.Errorf("%s was started", program)
	}
	c, err := m.Entrypoint().Command(session.EntrypointCommand)
	if err != nil {
		t.Fatal(err)
	}
	if code, _ := c.ExitCode(); code != want {
		t.Errorf("%s: code %d, want %d; output %q", program, code, want, text(t, c, 0))
	}
}
