package main

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestDownEndsTheHolderOfTheLockAlone starts a server over the state of one that was killed, whose process id is a
// stranger's by now.
func TestDownEndsTheHolderOfTheLockAlone(t *testing.T) {
	stranger := exec.CommandContext(t.Context(), "cat")
	in, err := stranger.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := stranger.Start(); err != nil {
		t.Fatal(err)
	}
	data := served(t, stranger.Process.Pid)
	path := filepath.Join(data, "lock")
	held, err := lock(data)
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close() // nothing was written
	// The id that the lock tells is a stranger's too: as seen from another pid namespace.
	raw, err := json.Marshal(map[string]int{"pid": stranger.Process.Pid, "started": 1})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	if code, stdout, stderr := call(t, data, nil, "down"); code != 1 || !strings.Contains(stderr, "cannot be seen") {
		t.Errorf("down: %d, %s%s", code, stdout, stderr)
	}
	if err := errors.Join(in.Close(), stranger.Wait()); err != nil {
		t.Errorf("the stranger ended with %v", err)
	}
}
