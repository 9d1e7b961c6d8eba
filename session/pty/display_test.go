package pty_test

import (
	"strings"
	"testing"

	"github.com/sandlot-dev/sandlot/session/pty"
)

func TestAllClientsSeeAndType(t *testing.T) {
	m := newManager(t)
	one := create(t, m, pty.Spec{ID: "a", Argv: sh("echo ready; while read x; do echo got $x; done")})
	a, b := attach(t, one), attach(t, one)
	until(t, a, "ready")
	for i, word := range []string{"one", "two"} {
		if err := one.Input([]byte(word + "\n")); err != nil {
			t.Fatal(i, err)
		}
		until(t, a, "got "+word)
		until(t, b, "got "+word)
	}
	a.Close()
	if err := one.Input([]byte("three\n")); err != nil {
		t.Fatal(err)
	}
	until(t, b, "got three")
	if got := until(t, attach(t, one), "got three"); got != "ready\ngot one\ngot two\ngot three\n" {
		t.Errorf("a later client sees %q", got)
	}
}

func TestOutputBeforeTheFirstClientIsThere(t *testing.T) {
	m := newManager(t)
	one := create(t, m, pty.Spec{ID: "a", Argv: sh("echo early; read x; echo late; exit 3")})
	for one.Info().Active { // until the shell waits
		if c := attach(t, one); strings.Contains(until(t, c, "early"), "early") {
			break
		}
	}
	if err := one.Input([]byte("\n")); err != nil {
		t.Fatal(err)
	}
	c := attach(t, one)
	if got := rest(t, c); got != "early\nlate\n" || one.ExitCode() != 3 {
		t.Errorf("%q, code %d", got, one.ExitCode())
	}
}

func TestRejoiningRestoresTheScreen(t *testing.T) {
	m := newManager(t)
	script := `printf '\033]0;title\007\033[?1049h\033[?25l\033[1;31m\033[2;5r'
i=0
while [ $i -lt 40000 ]; do echo "line $i of the output"; i=$((i+1)); done
echo done
read x`
	one := create(t, m, pty.Spec{ID: "a", Argv: sh(script)})
	until(t, attach(t, one), "done")
	got := until(t, attach(t, one), "done")
	if want := "\x1bc\x1b]0;title\x07\x1b[?25l\x1b[?1049h\x1b[2;5r\x1b[1;31mline "; !strings.HasPrefix(got, want) {
		t.Errorf("a client that joins late gets %.80q, want it to begin with %q", got, want)
	}
	if len(got) > 600<<10 || len(got) < 300<<10 || !strings.HasSuffix(got, "line 39999 of the output\ndone\n") {
		t.Errorf("it gets %d bytes, the last %q", len(got), got[max(0, len(got)-60):])
	}
}

func TestSlowClientIsHeldBackThenLeftBehind(t *testing.T) {
	m := newManager(t)
	one := create(t, m, pty.Spec{ID: "a", Argv: sh("seq 1 400000; echo done")})
	slow, fast := attach(t, one), attach(t, one)
	if got := rest(t, fast); !strings.HasSuffix(got, "400000\ndone\n") || strings.Count(got, "\n") != 400001 {
		t.Errorf("the fast client got %d lines", strings.Count(got, "\n"))
	}
	if got := rest(t, slow); !strings.HasPrefix(got, "\x1bc") || !strings.HasSuffix(got, "400000\ndone\n") {
		t.Errorf("the slow client got %.40q…%q", got, got[max(0, len(got)-40):])
	}
}
