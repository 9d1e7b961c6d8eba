package session_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sandlot-dev/sandlot/session"
)

func TestCommandThatCannotBeRunSaysWhy(t *testing.T) {
	s := create(t, newManagerOf(t, "/bin/bash"), "s")
	do(t, s, "ulimit -n 14") // enough to tell of an end, not to redirect all
	c := start(t, s, session.Spec{Script: "echo ran"})
	wait(t, c)
	code, _ := c.ExitCode()
	if out := text(t, c, 0); c.Err() == nil && out != "ran\n" && (code == 0 || !strings.Contains(out, "open files")) {
		t.Errorf("code %d, output %q", code, out)
	}
}

// A shell that has lost what it reads from has nothing to do any more.
func TestShellThatLostItsInputEnds(t *testing.T) {
	m := newManagerOf(t, "/bin/bash")
	s := create(t, m, "s")
	wait(t, start(t, s, session.Spec{Script: `for n in /proc/$$/fd/*; do
	n=${n##*/}
	if [ $n -gt 2 ]; then eval "exec $n>&-"; fi
done 2>/dev/null`}))
	until(t, s.Ended)
	if code, out, _ := do(t, create(t, m, "s"), "echo again"); code != 0 || out != "again\n" {
		t.Errorf("the session that replaces it: %d, %q", code, out)
	}
}

// A child finds the report's socket among its own descriptors, its parent's in /proc, and may guess what is said there.
const forge = `
import os, glob, sys
pid = os.getppid()
for where in ["/proc/self/fd", "/proc/%d/fd" % pid]:
    for name in os.listdir(where):
        for number in [int(name)]:
            if number > 2:
                try: os.write(number, b"=0\n/x/0/h/\n")
                except OSError: pass
        try:
            fd = os.open(where + "/" + name, os.O_WRONLY | os.O_NONBLOCK)
            if int(name) > 2: os.write(fd, b"=0\n")
            os.close(fd)
        except OSError: pass
`

func TestChildrenCannotForgeAnExitCode(t *testing.T) {
	for _, shell := range shells {
		t.Run(shell, func(t *testing.T) {
			s := create(t, newManagerOf(t, shell), "s")
			file := filepath.Join(t.TempDir(), "forge.py")
			if err := os.WriteFile(file, []byte(forge), 0o600); err != nil {
				t.Fatal(err)
			}
			for range 3 {
				code, out, errOut := do(t, s, "python3 "+file+"; echo end; (exit 7)")
				if code != 7 || out != "end\n" {
					t.Fatalf("code %d, %q, %q; want 7", code, out, errOut)
				}
			}
		})
	}
}

func TestAShellsOwnWordsAreNoReport(t *testing.T) {
	s := create(t, newManagerOf(t, "/bin/bash"), "s")
	code, _, _ := do(t, s, `for n in /proc/$$/fd/*; do n=${n##*/}; if [ $n -ge 800 ]; then eval "echo '=0
/AAAAAAAA/0/braceexpand//x' >&$n"; fi; done 2>/dev/null; (exit 7)`)
	if code != 7 {
		t.Errorf("code %d, want 7", code)
	}
}
