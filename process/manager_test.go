package process_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/sandlot-dev/sandlot/process"
	"github.com/sandlot-dev/sandlot/process/journal"
)

func newManager(t testing.TB, cfg process.Config) *process.Manager {
	t.Helper()
	if cfg.Dir == "" {
		cfg.Dir = t.TempDir()
	}
	if cfg.Env == nil {
		cfg.Env = os.Environ()
	}
	m, err := process.NewManager(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(0); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return m
}

// text reads a stream of a journal, both for 0.
func text(t testing.TB, j *journal.Journal, s journal.Stream) string {
	t.Helper()
	r := j.Snapshot(0)
	defer r.Close()
	var b strings.Builder
	for {
		c, err := r.Next(t.Context())
		if errors.Is(err, io.EOF) {
			return b.String()
		}
		if err != nil {
			t.Fatal(err)
		}
		if s == 0 || c.Stream == s {
			b.Write(c.Data)
		}
	}
}

func TestRunReportsHowAProcessEnded(t *testing.T) {
	t.Run("alone", func(t *testing.T) { testRun(t, newManager(t, process.Config{})) })
	t.Run("as reaper", func(t *testing.T) { testRun(t, newManager(t, process.Config{Reap: true})) })
}

func testRun(t *testing.T, m *process.Manager) {
	plain := filepath.Join(t.TempDir(), "plain")
	if err := os.WriteFile(plain, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	much := process.Capture{Input: make([]byte, 5<<20)}
	for _, tc := range []struct {
		name   string
		spec   process.Spec
		code   int
		output string
		signal string
	}{
		{"success", process.Spec{Script: "true"}, 0, "", ""},
		{"own code is kept", process.Spec{Script: "echo hi; exit 7"}, 7, "hi\n", ""},
		{
			"streams are merged in order",
			process.Spec{Script: "for i in 1 2 3 4 5; do echo o$i; echo e$i >&2; done"},
			0, "o1\ne1\no2\ne2\no3\ne3\no4\ne4\no5\ne5\n", "",
		},
		{"signal becomes 128+n", process.Spec{Script: "kill -KILL $$"}, 137, "", "SIGKILL"},
		{"signal of a child", process.Spec{Script: "exec 2>/dev/null; sh -c 'kill -TERM $$'; exit $?"}, 143, "", ""},
		{"stdin is at its end", process.Spec{Script: "read x; echo $?; cat; echo end"}, 0, "1\nend\n", ""},
		{"input", process.Spec{Argv: []string{"cat"}, Streams: process.Capture{Input: []byte("given")}}, 0, "given", ""},
		{"much input", process.Spec{Argv: []string{"wc", "-c"}, Streams: much}, 0, "5242880\n", ""},
		{"input nobody reads", process.Spec{Argv: []string{"true"}, Streams: much}, 0, "", ""},
		{"arguments are verbatim", process.Spec{Argv: []string{"printf", "%s|", "a b", "$X", ";", ""}}, 0, "a b|$X|;||", ""},
		{
			"environment",
			process.Spec{Script: `echo "$A $B"`, Env: map[string]string{"A": "1 2", "B": "ü"}},
			0, "1 2 ü\n", "",
		},
		{"folder", process.Spec{Script: "pwd; echo $PWD", Dir: "/usr"}, 0, "/usr\n/usr\n", ""},
		{
			"missing folder",
			process.Spec{Script: "pwd", Dir: "/no/such"},
			-1, "folder /no/such does not exist or cannot be entered: make it, or give another cwd\n", "",
		},
		{
			"missing program",
			process.Spec{Argv: []string{"no-such-program"}},
			127, "no-such-program: command not found: file does not exist\n", "",
		},
		{"not executable", process.Spec{Argv: []string{plain}}, 126, plain + ": cannot be executed: permission denied\n", ""},
		{"long script", process.Spec{Script: "echo a; : " + strings.Repeat("x", 1<<20) + "\nexit 9"}, 9, "a\n", ""},
		{"NUL bytes come through", process.Spec{Script: `printf 'a\0b\377'`}, 0, "a\x00b\xff", ""},
		{
			"output is closed long before the end",
			process.Spec{Script: "echo a; exec >&- 2>&-; sleep 0.1; exit 7"},
			7, "a\n", "",
		},
		{
			"background child does not hold the call",
			process.Spec{Script: "sleep 60 & exit 3", Linger: time.Millisecond},
			3, "", "",
		},
		{
			"late output within linger",
			process.Spec{Script: "(sleep 0.05; echo late) & exit 0", Linger: 20 * time.Second},
			0, "late\n", "",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			res, err := m.Run(t.Context(), tc.spec)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Discard()
			if res.ExitCode != tc.code || res.Signal != tc.signal {
				t.Errorf("exit code, signal = %d, %q; want %d, %q", res.ExitCode, res.Signal, tc.code, tc.signal)
			}
			if got := text(t, res.Output, 0); got != tc.output {
				t.Errorf("output = %.200q, want %.200q", got, tc.output)
			}
		})
	}
}

func TestCloseEndsEverything(t *testing.T) {
	m, err := process.NewManager(process.Config{Dir: "/", Env: os.Environ()})
	if err != nil {
		t.Fatal(err)
	}
	word := fmt.Sprintf("%d.6", 79000+os.Getpid()%1000)
	p, err := m.Start(process.Spec{Script: "trap '' TERM; setsid sleep " + word + " & sleep " + word})
	if err != nil {
		t.Fatal(err)
	}
	for len(alive(t, word)) < 2 { // both; the shell shows nothing of the script
		if t.Context().Err() != nil {
			return
		}
	}
	if err := m.Close(50 * time.Millisecond); err != nil {
		t.Error(err)
	}
	if left := alive(t, word); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
	<-p.Drained()
	if _, err := m.Run(t.Context(), process.Spec{Script: "true"}); !errors.Is(err, process.ErrClosed) {
		t.Errorf("start after Close: %v, want ErrClosed", err)
	}
}

func TestCloseWaitsForTheReaper(t *testing.T) {
	stacks := make([]byte, 1<<20)
	for range 20 {
		m, err := process.NewManager(process.Config{Dir: t.TempDir(), Reap: true})
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Close(0); err != nil {
			t.Fatal(err)
		}
		if all := stacks[:runtime.Stack(stacks, true)]; bytes.Contains(all, []byte("(*children).reap")) {
			t.Fatalf("it runs on:\n%s", all)
		}
	}
}
