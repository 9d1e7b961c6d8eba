package session_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
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

func newManager(t testing.TB, cfg session.Config) *session.Manager {
	t.Helper()
	p, err := process.NewManager(process.Config{Dir: t.TempDir(), Env: os.Environ()})
	if err != nil {
		t.Fatal(err)
	}
	cfg.Processes = p
	m, err := session.NewManager(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, s := range m.List() {
			_ = m.Delete(s.ID())
		}
		if err := p.Close(0); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return m
}

func create(t testing.TB, m *session.Manager, id string) *session.Session {
	t.Helper()
	s, err := m.Create(id, "")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func start(t testing.TB, s *session.Session, spec session.Spec) *session.Command {
	t.Helper()
	c, err := s.Exec(spec)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// do runs a command to its end.
func do(t testing.TB, s *session.Session, script string) (code int, stdout, stderr string) {
	t.Helper()
	c := start(t, s, session.Spec{Script: script})
	wait(t, c)
	code, _ = c.ExitCode()
	return code, text(t, c, journal.Stdout), text(t, c, journal.Stderr)
}

func wait(t testing.TB, c *session.Command) {
	t.Helper()
	select {
	case <-c.Done():
	case <-time.After(30 * time.Second):
		t.Fatalf("command %q is not done after 30 s; output %q", c.Text, text(t, c, 0))
	}
}

func text(t testing.TB, c *session.Command, s journal.Stream) string {
	t.Helper()
	r := c.Output().Snapshot(0)
	defer r.Close()
	var b strings.Builder
	for {
		chunk, err := r.Next(t.Context())
		if errors.Is(err, io.EOF) {
			return b.String()
		}
		if err != nil {
			t.Fatal(err)
		}
		if s == 0 || chunk.Stream == s {
			b.Write(chunk.Data)
		}
	}
}

func TestCommandsShareTheShell(t *testing.T) {
	s := create(t, newManager(t, session.Config{}), "s")
	for _, tc := range []struct {
		name, script   string
		code           int
		stdout, stderr string
	}{
		{"output", "echo out; echo err >&2", 0, "out\n", "err\n"},
		{"folder is set", "cd /usr", 0, "", ""},
		{"folder is kept", "pwd", 0, "/usr\n", ""},
		{"set", "X=1; export Y=2; f() { echo f$1; }; set -- a b", 0, "", ""},
		{"variables and functions are kept", `echo $X $Y; f 3`, 0, "1 2\nf3\n", ""},
		{"code", "(exit 42)", 42, "", ""},
		{"return", "return 5; echo no", 5, "", ""},
		{"last status is seen", "sh -c 'exit 3'", 3, "", ""},
		{"several lines, no newline at the end", "a=1\nprintf \"%s\" $a", 0, "1", ""},
		{"here-document", "cat <<E\none $X\nE\n", 0, "one 1\n", ""},
		{"stdin is at its end", "read x; echo $?", 0, "1\n", ""},
		{"syntax error", "if fi", 2, "", "*"},
		{"goes on after a syntax error", "echo still", 0, "still\n", ""},
		{"not found", "no-such-command", 127, "", "*"},
		{"megabyte", "true " + strings.Repeat("x", 1<<20) + "\necho end", 0, "end\n", ""},
		{"bytes are exact", `printf 'a\0b\001\001\001\377'`, 0, "a\x00b\x01\x01\x01\xff", ""},
		{"quotes", `echo "it's" '"$X"' \\`, 0, "it's \"$X\" \\\n", ""},
		{"descriptors are kept", "exec 5>&1; echo hi", 0, "hi\n", ""},
		{"exec of a redirection ends with the command", "exec >/dev/null; echo no", 0, "", ""},
		{"and does not last", "echo yes", 0, "yes\n", ""},
		{"control pipe is hidden", "echo 1 >&9", 1, "", "*"},
		{"signal", "sh -c 'kill -KILL $$'", 137, "", "*"},
		{"xtrace", "set -x; : a; set +x", 0, "", "*"},
		{"alias", "shopt -s expand_aliases 2>/dev/null; alias hi='echo hello'\nhi", 0, "hello\n", "*"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			code, stdout, stderr := do(t, s, tc.script)
			if tc.stderr == "*" {
				tc.stderr = stderr
			}
			if code != tc.code || stdout != tc.stdout || stderr != tc.stderr {
				t.Errorf("code %d, stdout %q, stderr %q; want %d, %q, %q", code, stdout, stderr, tc.code, tc.stdout, tc.stderr)
			}
		})
	}
}

func TestWhatEndsTheShellEndsTheSession(t *testing.T) {
	for _, tc := range []struct {
		name, script string
		code         int
		stdout       string
	}{
		{"exit", "echo a; exit 7; echo b", 7, "a\n"},
		{"exec", "exec sh -c 'echo in; exit 9'", 9, "in\n"},
		{"set -e", "set -e; echo a; false; echo b", 1, "a\n"},
		{"signal", "kill -KILL $$", 137, ""},
		{"trap", "trap 'echo bye' EXIT; exit 3", 3, "bye\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := newManager(t, session.Config{})
			s := create(t, m, "s")
			c := start(t, s, session.Spec{Script: tc.script})
			waiting, waitErr := s.Exec(session.Spec{Script: "echo never", Async: true})
			wait(t, c)
			if code, _ := c.ExitCode(); code != tc.code || text(t, c, journal.Stdout) != tc.stdout || c.Err() != nil {
				t.Errorf("code %d, stdout %q, error %v; want %d, %q, nil", code, text(t, c, journal.Stdout), c.Err(), tc.code, tc.stdout)
			}
			if waitErr == nil { // it was queued before the shell ended
				wait(t, waiting)
				waitErr = waiting.Err()
			}
			if fault.CodeOf(waitErr) != "SESSION_ENDED" {
				t.Errorf("a waiting command's error = %v, want SESSION_ENDED", waitErr)
			}
			if _, err := s.Exec(session.Spec{Script: "true"}); !errors.Is(err, session.ErrEnded) {
				t.Errorf("next command: %v, want ErrEnded", err)
			}
			if code, _, _ := do(t, create(t, m, "s"), "true"); code != 0 {
				t.Errorf("a session that replaces it gives %d", code)
			}
		})
	}
}

func TestIDs(t *testing.T) {
	m := newManager(t, session.Config{})
	create(t, m, "a")
	for _, tc := range []struct {
		id   string
		want fault.Kind
	}{
		{"a", fault.Conflict}, {"", fault.Invalid}, {"entrypoint", fault.Invalid}, {"..", fault.Invalid}, {"a/b", fault.Invalid}, {"a\x00", fault.Invalid},
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

func TestInputReachesAnAsyncCommand(t *testing.T) {
	s := create(t, newManager(t, session.Config{}), "s")
	for _, hide := range []bool{false, true} {
		c := start(t, s, session.Spec{Script: `read a; read b; echo "got $a $b"`, Async: true, HideEcho: hide})
		for _, line := range []string{"one\n", "two\n"} {
			if err := c.Input([]byte(line)); err != nil {
				t.Fatal(err)
			}
		}
		wait(t, c)
		want := "one\ntwo\ngot one two\n"
		if hide {
			want = "got one two\n"
		}
		if got := text(t, c, journal.Stdout); got != want {
			t.Errorf("hide %v: stdout = %q, want %q", hide, got, want)
		}
		if err := c.Input([]byte("x")); !errors.Is(err, session.ErrCompleted) {
			t.Errorf("input after the end: %v", err)
		}
	}
	c := start(t, s, session.Spec{Script: "sleep 0.3", Async: true})
	var err error
	for range 100 {
		if err = c.Input(make([]byte, 1000)); err != nil {
			break
		}
	}
	if fault.KindOf(err) != fault.Conflict {
		t.Errorf("input nobody reads: %v, want kind conflict", err)
	}
	wait(t, c)
}

func TestPromptsAreSeenAtOnce(t *testing.T) {
	s := create(t, newManager(t, session.Config{}), "s")
	c := start(t, s, session.Spec{Script: `printf 'Name: '; read n; echo "Hello $n"`, Async: true})
	var got []byte
	err := c.Follow(t.Context(), 0, func(chunk journal.Chunk) error {
		got = append(got, chunk.Data...)
		if string(got) == "Name: " {
			return c.Input([]byte("Ann\n"))
		}
		return nil
	})
	if err != nil || string(got) != "Name: Ann\nHello Ann\n" {
		t.Errorf("followed %q, %v", got, err)
	}
}

func TestBackgroundProcessDoesNotHoldTheCommand(t *testing.T) {
	s := create(t, newManager(t, session.Config{}), "s")
	began := time.Now()
	c := start(t, s, session.Spec{Script: "(sleep 1; echo late) & echo now"})
	var followed []byte
	if err := c.Follow(t.Context(), 0, func(chunk journal.Chunk) error { followed = append(followed, chunk.Data...); return nil }); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > 900*time.Millisecond || string(followed) != "now\n" {
		t.Errorf("followed %q in %v", followed, took)
	}
	if code, stdout, _ := do(t, s, "echo next"); code != 0 || stdout != "next\n" {
		t.Errorf("next command gave %d, %q", code, stdout)
	}
	if code, _, _ := do(t, s, "wait"); code != 0 {
		t.Errorf("wait gave %d", code)
	}
	r := c.Output().Follow(4)
	defer r.Close()
	if chunk, err := r.Next(t.Context()); err != nil || string(chunk.Data) != "late\n" {
		t.Errorf("later output = %q, %v; want it in the log of its own command", chunk.Data, err)
	}
}

// TestDeleteEndsItsOwnAndWhatLeftItLivesOn deletes sessions, one way and the other, while a command of theirs is waited for.
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
			// The shell goes with its command, or just after it, and then has told of how that ended.
			if code, _ := c.ExitCode(); !errors.Is(c.Err(), session.ErrEnded) && (c.Err() != nil || code != 128+int(syscall.SIGTERM)) {
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

func TestFollowersGetTheSameBytes(t *testing.T) {
	s := create(t, newManager(t, session.Config{Limits: journal.Limits{Memory: 256 << 10}}), "s")
	data := make([]byte, 20<<20)
	rnd := rand.NewChaCha8([32]byte{1})
	_, _ = rnd.Read(data)
	file := filepath.Join(t.TempDir(), "data")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	c := start(t, s, session.Spec{Script: "cat " + file, Async: true})
	var followers sync.WaitGroup
	for i := range 3 {
		followers.Go(func() {
			h := sha256.New()
			at, n := int64(0), int64(0)
			for at < int64(len(data)) { // the second and third reconnect now and then
				ctx, cancel := context.WithCancel(t.Context())
				err := c.Follow(ctx, at, func(chunk journal.Chunk) error {
					if chunk.Offset != at {
						return fmt.Errorf("chunk at %d, want %d", chunk.Offset, at)
					}
					h.Write(chunk.Data)
					at += int64(len(chunk.Data))
					if n++; i > 0 && n%50 == 0 {
						cancel()
					}
					return nil
				})
				cancel()
				if err != nil && !errors.Is(err, context.Canceled) {
					t.Error(err)
					return
				}
			}
			if got, want := [32]byte(h.Sum(nil)), sha256.Sum256(data); got != want {
				t.Errorf("follower %d saw other bytes", i)
			}
		})
	}
	followers.Wait()
	wait(t, c)
	if got := text(t, c, journal.Stdout); sha256.Sum256([]byte(got)) != sha256.Sum256(data) {
		t.Error("the snapshot has other bytes")
	}
}

func TestOutputAndCodesAreExact(t *testing.T) {
	m := newManager(t, session.Config{})
	total := 10_000
	if testing.Short() || os.Getenv("SANDLOT_FULL") == "" {
		total = 2_000
	}
	var workers sync.WaitGroup
	for w := range 4 {
		s := create(t, m, fmt.Sprint("s", w))
		workers.Go(func() {
			for i := w; i < total; i += 4 {
				want := fmt.Sprintf("line %d\n", i)
				code, stdout, stderr := do(t, s, fmt.Sprintf("echo line %d; echo err %d >&2; (exit %d)", i, i, i%256))
				if code != i%256 || stdout != want || stderr != "err"+want[4:] {
					t.Errorf("command %d gave %d, %q, %q", i, code, stdout, stderr)
					return
				}
			}
		})
	}
	workers.Wait()
}

func TestQueueKeepsItsOrder(t *testing.T) {
	s := create(t, newManager(t, session.Config{}), "s")
	var all []*session.Command
	for i := range 50 {
		all = append(all, start(t, s, session.Spec{Script: fmt.Sprintf("x=${x}%d; echo $x", i%10), Async: true}))
	}
	wait(t, all[49])
	if got, want := text(t, all[49], journal.Stdout), strings.Repeat("0123456789", 5)+"\n"; got != want {
		t.Errorf("last output = %q, want %q", got, want)
	}
	for i, c := range s.Commands() {
		if c != all[i] {
			t.Fatalf("Commands()[%d] is not the one given then", i)
		}
	}
}

func TestCleanedUpFolderIsMadeAgain(t *testing.T) {
	s := create(t, newManager(t, session.Config{}), "s")
	if code, _, _ := do(t, s, `rm -rf "$(dirname "$BASH_SOURCE")"; (exit 4)`); code != 4 {
		t.Errorf("code = %d, want 4", code)
	}
	for _, also := range []string{`rm -f "$(dirname "$BASH_SOURCE")"/*`, `rm -f "$(dirname "$BASH_SOURCE")"/[0-9]*`, "true"} {
		if code, stdout, _ := do(t, s, "echo ok; "+also); code != 0 || stdout != "ok\n" {
			t.Errorf("next command = %d, %q", code, stdout)
		}
	}
}

func TestEntrypoint(t *testing.T) {
	m := newManager(t, session.Config{})
	none, err := m.Get(session.EntrypointID)
	if err != nil || len(none.Commands()) > 0 {
		t.Fatalf("without one: %v", err)
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
	s, err := m.Get(session.EntrypointID)
	if err != nil {
		t.Fatal(err)
	}
	c, err := s.Command(session.EntrypointCommand)
	if err != nil {
		t.Fatal(err)
	}
	wait(t, c)
	if code, _ := c.ExitCode(); code != 3 || c.Text != `'sh' '-c' 'echo it\'\''s; echo e >&2; exit 3'` || text(t, c, journal.Stderr) != "e\n" {
		t.Errorf("code %d, text %q, stderr %q", code, c.Text, text(t, c, journal.Stderr))
	}
	if _, err := s.Exec(session.Spec{Script: "true"}); !errors.Is(err, session.ErrReserved) {
		t.Errorf("Exec: %v", err)
	}
	if len(m.List()) != 0 {
		t.Error("it is in the list")
	}
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
	deadline := time.Now().Add(5 * time.Second)
	for runtime.NumGoroutine() > before || descriptors(t) > beforeFDs {
		if time.Now().After(deadline) {
			t.Fatalf("goroutines %d → %d, descriptors %d → %d", before, runtime.NumGoroutine(), beforeFDs, descriptors(t))
		}
		runtime.Gosched()
	}
	for _, dir := range dirs {
		if _, err := os.Stat(dir); err == nil {
			t.Errorf("left: %q", dir)
		}
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	names, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(names)
}

func BenchmarkNextCommand(b *testing.B) {
	s := create(b, newManager(b, session.Config{}), "s")
	for b.Loop() {
		c := start(b, s, session.Spec{Script: "true"})
		<-c.Done()
	}
}

func TestOldestCommandsAreForgotten(t *testing.T) {
	if os.Getenv("SANDLOT_FULL") == "" {
		t.Skip("10,100 commands; set SANDLOT_FULL")
	}
	s := create(t, newManager(t, session.Config{}), "s")
	first := start(t, s, session.Spec{Script: "echo first"})
	for range 10_100 {
		wait(t, start(t, s, session.Spec{Script: "echo x"}))
	}
	if n := len(s.Commands()); n != 10_000 {
		t.Errorf("%d commands remembered, want 10000", n)
	}
	if _, err := s.Command(first.ID); !errors.Is(err, session.ErrCommandNotFound) {
		t.Errorf("the first command: %v", err)
	}
}

func TestOrderOfStreamsIsThatOfWriting(t *testing.T) {
	s := create(t, newManager(t, session.Config{}), "s")
	good := 0
	for range 100 {
		c := start(t, s, session.Spec{Script: "echo err >&2; echo out"})
		wait(t, c)
		if text(t, c, 0) == "err\nout\n" {
			good++
		}
	}
	if good < 95 {
		t.Errorf("%d of 100 in order", good)
	}
}

func TestLateOutputOfManyIsWhole(t *testing.T) {
	s := create(t, newManager(t, session.Config{}), "s")
	var all []*session.Command
	for i := range 30 {
		all = append(all, start(t, s, session.Spec{Script: fmt.Sprintf("(sleep 0.%d; seq 1 %d; seq 1 10 >&2) & echo now", 15+i%3, i*1000)}))
	}
	for i, c := range all {
		r := c.Output().Follow(0) // ends when the last process of the command has closed its output
		n := 0
		for {
			chunk, err := r.Next(t.Context())
			if err != nil {
				break
			}
			n += bytes.Count(chunk.Data, []byte("\n"))
		}
		r.Close()
		if want := 1 + i*1000 + 10; n != want {
			t.Errorf("command %d: %d lines, want %d", i, n, want)
		}
	}
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
	s, err := m.Get(session.EntrypointID)
	if err != nil {
		t.Fatal(err)
	}
	c, err := s.Command(session.EntrypointCommand)
	if err != nil {
		t.Fatal(err)
	}
	if code, _ := c.ExitCode(); code != want {
		t.Errorf("%s: code %d, want %d; output %q", program, code, want, text(t, c, 0))
	}
}
