package session_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

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

// zsh returns the path of zsh, from SANDLOT_ZSH or the usual places.
func zsh(t *testing.T) string {
	t.Helper()
	for _, path := range []string{os.Getenv("SANDLOT_ZSH"), "/usr/bin/zsh", "/bin/zsh"} {
		if _, err := os.Stat(path); path != "" && err == nil {
			return path
		}
	}
	t.Skip("no zsh")
	return ""
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

func until(t *testing.T, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); {
		if time.Now().After(end) {
			t.Fatal("not within 20 s")
		}
		<-time.After(time.Millisecond)
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
				t.Errorf("code %d, stdout %q, error %v; want %d, %q, nil",
					code, text(t, c, journal.Stdout), c.Err(), tc.code, tc.stdout)
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

func TestReplacedShellIsTheCommand(t *testing.T) {
	s := create(t, newManagerOf(t, "/bin/bash"), "s")
	c := start(t, s, session.Spec{Script: "exec sh -c 'sleep 0.4; echo out; exit 5'"})
	wait(t, c)
	if code, _ := c.ExitCode(); code != 5 || c.Err() != nil || text(t, c, 0) != "out\n" {
		t.Errorf("code %d, error %v, output %q", code, c.Err(), text(t, c, 0))
	}
}

func TestWhatACommandDoesToItsShellDoesNotHarmTheNext(t *testing.T) {
	for _, shell := range shells {
		t.Run(shell, func(t *testing.T) {
			m := newManagerOf(t, shell)
			s := create(t, m, "s")
			for _, script := range []string{
				"exec <&-",
				"exec >&- 2>&-",
				"exec 0</dev/zero 1>/dev/full 2>&1",
				"exec 3<&- 9>&-",
				"set -u",
				"trap 'echo trapped >&2' TERM INT HUP",
				"trap '' TERM; (exit 4)",
				"set -x; true",
				"set +x",
				"set -v",
				"set +v",
				"set -f; set +f",
				"IFS=0123456789",
				"unset PATH; PATH=/bin:/usr/bin",
				"printf() { echo overridden; }",
				"echo() { :; }",
				`alias printf='false' command='false'`,
				"readonly IFS x=1",
				"LC_ALL=C; export LC_ALL",
				"cd /; umask 777",
				"set -C",
				"set -a",
				"set -b -m 2>/dev/null; sleep 0.01 & wait",
				"umask 022",
				"set -o posix 2>/dev/null",
				"if fi",
				"shopt -s extglob 2>/dev/null; true",
				"BASH_XTRACEFD=1; PS4='=7'; set -x 2>/dev/null; :",
				"set +x",
				"echo =5",
				"sleep 0.25",
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

// TestACommandThatCannotBeHandedOverSaysWhy: without descriptors the disk is not full.
func TestACommandThatCannotBeHandedOverSaysWhy(t *testing.T) {
	s := create(t, newManager(t, session.Config{}), "s")
	do(t, s, "true")
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 3, Max: limit.Max}); err != nil {
		t.Fatal(err)
	}
	c, err := s.Exec(session.Spec{Script: "echo never"})
	if back := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); back != nil {
		t.Fatal(back)
	}
	if err == nil {
		wait(t, c)
		err = c.Err()
	}
	if fault.KindOf(err) != fault.Unavailable || !strings.Contains(err.Error(), "EMFILE") {
		t.Errorf("%v (%v), want unavailable with EMFILE", err, fault.KindOf(err))
	}
	if code, out, _ := do(t, s, "echo again"); code != 0 || out != "again\n" {
		t.Errorf("the next command: %d, %q", code, out)
	}
}

func BenchmarkNextCommand(b *testing.B) {
	s := create(b, newManager(b, session.Config{}), "s")
	for b.Loop() {
		c := start(b, s, session.Spec{Script: "true"})
		<-c.Done()
	}
}
