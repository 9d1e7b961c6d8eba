package interpreter_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/interpreter"
	"github.com/sandlot-dev/sandlot/process"
)

func newManager(t testing.TB) *interpreter.Manager {
	t.Helper()
	m, _ := newManagers(t)
	return m
}

// newManagers returns a Manager whose processes are reaped, as in a sandbox, and the Manager of these.
func newManagers(t testing.TB) (*interpreter.Manager, *process.Manager) {
	t.Helper()
	return newIdle(t, 0)
}

func newIdle(t testing.TB, idle time.Duration) (*interpreter.Manager, *process.Manager) {
	t.Helper()
	_ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
	t.Setenv("PATH", python()+":"+os.Getenv("PATH"))
	processes, err := process.NewManager(process.Config{Dir: t.TempDir(), Env: os.Environ(), Reap: true})
	if err != nil {
		t.Fatal(err)
	}
	m := interpreter.NewManager(interpreter.Config{Processes: processes, Logger: slog.New(slog.DiscardHandler), Idle: idle})
	t.Cleanup(func() {
		m.Close()
		if err := processes.Close(time.Second); err != nil {
			t.Error(err)
		}
	})
	return m, processes
}

func newContext(t testing.TB, o interpreter.Options) *interpreter.Context {
	t.Helper()
	c, err := newManager(t).Create(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// python returns the folder of python3 itself, which may be behind a script on PATH.
var python = sync.OnceValue(func() string {
	path, err := exec.Command("python3", "-c", "import sys; print(sys.executable)").Output()
	if err != nil {
		panic(err)
	}
	return filepath.Dir(strings.TrimSpace(string(path)))
})

// said is what a reader got of a cell.
type said struct {
	stdout, stderr string
	order          string // kinds of the events, one letter each
	data           []map[string]any
	raised         *interpreter.Error
	outcome        interpreter.Outcome
	skipped        int64
}

func follow(ctx context.Context, cell *interpreter.Cell, from int64) (s said, next int64, err error) {
	r := cell.Follow(from)
	defer r.Close()
	var stdout, stderr strings.Builder
	for {
		e, err := r.Next(ctx)
		if errors.Is(err, io.EOF) {
			s.stdout, s.stderr, s.outcome = stdout.String(), stderr.String(), cell.Outcome()
			return s, next, nil
		}
		if err != nil {
			return s, next, err
		}
		next = e.Next
		s.skipped += e.Skipped
		if letter := string(e.Kind[len(e.Kind)-1]); !strings.HasSuffix(s.order, letter) {
			s.order += letter // t: stdout or result; r: stderr or error; y: display
		}
		switch e.Kind {
		case interpreter.Stdout:
			stdout.Write(e.Text)
		case interpreter.Stderr:
			stderr.Write(e.Text)
		case interpreter.Raised:
			s.raised = e.Error
		default:
			var data map[string]any
			if err := json.Unmarshal(e.Data, &data); err != nil {
				return s, next, err
			}
			s.data = append(s.data, data)
		}
	}
}

// run runs code and waits for its end.
func run(t testing.TB, c *interpreter.Context, code string) said {
	t.Helper()
	return runRequest(t, c, interpreter.Request{Code: code})
}

func runRequest(t testing.TB, c *interpreter.Context, r interpreter.Request) said {
	t.Helper()
	cell, err := c.Run(r)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	s, _, err := follow(ctx, cell, 0)
	if err != nil {
		t.Fatalf("%s\n%v", r.Code, err)
	}
	return s
}

func TestPython(t *testing.T) {
	t.Run("started", func(t *testing.T) { testPython(t, newContext(t, interpreter.Options{})) })
	t.Run("forked", func(t *testing.T) {
		m, processes := newManagers(t)
		warm(t, m, processes, "1")
		c, err := m.Create(t.Context(), interpreter.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if s := run(t, c, "import sys\n'socket' in sys.modules"); s.data[0]["text/plain"] != "True" {
			t.Fatal("it was not forked")
		}
		testPython(t, c)
	})
}

func testPython(t *testing.T, c *interpreter.Context) {
	run(t, c, "import os\ncount = 41\ndef f():\n    raise ValueError('bad')\nclass Point:\n    pass")
	for _, tc := range []struct {
		name, code string
		stdout     string
		stderr     string
		result     string
		raised     string // name and value
		traceback  string // part of it
	}{
		{name: "state is kept", code: "count += 1\nprint(count)", stdout: "42\n"},
		{name: "the last expression is the result", code: "x = 2\nx + 1", result: "3"},
		{name: "no result of None", code: "None"},
		{
			name: "an exception", code: "\nf()", raised: "ValueError: bad",
			traceback: "Traceback (most recent call last):\n  File \"<stdin>\", line 2, in <module>\n    f()",
		},
		{name: "with the source of other cells", code: "f()", raised: "ValueError: bad", traceback: "    raise ValueError('bad')"},
		{name: "a bad program", code: "x = = 1", raised: "SyntaxError: invalid syntax (line 1)", traceback: "x = = 1"},
		{name: "output before an exception", code: "print(1)\n1/0", stdout: "1\n", raised: "ZeroDivisionError: division by zero"},
		{name: "sys.exit ends the cell", code: "import sys\nprint(1)\nsys.exit(3)\nprint(2)", stdout: "1\n"},
		{name: "its words are shown", code: "import sys\nsys.exit('bye')", stderr: "bye\n"},
		{name: "standard input is at its end", code: "input()", raised: "EOFError: EOF when reading a line"},
		{name: "await", code: "import asyncio\nawait asyncio.sleep(0)\nasync def g():\n    return 7\nawait g()", result: "7"},
		{name: "a task lives on", code: "task = asyncio.get_event_loop().create_task(g())\nawait asyncio.sleep(0)"},
		{name: "in the next cell", code: "await task", result: "7"},
		{name: "asyncio.run", code: "asyncio.run(g())", result: "7"},
		{name: "children's output", code: "os.system('echo out; echo err >&2')\nNone", stdout: "out\n", stderr: "err\n"},
		{name: "beginnings", code: "print('a', end='')\nprint('b')", stdout: "ab\n"},
		{name: "no newline at the end", code: "print('a', end='')", stdout: "a"},
		{
			name: "main", code: "print(__name__, Point.__module__)\nimport pickle\ntype(pickle.loads(pickle.dumps(Point()))) is Point",
			stdout: "__main__ __main__\n", result: "True",
		},
		{name: "threads", code: "import threading\nt = threading.Thread(target=print, args=('in',))\nt.start()\nt.join()", stdout: "in\n"},
		{
			name: "a fork of the cell ends with it", code: "p = os.fork()\nif p == 0:\n    print('child')\nelse:\n    print(os.waitpid(p, 0)[1])",
			stdout: "child\n0\n",
		},
		{
			name: "with the code it asked for", code: "import sys\np = os.fork()\nif p == 0:\n    sys.exit(5)\nos.waitstatus_to_exitcode(os.waitpid(p, 0)[1])",
			result: "5",
		},
		{
			name: "multiprocessing",
			code: "import multiprocessing\ndef square(x):\n    return x * x\nwith multiprocessing.get_context('fork').Pool(2) as pool:\n" +
				"    print(pool.map(square, [1, 2, 3]))", stdout: "[1, 4, 9]\n",
		},
		{name: "recursion", code: "def r():\n    r()\nr()", raised: "RecursionError: maximum recursion depth exceeded"},
		{name: "a NUL", code: "print('a\x00b')", raised: "SyntaxError: source code string cannot contain null bytes"},
		{name: "characters", code: "print('äöü 😀 漢字')", stdout: "äöü 😀 漢字\n"},
		{name: "a lone surrogate", code: "'\\ud800'", result: "'\\ud800'"},
		{name: "bytes that are no text", code: "sys.stdout.buffer.write(b'\\xff\\n')\nsys.stdout.flush()", stdout: "\xff\n"},
		{name: "stdout is closed", code: "sys.stdout.close()"},
		{name: "and comes back", code: "print('again')", stdout: "again\n"},
		{name: "its descriptor is closed", code: "os.close(1)"},
		{name: "and comes back too", code: "print('again')\nNone", stdout: "again\n"},
		{name: "an exception whose text fails", code: "class Bad(Exception):\n    def __str__(self):\n        raise TypeError\nraise Bad", raised: "Bad: "},
		{name: "an exception of one that is no Exception", code: "raise KeyboardInterrupt", raised: "KeyboardInterrupt: "},
		{name: "display", code: "print(1)\ndisplay(2)\nprint(3)", stdout: "1\n3\n"},
		{name: "argv", code: "sys.argv", result: "['']"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := run(t, c, tc.code)
			raised := ""
			if s.raised != nil {
				raised = s.raised.Name + ": " + s.raised.Value
			}
			result := ""
			if len(s.data) > 0 && tc.name != "display" {
				result, _ = s.data[0]["text/plain"].(string)
			}
			if s.stdout != tc.stdout || s.stderr != tc.stderr || !strings.HasPrefix(raised, tc.raised) || (raised == "") != (tc.raised == "") ||
				result != tc.result {
				t.Errorf("%s\nstdout %q, stderr %q, result %q, raised %q; %+v", tc.code, s.stdout, s.stderr, result, raised, s.raised)
			}
			if s.raised != nil && (!strings.Contains(s.raised.Traceback, tc.traceback) || strings.Contains(s.raised.Traceback, "sandlot")) {
				t.Errorf("traceback:\n%s", s.raised.Traceback)
			}
			if s.outcome != (interpreter.Outcome{}) {
				t.Errorf("outcome: %+v %v", s.outcome, s.outcome.Error)
			}
		})
	}
}

func TestOutputKeepsItsOrder(t *testing.T) {
	c := newContext(t, interpreter.Options{})
	s := run(t, c, "import sys\nfor i in range(100):\n    print(i)\n    print(i, file=sys.stderr)\n    display(i)")
	if want := strings.Repeat("try", 100); s.order != want {
		t.Errorf("order %s", s.order)
	}
	s = run(t, c, "import subprocess\nfor i in range(5):\n    subprocess.run(['echo', str(i)])\n    display(i)")
	if want := strings.Repeat("ty", 5); s.order != want {
		t.Errorf("order of children's output and displays: %s", s.order)
	}
}

func TestEnvironmentOfOneCell(t *testing.T) {
	c := newContext(t, interpreter.Options{})
	t.Setenv("OUTER", "1")
	code := "import os\nos.environ.get('A'), os.environ.get('HOME')"
	r := interpreter.Request{Code: code, Envs: map[string]string{"A": "b", "HOME": "/x"}}
	if got := runRequest(t, c, r).data[0]["text/plain"]; got != "('b', '/x')" {
		t.Error(got)
	}
	if got := run(t, c, code).data[0]["text/plain"]; got != fmt.Sprintf("(None, '%s')", os.Getenv("HOME")) {
		t.Error(got)
	}
}

func TestCellsOfAContextRunInOrder(t *testing.T) {
	c := newContext(t, interpreter.Options{})
	cells := make([]*interpreter.Cell, 20)
	run(t, c, "seen = []")
	for i := range cells {
		var err error
		if cells[i], err = c.Run(interpreter.Request{Code: fmt.Sprintf("seen.append(%d)", i)}); err != nil {
			t.Fatal(err)
		}
	}
	if got := run(t, c, "seen == list(range(20))").data[0]["text/plain"]; got != "True" {
		t.Error(got)
	}
}

func TestContextsAreApart(t *testing.T) {
	m := newManager(t)
	a, err := m.Create(t.Context(), interpreter.Options{})
	if err != nil {
		t.Fatal(err)
	}
	b, err := m.Create(t.Context(), interpreter.Options{Dir: "/usr"})
	if err != nil {
		t.Fatal(err)
	}
	run(t, a, "x = 1")
	if s := run(t, b, "import os\nprint(os.getcwd())\nx"); s.stdout != "/usr\n" || s.raised == nil || s.raised.Name != "NameError" {
		t.Errorf("%+v", s)
	}
	if l := m.List(); len(l) != 2 || l[0] != a || !l[1].Active() {
		t.Errorf("list: %v", l)
	}
	d, err := m.Default("")
	if err != nil {
		t.Fatal(err)
	}
	if d.Active() {
		t.Error("the default context has a worker before its first cell")
	}
	run(t, d, "x = 3")
	if again, _ := m.Default("python3"); again != d || d.ID != "default" || len(m.List()) != 2 {
		t.Errorf("default: %v", again)
	}
	if err := m.Delete(a.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Run(interpreter.Request{Code: "1"}); !errors.Is(err, interpreter.ErrDeleted) {
		t.Error(err)
	}
	if err := m.Delete(a.ID); !errors.Is(err, interpreter.ErrNotFound) {
		t.Error(err)
	}
}

func TestBadRequests(t *testing.T) {
	m := newManager(t)
	for _, tc := range []struct {
		o    interpreter.Options
		kind fault.Kind
		says string
	}{
		{interpreter.Options{Language: "cobol"}, fault.Invalid, "python"},
		{interpreter.Options{Dir: "/nowhere"}, fault.NotFound, "/nowhere"},
	} {
		if _, err := m.Create(t.Context(), tc.o); fault.KindOf(err) != tc.kind || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%+v: %v", tc.o, err)
		}
	}
	if l := m.List(); len(l) != 0 {
		t.Error(l)
	}
	c, _ := m.Default("")
	for _, r := range []interpreter.Request{
		{Code: " \n"}, {Code: "1", Timeout: -1}, {Code: "1", Envs: map[string]string{"a=": "b"}},
	} {
		if _, err := c.Run(r); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%+v: %v", r, err)
		}
	}
}

func TestForkedContextsNeedTheirFolder(t *testing.T) {
	m, processes := newManagers(t)
	warm(t, m, processes, "1")
	if _, err := m.Create(t.Context(), interpreter.Options{Dir: "/nowhere"}); fault.KindOf(err) != fault.NotFound {
		t.Errorf("a folder that is not there: %v", err)
	}
}

func TestInterruptLeavesTheState(t *testing.T) {
	c := newContext(t, interpreter.Options{})
	run(t, c, "import asyncio, subprocess, threading, time\nx = 1")
	for _, code := range []string{
		"while True: pass", "time.sleep(100)", "subprocess.run(['sleep', '100'])",
		"await asyncio.sleep(100)", "asyncio.run(asyncio.sleep(100))", "threading.Event().wait()",
	} {
		cell, err := c.Run(interpreter.Request{Code: "print('runs', flush=True)\n" + code})
		if err != nil {
			t.Fatal(err)
		}
		r := cell.Follow(0)
		if _, err := r.Next(t.Context()); err != nil { // it runs
			t.Fatal(err)
		}
		began := time.Now()
		c.Interrupt()
		s, _, err := follow(t.Context(), cell, 0)
		r.Close()
		if err != nil || s.raised == nil || s.raised.Name != "KeyboardInterrupt" || s.outcome.State != interpreter.Interrupted {
			t.Errorf("%s: %+v, %v, %v", code, s, s.raised, err)
		}
		if d := time.Since(began); d > 5*time.Second {
			t.Errorf("%s: interrupted after %v", code, d)
		}
		if got := run(t, c, "x").data[0]["text/plain"]; got != "1" {
			t.Error(got)
		}
	}
	c.Interrupt() // nothing runs
	if s := run(t, c, "x"); s.raised != nil {
		t.Errorf("%+v", s.raised)
	}
}

// TestInterruptsThatComeJustBeforeASleep meets the moment in which Python has looked for signals, and sleeps next.
func TestInterruptsThatComeJustBeforeASleep(t *testing.T) {
	c := newContext(t, interpreter.Options{})
	run(t, c, "import time")
	for i := range 1000 {
		cell, err := c.Run(interpreter.Request{Code: "print('runs', flush=True)\ntime.sleep(4)"})
		if err != nil {
			t.Fatal(err)
		}
		r := cell.Follow(0)
		if _, err := r.Next(t.Context()); err != nil {
			t.Fatal(err)
		}
		for range i % 100 * 100 { // another part of that moment each time
			runtime.KeepAlive(r)
		}
		began := time.Now()
		c.Interrupt()
		<-cell.Done()
		r.Close()
		if d := time.Since(began); d > 2*time.Second {
			t.Fatalf("number %d: interrupted after %v", i, d)
		}
	}
}

func TestTimeouts(t *testing.T) {
	c := newContext(t, interpreter.Options{})
	run(t, c, "import time\nx = 1")
	s := runRequest(t, c, interpreter.Request{Code: "print('a')\ntime.sleep(100)", Timeout: 200 * time.Millisecond})
	if s.stdout != "a\n" || s.outcome.State != interpreter.TimedOut || s.raised != nil ||
		!strings.Contains(s.outcome.Error.Traceback, "time.sleep(100)") {
		t.Errorf("%+v %+v", s, s.outcome.Error)
	}
	if got := run(t, c, "x").data[0]["text/plain"]; got != "1" {
		t.Error("the state is lost")
	}
	stubborn := "while True:\n    try:\n        time.sleep(100)\n    except KeyboardInterrupt:\n        pass"
	s = runRequest(t, c, interpreter.Request{Code: stubborn, Timeout: 200 * time.Millisecond})
	if s.outcome.State != interpreter.TimedOut {
		t.Errorf("%+v", s)
	}
	if s = run(t, c, "print('x' in globals())"); s.stdout != "False\n" || !strings.Contains(s.stderr, "SIGKILL") {
		t.Errorf("%+v", s)
	}
}

func TestWorkersThatDie(t *testing.T) {
	c := newContext(t, interpreter.Options{})
	for _, tc := range []struct{ name, code, says string }{
		{"exit", "import os\nprint('a', flush=True)\nos._exit(3)", "exit code 3"},
		{"kill", "import os\nprint('a', flush=True)\nos.kill(os.getpid(), 9)", "SIGKILL"},
		{"fault", "import ctypes\nprint('a', flush=True)\nctypes.string_at(0)", "SIGSEGV"},
		{"a false message", "import os\nprint('a', flush=True)\nos.write(3, b'nonsense\\n')\nimport time\ntime.sleep(100)", "SIGKILL"},
		{
			"the end of another cell", "import os\nprint('a', flush=True)\nos.write(3, b'{\"type\":\"done\",\"cell\":99}\\n')\nimport time\ntime.sleep(100)",
			"SIGKILL",
		},
		{"the socket is closed", "import os\nprint('a', flush=True)\nos.close(3)\nimport time\ntime.sleep(100)", "SIGKILL"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			began := time.Now()
			s := run(t, c, tc.code)
			if s.stdout != "a\n" || s.outcome.State != interpreter.Crashed || !strings.Contains(s.outcome.Error.Value, tc.says) {
				t.Errorf("%+v %+v", s, s.outcome.Error)
			}
			if d := time.Since(began); d > 4*time.Second {
				t.Errorf("told after %v", d)
			}
			if s := run(t, c, "print(1)"); s.stdout != "1\n" || s.stderr != "" {
				t.Errorf("the next cell: %+v", s)
			}
		})
	}
	run(t, c, "import os, threading\nthreading.Timer(0.05, os._exit, [4]).start()")
	for c.Active() {
		runtime.Gosched()
	}
	if s := run(t, c, "print(1)"); s.stdout != "1\n" || !strings.Contains(s.stderr, "exit code 4") {
		t.Errorf("after an end between cells: %+v", s)
	}
}

func TestLateReadersGetTheWholeRecord(t *testing.T) {
	c := newContext(t, interpreter.Options{})
	code := "import sys\nfor i in range(1000):\n    print(i)\n    if i % 100 == 0: display(i)\n'end'"
	request := interpreter.Request{Code: code, ID: "one"}
	first := runRequest(t, c, request)
	run(t, c, "print('another')")
	again := runRequest(t, c, request)
	if first.stdout != again.stdout || len(first.data) != 11 || len(again.data) != 11 {
		t.Errorf("%d and %d bytes, %d and %d data", len(first.stdout), len(again.stdout), len(first.data), len(again.data))
	}
	if _, err := c.Run(interpreter.Request{Code: "1", ID: "one"}); fault.KindOf(err) != fault.Conflict {
		t.Error(err)
	}
	cell, err := c.Cell("one")
	if err != nil {
		t.Fatal(err)
	}
	whole := ""
	for at, n := int64(0), 0; ; n++ { // each reader takes three events
		r := cell.Follow(at)
		var end error
		for range 3 {
			e, err := r.Next(t.Context())
			if end = err; err != nil {
				break
			}
			if e.Kind == interpreter.Stdout {
				whole += string(e.Text)
			}
			at = e.Next
		}
		r.Close()
		if end != nil {
			break
		}
	}
	if whole != first.stdout {
		t.Errorf("in parts: %d bytes of %d", len(whole), len(first.stdout))
	}
}

func TestMuchOutputIsCutAndMarked(t *testing.T) {
	c := newContext(t, interpreter.Options{})
	cell, err := c.Run(interpreter.Request{Code: "import sys\nline = b'x' * 65535 + b'\\n'\nfor i in range(6000): sys.stdout.buffer.write(line)\nprint('end')"})
	if err != nil {
		t.Fatal(err)
	}
	<-cell.Done()
	s, _, err := follow(t.Context(), cell, 0)
	if err != nil || s.skipped == 0 || s.skipped+int64(len(s.stdout)) < 6000*65536 || !strings.HasSuffix(s.stdout, "x\nend\n") {
		t.Errorf("skipped %d, kept %d, %v", s.skipped, len(s.stdout), err)
	}
	if s := run(t, c, "print(1)"); s.stdout != "1\n" {
		t.Errorf("%+v", s)
	}
}

func TestMemoryLimitOfAContext(t *testing.T) {
	c := newContext(t, interpreter.Options{Memory: 200 << 20})
	run(t, c, "x = 1")
	s := run(t, c, "y = bytearray(500 << 20)")
	if s.raised == nil || s.raised.Name != "MemoryError" || !strings.Contains(s.raised.Value, "200 MiB") {
		t.Errorf("%+v %+v", s, s.raised)
	}
	if got := run(t, c, "x").data[0]["text/plain"]; got != "1" {
		t.Error(got)
	}
}

func TestDeletedWhileItRuns(t *testing.T) {
	m := newManager(t)
	c, err := m.Create(t.Context(), interpreter.Options{})
	if err != nil {
		t.Fatal(err)
	}
	cell, _ := c.Run(interpreter.Request{Code: "print('a', flush=True)\nimport time, subprocess\nsubprocess.Popen(['sleep', '1000'])\ntime.sleep(100)"})
	waits, _ := c.Run(interpreter.Request{Code: "1"})
	r := cell.Follow(0)
	defer r.Close()
	if _, err := r.Next(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := m.Delete(c.ID); err != nil {
		t.Fatal(err)
	}
	for _, cell := range []*interpreter.Cell{cell, waits} {
		if o := cell.Outcome(); o.State != interpreter.Deleted || o.Error.Name != "ContextDeleted" {
			t.Errorf("%+v", o)
		}
	}
}

// TestWhatDeadWorkersLeft ends with the context: it is not lost with the worker that started it.
func TestWhatDeadWorkersLeft(t *testing.T) {
	m := newManager(t)
	for name, end := range map[string]func(*interpreter.Context){
		"delete":  func(c *interpreter.Context) { _ = m.Delete(c.ID) },
		"restart": (*interpreter.Context).Restart,
	} {
		c, err := m.Create(t.Context(), interpreter.Options{})
		if err != nil {
			t.Fatal(err)
		}
		var left []string
		for range 3 {
			s := run(t, c, "import os, subprocess\nprint(subprocess.Popen(['setsid', 'sleep', '1000']).pid, flush=True)\nos._exit(1)")
			left = append(left, strings.TrimSpace(s.stdout))
		}
		end(c)
		for _, pid := range left {
			if data, err := os.ReadFile("/proc/" + pid + "/cmdline"); err == nil && len(data) > 0 {
				t.Errorf("after %s process %s runs: %s", name, pid, data)
			}
		}
	}
}

func TestCloseLeavesNothing(t *testing.T) {
	before := runtime.NumGoroutine()
	t.Run("contexts", func(t *testing.T) {
		m := newManager(t)
		for range 4 {
			c, err := m.Create(t.Context(), interpreter.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := c.Run(interpreter.Request{Code: "import time\ntime.sleep(100)"}); err != nil {
				t.Fatal(err)
			}
		}
	})
	deadline := time.After(5 * time.Second)
	for runtime.NumGoroutine() > before {
		select {
		case <-deadline:
			buf := make([]byte, 1<<20)
			t.Fatalf("%d goroutines, %d before\n%s", runtime.NumGoroutine(), before, buf[:runtime.Stack(buf, true)])
		default:
			runtime.Gosched()
		}
	}
}
