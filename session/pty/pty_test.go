package pty_test

import (
	"context"
	"crypto/md5"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/process"
	"github.com/sandlot-dev/sandlot/session/pty"
)

func newManager(t testing.TB) *pty.Manager {
	t.Helper()
	home := t.TempDir()
	p, err := process.NewManager(process.Config{Dir: home, Env: []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home}})
	if err != nil {
		t.Fatal(err)
	}
	m := pty.NewManager(p)
	t.Cleanup(func() {
		for _, one := range m.List() {
			_ = m.Delete(one.Info().ID)
		}
		if err := p.Close(0); err != nil {
			t.Error(err)
		}
	})
	return m
}

// sh is a shell without start-up files and echo, so that output is what the test says.
func sh(script string) []string { return []string{"sh", "-c", "stty -echo -opost; " + script} }

func create(t testing.TB, m *pty.Manager, spec pty.Spec) *pty.Terminal {
	t.Helper()
	one, err := m.Create(spec)
	if err != nil {
		t.Fatal(err)
	}
	return one
}

func attach(t testing.TB, one *pty.Terminal) *pty.Client {
	t.Helper()
	c, err := one.Attach()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// until reads until the output ends with, or contains, a word.
func until(t testing.TB, c *pty.Client, word string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var all strings.Builder
	for !strings.Contains(all.String(), word) {
		data, err := c.Next(ctx)
		if err != nil {
			t.Fatalf("waiting for %q: %v; got %.400q", word, err, all.String())
		}
		all.Write(data)
	}
	return all.String()
}

// rest reads to the end.
func rest(t testing.TB, c *pty.Client) string {
	t.Helper()
	var all strings.Builder
	for {
		data, err := c.Next(t.Context())
		if errors.Is(err, io.EOF) {
			return all.String()
		}
		if err != nil {
			t.Fatal(err)
		}
		all.Write(data)
	}
}

func TestLoginShell(t *testing.T) {
	m := newManager(t)
	one := create(t, m, pty.Spec{ID: "a", Env: map[string]string{"A": "1"}})
	if i := one.Info(); i.Size != (pty.Size{Cols: 80, Rows: 24}) || i.Env["TERM"] != "xterm-256color" || i.Env["A"] != "1" || !i.Active || i.Dir == "" {
		t.Errorf("info = %+v", i)
	}
	c := attach(t, one)
	if err := one.Input([]byte("stty size; echo $A$TERM; tty; shopt -q login_shell && echo lo''gin; exit 7\n")); err != nil {
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

func TestCreateRefuses(t *testing.T) {
	m := newManager(t)
	create(t, m, pty.Spec{ID: "a", Lazy: true})
	for _, tc := range []struct {
		spec pty.Spec
		want fault.Kind
	}{
		{pty.Spec{}, fault.Invalid},
		{pty.Spec{ID: "a"}, fault.Conflict},
		{pty.Spec{ID: "b", Size: pty.Size{Cols: 1001}}, fault.Invalid},
		{pty.Spec{ID: "b", Dir: "/no/such"}, fault.NotFound},
		{pty.Spec{ID: "b", Argv: []string{"/no/such"}}, fault.NotFound},
		{pty.Spec{ID: "b", Env: map[string]string{"A=": ""}}, fault.Invalid},
		{pty.Spec{ID: "b", Env: map[string]string{"": ""}, Lazy: true}, fault.Invalid},
	} {
		if _, err := m.Create(tc.spec); fault.KindOf(err) != tc.want {
			t.Errorf("Create(%+v): %v, want kind %v", tc.spec, err, tc.want)
		}
	}
	if n := len(m.List()); n != 1 {
		t.Errorf("%d terminals, want 1", n)
	}
}

func TestLazyStartsWithTheFirstClient(t *testing.T) {
	m := newManager(t)
	one := create(t, m, pty.Spec{ID: "a", Lazy: true, Argv: sh("stty size")})
	if one.Info().Active {
		t.Error("active before a client came")
	}
	if err := one.Resize(pty.Size{Cols: 100, Rows: 30}); err != nil {
		t.Fatal(err)
	}
	if got := rest(t, attach(t, one)); got != "30 100\n" {
		t.Errorf("output = %q", got)
	}
	two := create(t, m, pty.Spec{ID: "a", Lazy: true})
	if err := m.Delete("a"); err != nil {
		t.Fatal(err)
	}
	if two.ExitCode() != 137 {
		t.Errorf("deleted before its start: %d", two.ExitCode())
	}
}

func TestResizeReachesTheProgram(t *testing.T) {
	m := newManager(t)
	one := create(t, m, pty.Spec{ID: "a", Argv: sh("trap 'stty size; exit' WINCH; echo ready; while :; do sleep 0.01; done")})
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
	script := `printf '\033]0;title\007\033[?1049h\033[?25l\033[1;31m\033[2;5r'; i=0; while [ $i -lt 40000 ]; do echo "line $i of the output"; i=$((i+1)); done; echo done; read x`
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

func TestDeleteEndsItsOwnAndWhatLeftItLivesOn(t *testing.T) {
	m := newManager(t)
	word := fmt.Sprintf("%d.7", 81000+os.Getpid()%1000)
	left := func() (pids []int) {
		names, _ := filepath.Glob("/proc/[0-9]*/cmdline")
		for _, name := range names {
			if data, err := os.ReadFile(name); err == nil && strings.HasPrefix(string(data), "sleep\x00"+word) {
				pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(name)))
				pids = append(pids, pid)
			}
		}
		return pids
	}
	for _, tc := range []struct {
		scope process.Scope
		want  int
	}{{process.OwnSession, 1}, {process.Descendants, 0}} {
		one := create(t, m, pty.Spec{ID: "a", Argv: sh("trap '' HUP TERM; setsid sleep " + word + " & sleep " + word + " & echo ready; wait")})
		until(t, attach(t, one), "ready")
		for late := time.Now().Add(20 * time.Second); len(left()) < 2; {
			if time.Now().After(late) {
				t.Fatal("they do not run")
			}
		}
		if err := m.DeleteWith("a", tc.scope); err != nil {
			t.Fatal(err)
		}
		pids := left()
		if len(pids) != tc.want {
			t.Errorf("scope %d: %d left behind, want %d", tc.scope, len(pids), tc.want)
		}
		for _, pid := range pids {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
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

func md5of(size int) string {
	return fmt.Sprintf("%x", md5.Sum([]byte(strings.Repeat("0123456789", size/10))))
}

func TestTerminalWhoseDefaultFolderIsGoneStartsAtHome(t *testing.T) {
	dir, home := t.TempDir(), t.TempDir()
	p, err := process.NewManager(process.Config{Dir: dir, Env: []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close(0) })
	m := pty.NewManager(p)
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	one := create(t, m, pty.Spec{ID: "a", Argv: sh("pwd")})
	if one.Info().Dir != home {
		t.Errorf("it says %q, want %q", one.Info().Dir, home)
	}
	if got := rest(t, attach(t, one)); got != home+"\n" {
		t.Errorf("it is in %q, want %q", got, home)
	}
	if _, err := m.Create(pty.Spec{ID: "b", Dir: dir}); fault.KindOf(err) != fault.NotFound {
		t.Errorf("asked for by name: %v", err)
	}
}
