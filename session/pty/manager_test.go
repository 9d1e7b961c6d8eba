package pty_test

import (
	"context"
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
		script := "trap '' HUP TERM; setsid sleep " + word + " & sleep " + word + " & echo ready; wait"
		one := create(t, m, pty.Spec{ID: "a", Argv: sh(script)})
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

func TestCloseEndsAllAndItsGoroutines(t *testing.T) {
	m := newManager(t)
	before := runtime.NumGoroutine()
	unread := create(t, m, pty.Spec{ID: "unread", Argv: sh("stty raw; echo ready; setsid sleep 1000 & sleep 1000")})
	until(t, attach(t, unread), "ready")
	for range 100 {
		if unread.Input(make([]byte, 16<<10)) != nil { // a goroutine waits to write the rest
			break
		}
	}
	held := create(t, m, pty.Spec{ID: "held", Argv: sh("seq 1 1000000")})
	behind := attach(t, held) // the program waits for it
	lazy := create(t, m, pty.Spec{ID: "lazy", Lazy: true})

	m.Close()
	for _, one := range []*pty.Terminal{unread, held, lazy} {
		if code := one.ExitCode(); code != 137 {
			t.Errorf("%s: exit code %d, want 137", one.Info().ID, code)
		}
	}
	rest(t, behind)
	if _, err := m.Create(pty.Spec{ID: "late"}); !errors.Is(err, process.ErrClosed) {
		t.Errorf("Create: %v, want ErrClosed", err)
	}
	deadline := time.Now().Add(5 * time.Second)
	for runtime.NumGoroutine() > before {
		if time.Now().After(deadline) {
			t.Fatalf("goroutines %d → %d", before, runtime.NumGoroutine())
		}
		runtime.Gosched()
	}
	m.Close()
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
