package session_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sandlot-dev/sandlot/session"
)

// newManagerOf is newManager with a shell of the test's choice.
func newManagerOf(t *testing.T, shell string) *session.Manager {
	t.Helper()
	if _, err := os.Stat(shell); err != nil {
		t.Skip(err)
	}
	return newManager(t, session.Config{Grace: 200 * time.Millisecond, Shell: shell})
}

// shells are those that sessions are tested with. The second reads ahead, the first does not.
var shells = []string{"/bin/bash", "/bin/dash"}

// busybox makes a link by whose name busybox is a shell.
func busybox(t *testing.T) string {
	t.Helper()
	program, err := exec.LookPath("busybox")
	if err != nil {
		t.Skip(err)
	}
	link := filepath.Join(t.TempDir(), "ash")
	if err := os.Symlink(program, link); err != nil {
		t.Fatal(err)
	}
	return link
}

func TestShellThatNoLongerAnswersIsTold(t *testing.T) {
	for _, shell := range shells {
		for _, tc := range []struct{ name, script string }{
			{"set -n", "echo a; set -n"},
			{"report is overridden", "command() { :; }; echo a"},
			{"report is overridden and talks", "command() { echo '=none'; }; echo a"},
		} {
			if filepath.Base(shell) == "bash" && tc.name != "set -n" {
				continue // no function can stand before its report
			}
			t.Run(shell+", "+tc.name, func(t *testing.T) {
				m := newManagerOf(t, shell)
				s := create(t, m, "s")
				do(t, s, "sleep 0.3") // one that was asked about does not count for the next
				c := start(t, s, session.Spec{Script: tc.script})
				next, nextErr := s.Exec(session.Spec{Script: "echo never", Async: true})
				wait(t, c)
				if code, _ := c.ExitCode(); !errors.Is(c.Err(), session.ErrDeaf) || code != -1 {
					t.Errorf("code %d, error %v, want -1 and ErrDeaf", code, c.Err())
				}
				if out := text(t, c, 0); out != "a\n"+session.ErrDeaf.Msg+"\n" {
					t.Errorf("output %q", out)
				}
				if nextErr == nil {
					wait(t, next)
					nextErr = next.Err()
				}
				if !errors.Is(nextErr, session.ErrDeaf) && !errors.Is(nextErr, session.ErrEnded) {
					t.Errorf("the next command: %v", nextErr)
				}
				until(t, s.Ended)
				if code, out, _ := do(t, create(t, m, "s"), "echo again"); code != 0 || out != "again\n" {
					t.Errorf("the session that replaces it: %d, %q", code, out)
				}
			})
		}
	}
}

func until(t *testing.T, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); {
		if time.Now().After(end) {
			t.Fatal("not within 20 s")
		}
		<-time.After(time.Millisecond)
	}
}

func TestWhatACommandDoesToItsShellDoesNotHarmTheNext(t *testing.T) {
	for _, shell := range shells {
		t.Run(shell, func(t *testing.T) {
			m := newManagerOf(t, shell)
			s := create(t, m, "s")
			for _, script := range []string{
				"exec <&-", "exec >&- 2>&-", "exec 0</dev/zero 1>/dev/full 2>&1", "exec 3<&- 9>&-", "set -u", "trap 'echo trapped >&2' TERM INT HUP",
				"trap '' TERM; (exit 4)", "set -x; true", "set +x", "set -v", "set +v", "set -f; set +f", "IFS=0123456789", "unset PATH; PATH=/bin:/usr/bin",
				"printf() { echo overridden; }", "echo() { :; }", `alias printf='false' command='false'`, "readonly IFS x=1", "LC_ALL=C; export LC_ALL", "cd /; umask 777",
				"set -C", "set -a", "set -b -m 2>/dev/null; sleep 0.01 & wait", "umask 022",
				"set -o posix 2>/dev/null", "if fi", "shopt -s extglob 2>/dev/null; true", "BASH_XTRACEFD=1; PS4='=7'; set -x 2>/dev/null; :", "set +x", "echo =5", "sleep 0.25",
			} {
				c := start(t, s, session.Spec{Script: script})
				wait(t, c)
				if c.Err() != nil || s.Ended() {
					t.Fatalf("%q: %v, session ended: %v, output %q", script, c.Err(), s.Ended(), text(t, c, 0))
				}
				if code, out, errOut := do(t, s, "/bin/echo fine; (exit 7)"); code != 7 || !strings.Contains(out, "fine\n") {
					t.Errorf("after %q: %d, %q, %q", script, code, out, errOut)
				}
			}
		})
	}
}

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
	wait(t, start(t, s, session.Spec{Script: `for n in /proc/$$/fd/*; do n=${n##*/}; if [ $n -gt 2 ]; then eval "exec $n>&-"; fi; done 2>/dev/null`}))
	until(t, s.Ended)
	if code, out, _ := do(t, create(t, m, "s"), "echo again"); code != 0 || out != "again\n" {
		t.Errorf("the session that replaces it: %d, %q", code, out)
	}
}

func TestStoppedShellWaits(t *testing.T) {
	m := newManagerOf(t, "/bin/bash")
	s := create(t, m, "s")
	_, pid, _ := do(t, s, "echo $$")
	c := start(t, s, session.Spec{Script: "kill -STOP $$; echo went on", Async: true})
	select {
	case <-c.Done():
		t.Error("a command of a stopped shell ended")
	case <-time.After(500 * time.Millisecond):
	}
	n, err := strconv.Atoi(strings.TrimSpace(pid))
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Kill(n, unix.SIGCONT); err != nil {
		t.Fatal(err)
	}
	wait(t, c)
	if code, _ := c.ExitCode(); code != 0 || text(t, c, 0) != "went on\n" {
		t.Errorf("code %d, output %q", code, text(t, c, 0))
	}
	start(t, s, session.Spec{Script: "kill -STOP $$"})
	if err := m.Delete("s"); err != nil {
		t.Errorf("a stopped shell's session: %v", err)
	}
}

func TestReplacedShellIsTheCommand(t *testing.T) {
	s := create(t, newManagerOf(t, "/bin/bash"), "s")
	c := start(t, s, session.Spec{Script: "exec sh -c 'sleep 0.4; echo out; exit 5'"})
	wait(t, c)
	if code, _ := c.ExitCode(); code != 5 || c.Err() != nil || text(t, c, 0) != "out\n" {
		t.Errorf("code %d, error %v, output %q", code, c.Err(), text(t, c, 0))
	}
}
