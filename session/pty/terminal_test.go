package pty_test

import (
	"context"
	"crypto/md5"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/session/pty"
)

func TestLoginShell(t *testing.T) {
	m := newManager(t)
	one := create(t, m, pty.Spec{ID: "a", Env: map[string]string{"A": "1"}})
	i := one.Info()
	if i.Size != (pty.Size{Cols: 80, Rows: 24}) || !i.Active || i.Dir == "" {
		t.Errorf("info = %+v", i)
	}
	if i.Env["TERM"] != "xterm-256color" || i.Env["A"] != "1" {
		t.Errorf("environment = %v", i.Env)
	}
	c := attach(t, one)
	script := "stty size; echo $A$TERM; tty; shopt -q login_shell && echo lo''gin; exit 7\n"
	if err := one.Input([]byte(script)); err != nil {
		t.Fatal(err)
	}
	got := rest(t, c)
	for _, want := range []string{"24 80", "1xterm-256color", "/dev/pts/", "\nlogin"} {
		if !strings.Contains(got, want) {
			t.Errorf("output lacks %q: %q", want, got)
		}
	}
	if code := one.ExitCode(); code != 7 {
		t.Errorf("exit code %d, want 7", code)
	}
	if _, err := m.Get("a"); !errors.Is(err, pty.ErrNotFound) {
		t.Errorf("Get after the end: %v", err)
	}
	if err := one.Input([]byte("x")); !errors.Is(err, pty.ErrEnded) {
		t.Errorf("Input after the end: %v", err)
	}
	if err := one.Resize(pty.Size{Cols: 1, Rows: 1}); !errors.Is(err, pty.ErrEnded) {
		t.Errorf("Resize after the end: %v", err)
	}
}

func TestResizeReachesTheProgram(t *testing.T) {
	m := newManager(t)
	script := "trap 'stty size; exit' WINCH; echo ready; while :; do sleep 0.01; done"
	one := create(t, m, pty.Spec{ID: "a", Argv: sh(script)})
	c := attach(t, one)
	until(t, c, "ready")
	for _, bad := range []pty.Size{{}, {Cols: 80}, {Cols: 1001, Rows: 10}, {Cols: 65535, Rows: 65535}} {
		if err := one.Resize(bad); fault.KindOf(err) != fault.Invalid {
			t.Errorf("Resize(%v): %v, want kind invalid", bad, err)
		}
	}
	if err := one.Resize(pty.Size{Cols: 132, Rows: 43}); err != nil {
		t.Fatal(err)
	}
	if got := until(t, c, "43 132"); got == "" {
		t.Error("no size")
	}
}

func TestProgramThatReadsNothing(t *testing.T) {
	m := newManager(t)
	one := create(t, m, pty.Spec{ID: "a", Argv: sh("stty raw; echo ready; sleep 60")})
	until(t, attach(t, one), "ready")
	var err error
	for range 200 {
		if err = one.Input(make([]byte, 16<<10)); err != nil {
			break
		}
	}
	if fault.KindOf(err) != fault.Limited {
		t.Errorf("3 MiB of input: %v, want kind limited", err)
	}
	if err := m.Delete("a"); err != nil {
		t.Fatal(err)
	}
	if one.ExitCode() != 137 {
		t.Errorf("code %d, want 137", one.ExitCode())
	}
}

func TestPasteComesWhole(t *testing.T) {
	m := newManager(t)
	const size = 900_000
	one := create(t, m, pty.Spec{ID: "a", Argv: sh(fmt.Sprintf("stty raw; echo ready; head -c %d | md5sum", size))})
	c := attach(t, one)
	until(t, c, "ready")
	if err := one.Input([]byte(strings.Repeat("0123456789", size/10))); err != nil {
		t.Fatal(err)
	}
	if got, want := rest(t, c), md5of(size); !strings.Contains(got, want) {
		t.Errorf("md5 = %q, want %s", got, want)
	}
}

func md5of(size int) string {
	return fmt.Sprintf("%x", md5.Sum([]byte(strings.Repeat("0123456789", size/10))))
}

func TestBackgroundProcessDoesNotHoldTheEnd(t *testing.T) {
	m := newManager(t)
	began := time.Now()
	one := create(t, m, pty.Spec{ID: "a", Argv: sh("trap '' HUP; sleep 5 & echo out; exit 4")})
	if got := rest(t, attach(t, one)); got != "out\n" || one.ExitCode() != 4 {
		t.Errorf("%q, %d", got, one.ExitCode())
	}
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("took %v", took)
	}
}

func TestLastLineAndCodeAreExact(t *testing.T) {
	m := newManager(t)
	total := 10_000
	if testing.Short() || os.Getenv("SANDLOT_FULL") == "" {
		total = 500
	}
	before := runtime.NumGoroutine()
	for i := range total {
		one := create(t, m, pty.Spec{ID: "a", Argv: []string{"sh", "-c", fmt.Sprintf("echo line %d; exit %d", i, i%256)}})
		c, err := one.Attach()
		if errors.Is(err, pty.ErrEnded) {
			continue // too short to be met; its code counts all the same
		}
		if err != nil {
			t.Fatal(err)
		}
		got := rest(t, c)
		c.Close()
		if want := fmt.Sprintf("line %d\r\n", i); got != want || one.ExitCode() != i%256 {
			t.Fatalf("run %d: %q, %d", i, got, one.ExitCode())
		}
	}
	deadline := time.Now().Add(5 * time.Second)
	for runtime.NumGoroutine() > before+2 {
		if time.Now().After(deadline) {
			t.Fatalf("goroutines %d → %d", before, runtime.NumGoroutine())
		}
		runtime.Gosched()
	}
}

func BenchmarkEcho(b *testing.B) {
	one := create(b, newManager(b), pty.Spec{ID: "a", Argv: []string{"sh", "-c", "stty raw -echo; exec cat"}})
	c := attach(b, one)
	for { // until cat runs
		_ = one.Input([]byte("x"))
		ctx, cancel := context.WithTimeout(b.Context(), 200*time.Millisecond)
		_, err := c.Next(ctx)
		cancel()
		if err == nil {
			break
		}
	}
	for b.Loop() {
		_ = one.Input([]byte("y"))
		if _, err := c.Next(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}
