package process_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
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

func TestRunRefusesBadSpecs(t *testing.T) {
	m := newManager(t, process.Config{})
	for _, tc := range []struct {
		name string
		spec process.Spec
	}{
		{"empty", process.Spec{}},
		{"blank", process.Spec{Script: " \n\t"}},
		{"NUL in script", process.Spec{Script: "echo a\x00b"}},
		{"NUL in argument", process.Spec{Argv: []string{"echo", "\x00"}}},
		{"variable without name", process.Spec{Script: "true", Env: map[string]string{"": "1"}}},
		{"= in a variable's name", process.Spec{Script: "true", Env: map[string]string{"A=B": ""}}},
		{"NUL in a variable's name", process.Spec{Script: "true", Env: map[string]string{"A\x00B": ""}}},
		{"variable value", process.Spec{Script: "true", Env: map[string]string{"A": "\x00"}}},
		{"timeout", process.Spec{Script: "true", Timeout: -1}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if _, err := m.Run(t.Context(), tc.spec); fault.KindOf(err) != fault.Invalid {
				t.Errorf("error = %v, want kind invalid", err)
			}
		})
	}
}

func TestSplitKeepsStreamsApart(t *testing.T) {
	m := newManager(t, process.Config{})
	script := "echo out; echo err >&2; echo out2"
	res, err := m.Run(t.Context(), process.Spec{Script: script, Streams: process.Capture{Split: true}})
	if err != nil {
		t.Fatal(err)
	}
	defer res.Discard()
	if got := text(t, res.Output, journal.Stdout); got != "out\nout2\n" {
		t.Errorf("stdout = %q", got)
	}
	if got := text(t, res.Output, journal.Stderr); got != "err\n" {
		t.Errorf("stderr = %q", got)
	}
}

// alive lists the processes that carry a word in their command line.
func alive(t *testing.T, word string) (found []string) {
	t.Helper()
	names, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, name := range names {
		data, err := os.ReadFile(name)
		pid := filepath.Base(filepath.Dir(name))
		if err != nil || !strings.Contains(string(data), word) || pid == strconv.Itoa(os.Getpid()) {
			continue
		}
		if st, _ := os.ReadFile("/proc/" + pid + "/stat"); strings.Contains(string(st), ") Z ") {
			continue
		}
		found = append(found, pid+" "+strings.ReplaceAll(string(data), "\x00", " "))
	}
	return found
}

func TestTimeoutLeavesNoProcess(t *testing.T) {
	m := newManager(t, process.Config{})
	for i, tc := range []struct{ name, script string }{
		{"plain", "echo part; sleep W"},
		{"background child", "echo part; sleep W & sleep W"},
		{"setsid", "echo part; setsid sleep W & sleep W"},
		{"setsid and output closed", "echo part; setsid sleep W >/dev/null 2>&1 & sleep W"},
		{"double fork", "echo part; (setsid sh -c 'sleep W & sleep W' &) ; (sleep W &); sleep W"},
		{"double fork, parents gone", "echo part; (setsid sh -c 'sleep W & exit' >/dev/null 2>&1 &) ; sleep W"},
		{"SIGTERM ignored", "trap '' TERM HUP INT; echo part; sh -c 'trap \"\" TERM; sleep W' & sleep W"},
		{"environment wiped", "echo part; env -i setsid sleep W & sleep W"},
		{"environment wiped, parents gone", "echo part; (env -i setsid sh -c '(sleep W &) >/dev/null 2>&1' &); sleep W"},
		{"another user's", "echo part; (setpriv --reuid 65534 env -i setsid sh -c '(sleep W &) >/dev/null 2>&1' &); sleep W"},
		{"pipe held by a grandchild", "echo part; (sleep W | sleep W) & wait"},
		{"stopped", "echo part; sleep W & kill -STOP $!; kill -STOP $$; sleep W"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			word := fmt.Sprintf("%d.%02d", 77000+os.Getpid()%1000, i+1)
			began := time.Now()
			script := strings.ReplaceAll(tc.script, "W", word)
			res, err := m.Run(t.Context(), process.Spec{Script: script, Timeout: 300 * time.Millisecond})
			if err != nil {
				t.Fatal(err)
			}
			defer res.Discard()
			if !res.TimedOut || res.ExitCode != 137 {
				t.Errorf("TimedOut, ExitCode = %v, %d; want true, 137", res.TimedOut, res.ExitCode)
			}
			if took := time.Since(began); took > 3*time.Second {
				t.Errorf("answer after %v", took)
			}
			if got := text(t, res.Output, 0); got != "part\n" {
				t.Errorf("output = %q, want the part before the timeout", got)
			}
			if left := alive(t, word); len(left) > 0 {
				t.Errorf("left behind: %q", left)
			}
		})
	}
}

func TestCallerGoneKillsTheTree(t *testing.T) {
	m := newManager(t, process.Config{})
	word := fmt.Sprintf("%d.5", 78000+os.Getpid()%1000)
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(100*time.Millisecond, cancel)
	res, err := m.Run(ctx, process.Spec{Script: "setsid sleep " + word + " & sleep " + word})
	if err != nil {
		t.Fatal(err)
	}
	res.Discard()
	if res.ExitCode != 137 {
		t.Errorf("ExitCode = %d, want 137", res.ExitCode)
	}
	if left := alive(t, word); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

func TestBackgroundChildSurvivesAndMayWrite(t *testing.T) {
	m := newManager(t, process.Config{})
	dir := t.TempDir()
	script := "(sleep 0.3; echo a; echo b >&2; seq 1 100000; echo fine > " + dir + "/f) & exit 0"
	p, err := m.Start(process.Spec{Script: script, Linger: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	<-p.Done()
	if res := p.Result(); !res.Lingering {
		t.Errorf("Lingering = false, want true")
	}
	select {
	case <-p.Drained():
	case <-time.After(20 * time.Second):
		t.Fatal("the pipe was never let go")
	}
	if got, err := os.ReadFile(dir + "/f"); err != nil || string(got) != "fine\n" {
		t.Errorf("the background child wrote %q, %v", got, err)
	}
	if !p.Gone(5 * time.Second) {
		t.Error("Gone = false after the last descendant ended")
	}
}

func TestResultTellsTheCost(t *testing.T) {
	m := newManager(t, process.Config{})
	script := "dd if=/dev/zero of=/dev/null bs=500M count=1 2>/dev/null" // more than this program has
	res, err := m.Run(t.Context(), process.Spec{Script: script})
	if err != nil {
		t.Fatal(err)
	}
	defer res.Discard()
	if res.Wall <= 0 || res.CPU <= 0 || res.CPU > 2*res.Wall || res.PeakRSS < 400<<20 {
		t.Errorf("wall %v, cpu %v, peak %d bytes: not plausible", res.Wall, res.CPU, res.PeakRSS)
	}
}

// TestExitCodesAreExact runs many short commands at once while orphans come and go.
func TestExitCodesAreExact(t *testing.T) {
	m := newManager(t, process.Config{Reap: true})
	total := 10_000
	if testing.Short() || os.Getenv("SANDLOT_FULL") == "" {
		total = 1_500
	}
	stop := make(chan struct{})
	var storm sync.WaitGroup
	storm.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			script := "for i in 1 2 3 4 5 6 7 8 9 10; do (sh -c 'exit 5' & ) ; done >/dev/null 2>&1"
			res, err := m.Run(t.Context(), process.Spec{Script: script})
			if err != nil {
				t.Error(err)
				return
			}
			res.Discard()
		}
	})
	var workers sync.WaitGroup
	for w := range 8 {
		workers.Go(func() {
			for i := w; i < total; i += 8 {
				want := fmt.Sprintf("line %d\n", i)
				code := i % 256
				res, err := m.Run(t.Context(), process.Spec{
					Script: fmt.Sprintf("echo line %d; exit %d", i, code), Streams: process.Capture{Split: i%2 == 0},
				})
				if err != nil {
					t.Error(err)
					return
				}
				if got := text(t, res.Output, journal.Stdout); res.ExitCode != code || got != want {
					t.Errorf("run %d = %d, %q; want %d, %q", i, res.ExitCode, got, code, want)
				}
				res.Discard()
			}
		})
	}
	workers.Wait()
	close(stop)
	storm.Wait()
	if n := zombies(t); n > 0 {
		time.Sleep(200 * time.Millisecond) //nolint:forbidigo // orphans may end after their shell
		if n = zombies(t); n > 0 {
			t.Errorf("%d zombies", n)
		}
	}
}

func zombies(t *testing.T) (n int) {
	t.Helper()
	names, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, name := range names {
		data, _ := os.ReadFile(name)
		f := strings.Fields(string(data[strings.LastIndexByte(string(data), ')')+1:]))
		if len(f) > 1 && f[0] == "Z" && f[1] == strconv.Itoa(os.Getpid()) {
			n++
		}
	}
	return n
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

func TestVariablesHaveAnyNameThatAnEnvironmentHolds(t *testing.T) {
	env := map[string]string{"A-B": "1", "a.b": "2", "1A": "3", "ü €": "4", "%": "5", "A\nB": "6", "-x": "7"}
	for _, byManager := range []bool{true, false} {
		m := newManager(t, process.Config{})
		own := env
		if byManager {
			own = nil
			if err := m.ChangeEnv(env, nil, ""); err != nil {
				t.Fatal(err)
			}
		}
		for name, spec := range map[string]process.Spec{
			"program": {Argv: []string{"cat", "/proc/self/environ"}, Env: own},
			"script":  {Script: "cat /proc/$$/environ; :", Env: own},
		} {
			res, err := m.Run(t.Context(), spec)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			got := strings.Split(text(t, res.Output, 0), "\x00")
			for k, v := range env {
				if !slices.Contains(got, k+"="+v) {
					t.Errorf("%s: %q is missing", name, k+"="+v)
				}
			}
			res.Discard()
		}
	}
}

func TestEnvironmentChanges(t *testing.T) {
	m := newManager(t, process.Config{Env: []string{
		"PATH=" + os.Getenv("PATH"), "OLD=x", "KEY=secret-1", "KEEP=secret-2", "SANDLOT_SECRET_SHA256=aa",
	}})
	if err := m.ChangeEnv(map[string]string{"KEEP": "secret-3", "NEW": "1"}, []string{"OLD"}, "secret-"); err != nil {
		t.Fatal(err)
	}
	res, err := m.Run(t.Context(), process.Spec{Script: `echo "$OLD,$KEY,$KEEP,$NEW,$SANDLOT_SECRET_SHA256"`})
	if err != nil {
		t.Fatal(err)
	}
	defer res.Discard()
	if got := text(t, res.Output, 0); got != ",,secret-3,1,\n" {
		t.Errorf("variables = %q", got)
	}
	if err := m.ChangeEnv(map[string]string{"A=B": ""}, []string{"NEW"}, ""); fault.KindOf(err) != fault.Invalid {
		t.Errorf("bad name: %v, want kind invalid", err)
	}
	if !strings.Contains(strings.Join(m.Environ(), " "), "NEW=1") {
		t.Error("a refused change changed something")
	}
}

// speaks waits for the first that a process writes.
func speaks(t *testing.T, p *process.Process) {
	t.Helper()
	r := p.Output().Follow(0)
	defer r.Close()
	if _, err := r.Next(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestSignalReachesTheLeader(t *testing.T) {
	m := newManager(t, process.Config{})
	p, err := m.Start(process.Spec{Script: "trap 'echo got; exit 4' USR1; echo ready; while :; do sleep 0.01; done"})
	if err != nil {
		t.Fatal(err)
	}
	speaks(t, p)
	p.Signal(syscall.SIGUSR1, false)
	<-p.Drained()
	if res := p.Result(); res.ExitCode != 4 || text(t, res.Output, 0) != "ready\ngot\n" {
		t.Errorf("result = %+v", res)
	}
}

func TestWhatBreedsIsKilledAtOnce(t *testing.T) {
	m := newManager(t, process.Config{})
	p, err := m.Start(process.Spec{Script: `trap '' TERM HUP; echo up; while :; do sleep 0.05 & done`})
	if err != nil {
		t.Fatal(err)
	}
	speaks(t, p)
	began := time.Now()
	p.End(20 * time.Second)
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("the end took %v", took)
	}
	if !p.Gone(0) {
		t.Error("something is left")
	}
}

func TestCleaningUpHasItsTime(t *testing.T) {
	m := newManager(t, process.Config{})
	script := `trap '' HUP; trap 'for i in 1 2 3 4 5 6 7 8; do sleep 0.02; done; echo clean; exit' TERM;` +
		` echo up; while :; do sleep 0.01; done`
	p, err := m.Start(process.Spec{Script: script})
	if err != nil {
		t.Fatal(err)
	}
	speaks(t, p)
	p.End(20 * time.Second)
	<-p.Drained()
	got := text(t, p.Output(), 0) // the shell may tell of its child between
	if !strings.HasPrefix(got, "up\n") || !strings.HasSuffix(got, "clean\n") {
		t.Errorf("output = %q, want what it did after SIGTERM too", got)
	}
}

func TestDefaultFolderThatIsGone(t *testing.T) {
	dir, home := t.TempDir(), t.TempDir()
	m, err := process.NewManager(process.Config{Dir: dir, Env: []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close(0) })
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	pwd := func(spec process.Spec) (int, string) {
		spec.Script = "pwd; echo $PWD"
		res, err := m.Run(t.Context(), spec)
		if err != nil {
			t.Fatal(err)
		}
		return res.ExitCode, text(t, res.Output, 0)
	}
	if code, out := pwd(process.Spec{}); code != 0 || out != home+"\n"+home+"\n" {
		t.Errorf("with a home: %d, %q", code, out)
	}
	if code, out := pwd(process.Spec{Dir: dir}); code != -1 || !strings.Contains(out, "give another cwd") {
		t.Errorf("asked for by name: %d, %q", code, out)
	}
	if err := os.Remove(home); err != nil {
		t.Fatal(err)
	}
	if code, out := pwd(process.Spec{}); code != 0 || out != "/\n/\n" {
		t.Errorf("without a home: %d, %q", code, out)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if code, out := pwd(process.Spec{}); code != 0 || out != dir+"\n"+dir+"\n" {
		t.Errorf("once it is there again: %d, %q", code, out)
	}
}
