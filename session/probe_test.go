package session_test

import (
	"errors"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sandlot-dev/sandlot/session"
)

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
				if code, _ := c.ExitCode(); !errors.Is(c.Err(), session.ErrUnresponsive) || code != -1 {
					t.Errorf("code %d, error %v, want -1 and ErrUnresponsive", code, c.Err())
				}
				if out := text(t, c, 0); out != "a\n"+session.ErrUnresponsive.Msg+"\n" {
					t.Errorf("output %q", out)
				}
				if nextErr == nil {
					wait(t, next)
					nextErr = next.Err()
				}
				if !errors.Is(nextErr, session.ErrUnresponsive) && !errors.Is(nextErr, session.ErrEnded) {
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
