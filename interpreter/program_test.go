package interpreter_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/interpreter"
	"github.com/sandlot-dev/sandlot/process"
)

// runProgram runs a program to its end and returns what it wrote.
func runProgram(t *testing.T, m *interpreter.Manager, processes *process.Manager, p interpreter.Program) (process.Result, string) {
	t.Helper()
	prepared, err := m.Prepare(p)
	if err != nil {
		t.Fatal(err)
	}
	defer prepared.Close()
	return runPrepared(t, processes, prepared)
}

func runPrepared(t *testing.T, processes *process.Manager, prepared *interpreter.Prepared) (process.Result, string) {
	t.Helper()
	res, err := processes.Run(t.Context(), prepared.Spec)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Discard()
	var out strings.Builder
	for r := res.Output.Snapshot(0); ; {
		c, err := r.Next(t.Context())
		if errors.Is(err, io.EOF) {
			return res, out.String()
		}
		if err != nil {
			t.Fatal(err)
		}
		out.Write(c.Data)
	}
}

func TestProgramsGetVariablesOfAnyName(t *testing.T) {
	env := map[string]string{"A-B": "1", "a.b": "2"}
	p := interpreter.Program{Language: "python", Source: "import os; print(os.environ['A-B'], os.environ['a.b'])", Env: env}
	m, processes := newManagers(t)
	if _, got := runProgram(t, m, processes, p); got != "1 2\n" {
		t.Errorf("of its own: %q", got)
	}
	if err := processes.ChangeEnv(env, nil, ""); err != nil {
		t.Fatal(err)
	}
	p.Env = nil
	if _, got := runProgram(t, m, processes, p); got != "1 2\n" {
		t.Errorf("of the manager: %q", got)
	}
}

func TestArgumentsAreWhereClientsExpectThem(t *testing.T) {
	argv := []string{"a b", "-x", "", "--"}
	given, _ := json.Marshal(argv)
	const js = "console.log(JSON.stringify(process.argv.slice(1)))"
	long := "/*" + strings.Repeat("x", 200<<10) + "*/"
	for _, tc := range []struct{ name, needs, language, source, want string }{
		{
			"python", "python3", "python", "import json, sys; print(json.dumps(sys.argv, separators=(',', ':')))",
			`["-",` + string(given[1:]),
		},
		{"javascript", "node", "javascript", js, string(given)},
		{"long javascript", "node", "javascript", long + js, string(given)},
		{"typescript", "ts-node", "typescript", "const typed: string = '';" + js, string(given)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if _, err := exec.LookPath(tc.needs); err != nil {
				t.Skip(err)
			}
			p := interpreter.Program{Language: tc.language, Source: tc.source, Argv: argv}
			m, processes := newManagers(t)
			if _, got := runProgram(t, m, processes, p); strings.TrimSpace(got) != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}

func TestBadPrograms(t *testing.T) {
	for _, p := range []interpreter.Program{{Language: "python", Source: " \n"}, {Language: "cobol", Source: "x"}} {
		if _, err := newManager(t).Prepare(p); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%+v: %v, want kind invalid", p, err)
		}
	}
}

func TestJavaScriptIsNotInItsCommandLine(t *testing.T) {
	if _, err := exec.LookPath("node"); err != nil {
		t.Skip(err)
	}
	for _, argv := range [][]string{nil, {"a b", "-x", "", "--"}} {
		m, processes := newManagers(t)
		_, got := runProgram(t, m, processes, interpreter.Program{Language: "javascript", Argv: argv, Source: `
			const fs = require("fs");
			console.log(JSON.stringify(process.argv.slice(1)), JSON.stringify(process.execArgv), fs.readFileSync(0).length);
			console.log(fs.readFileSync("/proc/self/cmdline", "utf8").includes("execArgv"));
			process.title = "a title of its own that is longer than what was there: " + "x".repeat(200);
			console.log(process.env.HOME == "` + os.Getenv("HOME") + `", __filename);`})
		given, _ := json.Marshal(append([]string{}, argv...))
		if !strings.HasPrefix(got, fmt.Sprintf(`%s ["-e",`, given)) || !strings.HasSuffix(got, "false\ntrue [eval]\n") {
			t.Errorf("arguments %q: %s", argv, got)
		}
	}
}

// spy tells whether a program was forked, and keeps it from that unless allowed.
func spy(prepared *interpreter.Prepared, allowed bool) (forked *bool) {
	forked = new(bool)
	fork := prepared.Spec.Fork
	prepared.Spec.Fork = forkFunc(func(dir string, env []string, fds []uintptr, known func(int) error) error {
		if !allowed {
			return errors.New("not allowed")
		}
		err := fork.Fork(dir, env, fds, known)
		*forked = err == nil
		return err
	})
	return forked
}

// warm runs programs until one was forked: one is, once the fork server is there.
func warm(t testing.TB, m *interpreter.Manager, processes *process.Manager, source string) {
	t.Helper()
	for range 100 {
		prepared, err := m.Prepare(interpreter.Program{Language: "python", Source: source})
		if err != nil {
			t.Fatal(err)
		}
		forked := spy(prepared, true)
		res, err := processes.Run(t.Context(), prepared.Spec)
		prepared.Close()
		if err != nil {
			t.Fatal(err)
		}
		res.Discard()
		if *forked {
			return
		}
	}
	t.Fatal("no program was forked")
}

type forkFunc func(dir string, env []string, fds []uintptr, known func(int) error) error

func (f forkFunc) Fork(dir string, env []string, fds []uintptr, known func(int) error) error {
	return f(dir, env, fds, known)
}

// TestForkedProgramsAreAsThoseStarted runs programs without a fork server, and then with one.
func TestForkedProgramsAreAsThoseStarted(t *testing.T) {
	m, processes := newManagers(t)
	programs := []struct {
		name, source, says string
		env                map[string]string
		argv               []string
		code               int
	}{
		{name: "arguments", source: "import sys\nprint(sys.argv, sys.orig_argv[0] if sys.version_info >= (3, 10) else '')", argv: []string{"a b", "$X"}},
		{name: "main", source: "print(__name__, __doc__, '__file__' in globals(), sorted(globals()))"},
		{name: "path", source: "import sys\nprint(sys.path[0] == '', sys.stdout.write_through)"},
		{name: "environment", source: "import os\nprint(sorted((k, v) for k, v in os.environ.items() if k != 'SANDLOT_PROCESS'))", env: map[string]string{"A": "ä"}},
		{name: "of Python's start", source: "import os, sys\nprint(os.environ['PYTHONWARNINGS'], sys.warnoptions)", env: map[string]string{"PYTHONWARNINGS": "error"}},
		{name: "folder", source: "import os\nprint(os.getcwd())"},
		{name: "descriptors", source: "import os\nprint([f for f in map(int, os.listdir('/proc/self/fd')) if f < 10 and os.path.lexists('/proc/self/fd/%d' % f)])"},
		{name: "session", source: "import os\nprint(os.getsid(0) == os.getpid(), os.getpgrp() == os.getpid(), os.getppid())"},
		{name: "signals", source: "import signal\nprint([signal.getsignal(s) for s in range(1, 32)])\nprint(signal.pthread_sigmask(signal.SIG_BLOCK, []))"},
		{name: "limits", source: "import resource\nprint([resource.getrlimit(i) for i in range(16) if i != 15])"},
		{name: "umask and nice", source: "import os\nprint(os.umask(0), os.nice(0))"},
		{name: "exit", source: "import sys\nsys.exit(7)", code: 7},
		{name: "words of exit", source: "import sys\nsys.exit('bye')", code: 1},
		{name: "exception", source: "def f():\n    1/0\nf()", code: 1},
		{name: "chained", source: "try:\n    1/0\nexcept ZeroDivisionError as e:\n    raise ValueError(1) from e", code: 1},
		{name: "bad program", source: "x = = 1", code: 1},
		{name: "NUL", source: "print('a\x00b')", code: 1},
		{name: "excepthook", source: "import sys\nsys.excepthook = lambda *e: print('mine', e[1])\n1/0", code: 1},
		{name: "killed", source: "import os\nos.kill(os.getpid(), 9)", code: 137},
		{name: "interrupted", source: "import os\nos.kill(os.getpid(), 2)\nimport time\ntime.sleep(9)", code: 130},
		{name: "_exit", source: "import os\nprint('a')\nos._exit(3)", code: 3},
		{name: "both streams", source: "import sys\nfor i in range(50):\n    print(i)\n    print(i, file=sys.stderr)\n    sys.stdout.buffer.write(b'raw')"},
		{name: "at exit", source: "import atexit, threading, time\natexit.register(print, 'bye')\n" +
			"threading.Thread(target=lambda: (time.sleep(0.05), print('thread'))).start()\nprint('end')"},
		{name: "objects that end", source: "class A:\n    def __init__(self, n): self.n = n\n    def __del__(self): print('end', self.n, x)\n" +
			"x = 7\na, b = A(1), A(2)\nprint('ran')"},
		{name: "objects in a circle", source: "class A:\n    def __del__(self): print('end')\na = A()\na.a = a\nb = [a]\nprint('ran')"},
		{name: "objects of functions that stay", source: "import sys\nclass A:\n    def __del__(self): print('end')\na = A()\nsys.excepthook = lambda *_: a"},
		{name: "a file that is not closed", source: "import os\nos.chdir('/tmp')\nf = open('of-a-test', 'w')\nf.write('written')\n" +
			"import atexit\natexit.register(lambda: None)\nr, w = os.pipe()\nif os.fork() == 0:\n    f = os.fdopen(w, 'w')\n    f.write('child')\nelse:\n" +
			"    os.close(w)\n    print(os.read(r, 9), os.wait()[1])\n    os.remove('of-a-test')"},
		{name: "finalizers", source: "import weakref, tempfile\nclass A: pass\na = A()\nweakref.finalize(a, print, 'finalized')\nt = tempfile.TemporaryDirectory()\nprint('ran')"},
		{name: "an end that fails", source: "import atexit\nclass F:\n    def __repr__(self): return 'F'\n    def __call__(self): 1 / 0\natexit.register(F())\natexit.register(print, 'first')"},
		{name: "exit in the end", source: "import atexit, sys\ndef f(): sys.exit(5)\nclass F:\n    def __repr__(self): return 'F'\n    def __call__(self): f()\natexit.register(F())"},
		{name: "words of C", source: "import ctypes\nctypes.CDLL(None).printf(b'from C')\nprint('ran')"},
		{name: "a thread of the background", source: "import threading, time\nthreading.Thread(target=time.sleep, args=(9,), daemon=True).start()\nprint('ran')"},
		{name: "a pool", source: "import concurrent.futures as c\np = c.ThreadPoolExecutor(2)\np.submit(lambda: print('late'))"},
		{name: "exit with a number", source: "raise SystemExit(300)", code: 44},
		{name: "with True", source: "raise SystemExit(True)", code: 1},
		{name: "with nothing", source: "import sys\nsys.exit()"},
		{name: "stdout is closed", source: "import sys\nsys.stdout.close()"},
		{name: "stdout is none", source: "import sys\nsys.stdout = None\nsys.stderr = None"},
		{name: "stdout is full", source: "import os, sys\nsys.stdout = open('/dev/full', 'w')\nprint(1)", code: 120},
		{name: "another stdout", source: "import io, sys\nsys.stdout = io.TextIOWrapper(sys.stdout.buffer, write_through=False)\nprint('kept back')"},
		{name: "main is gone", source: "import sys\ndel sys.modules['__main__']\nprint(1)"},
		{name: "a generator", source: "def g():\n    try:\n        yield 1\n    finally:\n        print('end of it')\nx = g()\nnext(x)"},
		{name: "a log", source: "import logging\nlogging.basicConfig(level=10)\nlogging.debug('word')\nlogging.getLogger().addHandler(logging.handlers.MemoryHandler(9)) if 0 else None"},
		{name: "standard input", source: "input()", code: 1},
		{name: "children", source: "import os, subprocess\nprint(subprocess.run(['sh', '-c', 'echo $A; exit 4']).returncode)\nos.system('echo x')", env: map[string]string{"A": "b"}},
		{name: "multiprocessing", source: "import multiprocessing\ndef f(x):\n    return x * x\n" +
			"if __name__ == '__main__':\n    with multiprocessing.get_context('fork').Pool(2) as p:\n        print(p.map(f, [1, 2]))"},
		{name: "asyncio", source: "import asyncio\nasync def f():\n    await asyncio.sleep(0)\n    return 5\nprint(asyncio.run(f()))"},
		{name: "encoding", source: "# -*- coding: latin-1 -*-\nprint('\xc3\xa4')"},
		{name: "await outside", source: "await x", code: 1},
		{name: "dunder future", source: "from __future__ import annotations\nprint(1)"},
		{name: "pickle", source: "import pickle\nclass A: pass\nprint(type(pickle.loads(pickle.dumps(A()))) is A)"},
	}
	cold := make([]string, len(programs))
	for _, way := range []string{"started", "forked"} {
		if way == "forked" {
			warm(t, m, processes, "1")
		}
		for i, tc := range programs {
			t.Run(way+" "+tc.name, func(t *testing.T) {
				p := interpreter.Program{Language: "python", Source: tc.source, Env: tc.env, Argv: tc.argv}
				prepared, err := m.Prepare(p)
				if err != nil {
					t.Fatal(err)
				}
				defer prepared.Close()
				forked := spy(prepared, way == "forked")
				res, got := runPrepared(t, processes, prepared)
				if res.ExitCode != tc.code {
					t.Errorf("exit code %d, want %d: %s", res.ExitCode, tc.code, got)
				}
				if way == "started" {
					cold[i] = got
				} else if got != cold[i] || *forked == (tc.name == "of Python's start") {
					t.Errorf("forked (%v):\n%s\nstarted:\n%s", *forked, got, cold[i])
				}
			})
		}
	}
}

// TestForkServerEndsWhenIdle makes one, and waits until it is gone; the next program runs, and one after it is forked.
func TestForkServerEndsWhenIdle(t *testing.T) {
	m, processes := newIdle(t, time.Second)
	children := func() (n int) {
		files, _ := filepath.Glob("/proc/self/task/*/children") // of each thread
		for _, file := range files {
			data, _ := os.ReadFile(file) // the thread may have ended
			n += len(strings.Fields(string(data)))
		}
		return n
	}
	before := children()
	for range 2 {
		warm(t, m, processes, "1")
		if children() <= before {
			t.Fatal("there is no fork server")
		}
		deadline := time.Now().Add(10 * time.Second)
		for children() > before {
			if time.Now().After(deadline) {
				t.Fatalf("%d processes are left, %d before", children(), before)
			}
			runtime.Gosched()
		}
	}
}

func TestVariablesThatAreNoTextReachPrograms(t *testing.T) {
	t.Setenv("NO_TEXT", "\xff")
	m, processes := newManagers(t)
	p := interpreter.Program{Language: "python", Source: "import os\nprint(os.environb[b'NO_TEXT'])"}
	for range 20 { // a fork server would be there soon
		if _, got := runProgram(t, m, processes, p); got != "b'\\xff'\n" {
			t.Fatal(got)
		}
	}
}
