package session_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/process"
	"github.com/sandlot-dev/sandlot/process/journal"
	"github.com/sandlot-dev/sandlot/session"
)

func TestIDs(t *testing.T) {
	m := newManager(t, session.Config{})
	create(t, m, "a")
	for _, tc := range []struct {
		id   string
		want fault.Kind
	}{
		{"a", fault.Conflict},
		{"", fault.Invalid},
		{"entrypoint", fault.Invalid},
		{"..", fault.Invalid},
		{"a/b", fault.Invalid},
		{"a\x00", fault.Invalid},
	} {
		if _, err := m.Create(tc.id, ""); fault.KindOf(err) != tc.want {
			t.Errorf("Create(%q): %v, want kind %v", tc.id, err, tc.want)
		}
	}
	var wins, losses int
	var mu sync.Mutex
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			_, err := m.Create("same", "")
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				wins++
			} else if errors.Is(err, session.ErrExists) {
				losses++
			}
		})
	}
	group.Wait()
	if wins != 1 || losses != 7 {
		t.Errorf("8 creates of one id: %d won, %d lost", wins, losses)
	}
	if err := m.Delete("no"); !errors.Is(err, session.ErrNotFound) {
		t.Errorf("Delete of nothing: %v", err)
	}
}

// TestDeleteEndsItsOwnAndWhatLeftItLivesOn deletes sessions by both scopes while a caller waits for a command.
func TestDeleteEndsItsOwnAndWhatLeftItLivesOn(t *testing.T) {
	m := newManager(t, session.Config{Grace: 200 * time.Millisecond})
	for i, tc := range []struct {
		script string
		lives  bool
	}{
		{"sleep W", false},
		{"trap '' TERM HUP; sleep W", false},
		{"sleep W & sleep 1000", false},
		{"setsid sleep W & sleep 1000", true},
		{"(setsid sh -c 'trap \"\" TERM HUP; sleep W & sleep W' &); sleep 1000", true},
		{"nohup sleep W & sleep 1000", true},
	} {
		for j, scope := range []process.Scope{process.OwnSession, process.Descendants} {
			id := fmt.Sprintf("s%d-%d", i, j)
			s := create(t, m, id)
			word := fmt.Sprintf("%d.%d%d", 80000+os.Getpid()%1000, i+1, j+1)
			c := start(t, s, session.Spec{Script: strings.ReplaceAll(tc.script, "W", word)})
			sleeps := func() bool {
				return slices.ContainsFunc(alive(word), func(args string) bool { return strings.HasPrefix(args, "sleep\x00"+word) })
			}
			for late := time.Now().Add(20 * time.Second); !sleeps(); {
				if time.Now().After(late) {
					t.Fatalf("%q does not run", tc.script)
				}
			}
			began := time.Now()
			if err := m.DeleteWith(id, scope); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(began); took > 2*time.Second {
				t.Errorf("%q: delete took %v", tc.script, took)
			}
			// The shell ends with its command, or just after it. Then it has reported the command's end.
			code, _ := c.ExitCode()
			if !errors.Is(c.Err(), session.ErrEnded) && (c.Err() != nil || code != 128+int(syscall.SIGTERM)) {
				t.Errorf("%q: the waiting caller got %d, %v", tc.script, code, c.Err())
			}
			if got, want := sleeps(), tc.lives && scope == process.OwnSession; got != want {
				t.Errorf("%q, scope %d: it lives on: %v, want %v", tc.script, scope, got, want)
			}
			for _, pid := range pidsOf(word) {
				_ = syscall.Kill(pid, syscall.SIGKILL) // lived on
			}
			if _, err := m.Get(id); !errors.Is(err, session.ErrNotFound) {
				t.Errorf("Get after Delete: %v", err)
			}
		}
	}
}

// pidsOf finds the processes that carry a word in their command line.
func pidsOf(word string) (found []int) {
	names, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, name := range names {
		if data, err := os.ReadFile(name); err == nil && bytes.Contains(data, []byte(word)) {
			if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(name))); err == nil {
				found = append(found, pid)
			}
		}
	}
	return found
}

func alive(word string) (found []string) {
	names, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, name := range names {
		if data, err := os.ReadFile(name); err == nil && bytes.Contains(data, []byte(word)) {
			found = append(found, string(data))
		}
	}
	return found
}

func TestNothingIsLeft(t *testing.T) {
	m := newManager(t, session.Config{})
	before, beforeFDs := runtime.NumGoroutine(), descriptors(t)
	var dirs []string
	for i := range 20 {
		s := create(t, m, fmt.Sprint(i))
		_, dir, _ := do(t, s, `dirname "$BASH_SOURCE"`)
		dirs = append(dirs, strings.TrimSpace(dir))
		do(t, s, "echo a; sleep 0 & exit 0")
	}
	for i := range 20 {
		if err := m.Delete(fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
	}
	checkNothingRuns(t, before, beforeFDs)
	for _, dir := range dirs {
		if _, err := os.Stat(dir); err == nil {
			t.Errorf("left: %q", dir)
		}
	}
}

// checkNothingRuns waits until there are no more goroutines and descriptors than before.
func checkNothingRuns(t *testing.T, goroutines, fds int) {
	t.Helper()
	deadline := time.Now().Add(5 * time.Second)
	for runtime.NumGoroutine() > goroutines || descriptors(t) > fds {
		if time.Now().After(deadline) {
			t.Fatalf("goroutines %d → %d, descriptors %d → %d", goroutines, runtime.NumGoroutine(), fds, descriptors(t))
		}
		runtime.Gosched()
	}
}

func TestCloseEndsAllAndItsGoroutines(t *testing.T) {
	m := newManager(t, session.Config{Grace: 200 * time.Millisecond})
	before, beforeFDs := runtime.NumGoroutine(), descriptors(t)

	busy := create(t, m, "busy")
	runs := start(t, busy, session.Spec{Script: "trap '' TERM; sleep 1000", Async: true})
	waits := start(t, busy, session.Spec{Script: "echo never", Async: true})
	followed := make(chan error, 1)
	go func() { followed <- runs.Follow(t.Context(), 0, func(journal.Chunk) error { return nil }) }()
	do(t, create(t, m, "held"), "setsid sleep 1000 & echo now")
	do(t, create(t, m, "deleted"), "setsid sleep 1000 & echo now") // its output stays open
	if err := m.Delete("deleted"); err != nil {
		t.Fatal(err)
	}
	wait(t, start(t, create(t, m, "over"), session.Spec{Script: "exit 3"}))
	if _, err := m.StartEntrypoint([]string{"sh", "-c", "setsid sleep 1000 & sleep 1000"}); err != nil {
		t.Fatal(err)
	}

	m.Close()
	for _, c := range []*session.Command{runs, waits} {
		if _, done := c.ExitCode(); !done || !errors.Is(c.Err(), session.ErrEnded) {
			t.Errorf("%q: done %v, error %v, want ErrEnded", c.Text, done, c.Err())
		}
	}
	if err := <-followed; err != nil {
		t.Errorf("its follower: %v", err)
	}
	if _, err := m.Create("late", ""); !errors.Is(err, process.ErrClosed) {
		t.Errorf("Create: %v, want ErrClosed", err)
	}
	if _, err := m.StartEntrypoint([]string{"true"}); !errors.Is(err, process.ErrClosed) {
		t.Errorf("StartEntrypoint: %v, want ErrClosed", err)
	}
	checkNothingRuns(t, before, beforeFDs)
	m.Close()
}

func TestCloseAfterTheProcesses(t *testing.T) {
	p, err := process.NewManager(process.Config{Dir: t.TempDir(), Env: os.Environ()})
	if err != nil {
		t.Fatal(err)
	}
	m, err := session.NewManager(session.Config{Processes: p, Grace: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	c := start(t, create(t, m, "s"), session.Spec{Script: "sleep 1000", Async: true})
	if _, err := m.StartEntrypoint([]string{"sleep", "1000"}); err != nil {
		t.Fatal(err)
	}
	if err := p.Close(0); err != nil {
		t.Error(err)
	}
	m.Close()
	wait(t, c)
}

func descriptors(t *testing.T) int {
	t.Helper()
	names, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(names)
}

func TestSessionWhoseDefaultFolderIsGoneStartsAtHome(t *testing.T) {
	dir, home := t.TempDir(), t.TempDir()
	p, err := process.NewManager(process.Config{Dir: dir, Env: []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close(0) })
	m, err := session.NewManager(session.Config{Processes: p})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	if code, out, _ := do(t, create(t, m, "s"), "pwd"); code != 0 || out != home+"\n" {
		t.Errorf("%d, %q, want %q", code, out, home)
	}
	if _, err := m.Create("named", dir); fault.KindOf(err) != fault.NotFound {
		t.Errorf("asked for by name: %v", err)
	}
}

func TestLogsStayUntilTheNewShellRuns(t *testing.T) {
	m := newManager(t, session.Config{})
	s := create(t, m, "s")
	c := start(t, s, session.Spec{Script: "echo old; exit 3"})
	wait(t, c)
	until(t, s.Ended)
	if _, err := m.Create("s", "/no/such/folder"); fault.KindOf(err) != fault.NotFound {
		t.Fatalf("Create in no folder: %v", err)
	}
	again, err := m.Get("s")
	if err != nil || again != s || text(t, c, journal.Stdout) != "old\n" {
		t.Errorf("after a failed replacement: %v, output %q", err, text(t, c, 0))
	}
	if n := len(m.List()); n != 1 {
		t.Errorf("%d sessions, want 1", n)
	}
	if code, _, _ := do(t, create(t, m, "s"), "true"); code != 0 {
		t.Errorf("a replacement that succeeds gives %d", code)
	}
}
