package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/gorilla/websocket"

	"github.com/sandlot-dev/sandlot/tests/harness"
)

// python is python3 itself, which may be behind a script on PATH: what is warm is so for programs alone.
var python = sync.OnceValues(func() (string, error) {
	path, err := exec.Command("python3", "-c", "import sys; print(sys.executable)").Output()
	return strings.TrimSpace(string(path)), err
})

// pythonDaemon starts a toolboxd that finds this python3. The caller kills it.
func (b *bench) pythonDaemon() (*server, error) {
	at, err := python()
	if err != nil {
		return nil, err
	}
	path := "PATH=" + filepath.Dir(at) + ":" + os.Getenv("PATH")
	return b.spawn(func(addr, log string) (*harness.Process, error) {
		return harness.SpawnToolboxd(addr, b.dir, log, path)
	})
}

// freshDaemon is a toolboxd of which only the first request is measured.
type freshDaemon struct {
	b   *bench
	url string
	end func() error // waits for all that it started, which would be in the next figure
}

func (f *freshDaemon) anew() error {
	if err := f.close(); err != nil {
		return err
	}
	s, err := f.b.pythonDaemon()
	if err != nil {
		return err
	}
	f.url, f.end = s.url, func() error { return s.proc.Stop(10 * time.Second) }
	return f.b.exec(s.url, "", "true", "")
}

func (f *freshDaemon) close() error {
	if f.end == nil {
		return nil
	}
	err := f.end()
	f.end = nil
	return err
}

// newContext makes a context and returns its id.
func (b *bench) newContext(base, key string) (string, error) {
	data, err := b.post(base+"/process/interpreter/context", key, map[string]string{"language": "python"})
	if err != nil {
		return "", err
	}
	var made struct{ ID string }
	return made.ID, json.Unmarshal(data, &made)
}

// cell runs code in a context, from the websocket to its close, and checks that want is in what it says.
func cell(base, context, code, want string) error {
	ws, err := dial("ws"+strings.TrimPrefix(base, "http")+"/process/interpreter/execute", nil)
	if err != nil {
		return err
	}
	defer ws.Close()
	if err := ws.WriteJSON(map[string]string{"code": code, "contextId": context}); err != nil {
		return err
	}
	var said strings.Builder
	for {
		_, data, err := ws.ReadMessage()
		if websocket.IsCloseError(err, websocket.CloseNormalClosure) {
			if !strings.Contains(said.String(), want) {
				return fmt.Errorf("cell %q said %.300s", code, said.String())
			}
			return nil
		}
		if err != nil {
			return err
		}
		said.Write(data)
	}
}

// echo is the same websocket at the floor, with nothing behind it.
func echo(base string) error {
	ws, err := dial("ws"+strings.TrimPrefix(base, "http")+"/echo", nil)
	if err != nil {
		return err
	}
	defer ws.Close()
	for range 2 { // a result and the end
		if err := ws.WriteMessage(websocket.TextMessage, []byte(`{"code":"1+1"}`)); err != nil {
			return err
		}
		if _, _, err := ws.ReadMessage(); err != nil {
			return err
		}
	}
	return nil
}

// rawPython is a python3 that runs already and evaluates what comes by a pipe.
type rawPython struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func newRawPython() (*rawPython, error) {
	at, err := python()
	if err != nil {
		return nil, err
	}
	r := &rawPython{cmd: exec.Command(at, "-u", "-c", "import sys\nfor line in sys.stdin: print(repr(eval(line)))")}
	r.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	in, err := r.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := r.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	r.in, r.out = in, bufio.NewReader(out)
	return r, r.cmd.Start()
}

func (r *rawPython) run(code, want string) error {
	if _, err := io.WriteString(r.in, code+"\n"); err != nil {
		return err
	}
	line, err := r.out.ReadString('\n')
	if err == nil && line != want+"\n" {
		err = fmt.Errorf("answer %q", line)
	}
	return err
}

func (r *rawPython) close() { _, _ = r.in.Close(), r.cmd.Wait() }

func rawProgram(code, want string) func() error {
	return func() error {
		at, err := python()
		if err != nil {
			return err
		}
		cmd := exec.Command(at, "-c", code)
		// As toolboxd's children are: the kernel may share the processor out by session.
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		out, err := cmd.Output()
		if err == nil && string(out) != want {
			err = fmt.Errorf("output %q", out)
		}
		return err
	}
}

func (b *bench) interpreter() (rows []Row, err error) {
	ours, err := b.pythonDaemon()
	if err != nil {
		return nil, err
	}
	defer ours.proc.Kill()
	if err := b.exec(ours.url, "", "true", ""); err != nil {
		return nil, err
	}
	idle, err := pythons(ours.proc.PID())
	if err != nil {
		return nil, err
	}
	rows = append(rows, Row{What: "workers of an idle daemon", Unit: "processes", Ours: float64(idle)}.atMost(0))
	next, err := b.cells(ours)
	if err != nil {
		return rows, err
	}
	rows = append(rows, next...)
	first, err := b.contexts(ours)
	if err != nil {
		return rows, err
	}
	return append(rows, first...), nil
}

// cells measures a cell, and eight at once.
func (b *bench) cells(ours *server) ([]Row, error) {
	floor, err := b.floorServer()
	if err != nil {
		return nil, err
	}
	plain, err := newRawPython()
	if err != nil {
		return nil, err
	}
	defer plain.close()
	ids := make([]string, 8)
	for i := range ids {
		if ids[i], err = b.newContext(ours.url, ""); err != nil {
			return nil, err
		}
	}
	m, err := alternate(b.count(500),
		task{name: "ours", do: func() error { return cell(ours.url, ids[0], "1+1", `"text/plain":"2"`) }},
		task{name: "floor", do: func() error { return echo(floor.url) }},
		task{name: "raw", do: func() error { return plain.run("1+1", "2") }})
	if err != nil {
		return nil, err
	}
	const work = "sum(i * i for i in range(400000))"
	value := "21333253333400000"
	pythons := make([]*rawPython, len(ids))
	for i := range pythons {
		if pythons[i], err = newRawPython(); err != nil {
			return nil, err
		}
		defer pythons[i].close()
	}
	all := func(do func(i int) error) func() error {
		return func() error {
			failed := make([]error, len(ids))
			var wg sync.WaitGroup
			for i := range ids {
				wg.Go(func() { failed[i] = do(i) })
			}
			wg.Wait()
			return errors.Join(failed...)
		}
	}
	one := func(i int) error { return cell(ours.url, ids[i], work, value) }
	raw := func(i int) error { return pythons[i].run(work, value) }
	s, err := alternate(b.count(20),
		task{name: "one", do: func() error { return one(0) }}, task{name: "eight", do: all(one)},
		task{name: "one, raw", do: func() error { return raw(0) }}, task{name: "eight, raw", do: all(raw)})
	if err != nil {
		return nil, err
	}
	n := float64(len(ids))
	return []Row{
		Row{
			What: "interpreter, 1+1 to the close", Unit: "ms", Ours: m[0], Floor: m[1], Raw: m[2],
			Note: "the floor is a websocket and two echoes, raw a pipe to a python3 that runs",
		}.atMost(1),
		Row{
			What: "8 cells at once ÷ one after the other", Unit: "times", Ours: n * s[0] / s[1], Raw: n * s[2] / s[3],
			Note: fmt.Sprintf("as often as fast, with %d processors", runtime.NumCPU()),
		}.atLeastRaw(0.85),
	}, nil
}

// contexts measures the first context of a daemon, and one of a daemon that had some.
func (b *bench) contexts(ours *server) ([]Row, error) {
	fresh := &freshDaemon{b: b}
	defer func() { _ = fresh.close() }() // its figures are taken
	last := ""
	m, err := alternate(b.count(30),
		task{name: "first", before: fresh.anew, do: func() error { _, err := b.newContext(fresh.url, ""); return err }},
		task{name: "next", before: func() error {
			if last == "" {
				return nil
			}
			req, err := http.NewRequest(http.MethodDelete, ours.url+"/process/interpreter/context/"+last, nil)
			if err != nil {
				return err
			}
			_, err = b.do(req, "")
			return err
		}, do: func() (err error) { last, err = b.newContext(ours.url, ""); return err }},
		task{name: "raw", before: fresh.close, do: rawProgram("", "")})
	if err != nil {
		return nil, err
	}
	return []Row{
		Row{What: "interpreter, first context", Unit: "ms", Ours: m[0], Raw: m[2], Note: "raw is python3 -c ''"}.atMost(60),
		{What: "interpreter, next context", Unit: "ms", Ours: m[1], Raw: m[2]},
	}, nil
}

// pythons counts the children of a process that run Python.
func pythons(pid int) (n int, err error) {
	out, err := exec.Command("ps", "-o", "comm=", "--ppid", fmt.Sprint(pid)).Output()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && len(out) == 0 {
		return 0, nil // no children
	}
	return strings.Count(string(out), "python"), err
}

// codeRun runs a Python program at a server.
func (b *bench) codeRun(base, key, code, want string, envs map[string]string) error {
	data, err := b.post(base+"/process/code-run", key, map[string]any{"language": "python", "code": code, "envs": envs})
	if err != nil {
		return err
	}
	var out struct {
		ExitCode int
		Result   string
	}
	if err := json.Unmarshal(data, &out); err != nil || out.ExitCode != 0 || out.Result != want {
		return fmt.Errorf("code-run: %v: %.300s", err, data)
	}
	return nil
}

// warmUp runs a program until it is no longer the first of its kind.
func (b *bench) warmUp(base, key, code, want string) error {
	for range 5 {
		if err := b.codeRun(base, key, code, want, nil); err != nil {
			return err
		}
		<-time.After(time.Duration(b.count(10)) * 100 * time.Millisecond / 5)
	}
	return nil
}

func (b *bench) program() (rows []Row, err error) {
	ours, err := b.pythonDaemon()
	if err != nil {
		return nil, err
	}
	defer ours.proc.Kill()
	if err := b.warmUp(ours.url, "", "print(1)", "1\n"); err != nil {
		return nil, err
	}
	fresh := &freshDaemon{b: b}
	defer func() { _ = fresh.close() }() // its figures are taken
	raw := rawProgram("print(1)", "1\n")
	m, err := alternate(b.count(60),
		task{name: "warm", do: func() error { return b.codeRun(ours.url, "", "print(1)", "1\n", nil) }},
		task{name: "cold", before: fresh.anew, do: func() error { return b.codeRun(fresh.url, "", "print(1)", "1\n", nil) }},
		task{name: "raw", before: fresh.close, do: raw})
	if err != nil {
		return nil, err
	}
	rows = []Row{
		Row{What: "code-run print(1), warm", Unit: "ms", Ours: m[0], Raw: m[2]}.atMost(3),
		Row{What: "code-run print(1), the first of a daemon", Unit: "ms", Ours: m[1], Raw: m[2]}.atMostRaw(1.2),
	}
	figures, err := b.figures()
	return append(rows, figures...), err
}

// figure is a program that draws.
const figure = "import numpy as np\nimport matplotlib.pyplot as plt\nplt.plot(np.sin(np.arange(100)))\nplt.show()\nprint(1)"

// figures measures a figure in a sandbox, whose image has the packages. A variable that Python reads at its start
// makes a program start for itself.
func (b *bench) figures() ([]Row, error) {
	s, err := b.running()
	if err != nil {
		return nil, err
	}
	x, err := b.newBox(s)
	if err != nil {
		return nil, err
	}
	if err := b.warmUp(x.url(), s.Key, figure, "1\n"); err != nil {
		return nil, err
	}
	cold := map[string]string{"PYTHONUTF8": "1"}
	m, err := alternate(b.count(20),
		task{name: "warm", do: func() error { return b.codeRun(x.url(), s.Key, figure, "1\n", nil) }},
		task{name: "cold", do: func() error { return b.codeRun(x.url(), s.Key, figure, "1\n", cold) }})
	if err != nil {
		return nil, err
	}
	return []Row{
		Row{
			What: "code-run of numpy and matplotlib, warm", Unit: "ms", Ours: m[0], Raw: m[1],
			Note: "raw is the same code-run, cold; both draw the figure and read its chart",
		}.atMostRaw(0.5),
	}, b.deleteBox(s, x)
}
