//go:build e2e

package notebooks_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/sandlot-dev/sandlot/api"
	"github.com/sandlot-dev/sandlot/tests/harness"
)

// sandbox is one whose interpreter is spoken to, as clients do, through the proxy.
type sandbox struct {
	*harness.Box
	t *testing.T
	s *harness.Sandlot
}

func start(t *testing.T) *sandbox {
	t.Helper()
	s := harness.Start(t, harness.Options{})
	return &sandbox{Box: s.As(t, s.Key).Create(nil), t: t, s: s}
}

// with is the same sandbox for a part of a test.
func (b *sandbox) with(t *testing.T) *sandbox { return &sandbox{Box: b.Box, t: t, s: b.s} }

// context makes a context and returns its id.
func (b *sandbox) context() string {
	b.t.Helper()
	var c api.InterpreterContext
	b.Toolbox("POST", "/process/interpreter/context", api.CreateContextRequest{}).Want(http.StatusOK).Into(&c)
	return c.ID
}

// socket is a websocket of a cell.
type socket struct {
	*websocket.Conn
	t *testing.T
}

func (b *sandbox) send(r api.InterpreterRequest) socket {
	b.t.Helper()
	url := "ws" + strings.TrimPrefix(strings.TrimSuffix(b.ToolboxProxyURL, "/"), "http") + "/" + b.ID +
		"/process/interpreter/execute"
	ws, res, err := websocket.DefaultDialer.DialContext(b.t.Context(), url,
		http.Header{"Authorization": {"Bearer " + b.s.Key}})
	if err != nil {
		b.t.Fatal(err)
	}
	_ = res.Body.Close()
	if err := errors.Join(ws.SetReadDeadline(time.Now().Add(2*time.Minute)), ws.WriteJSON(r)); err != nil {
		b.t.Fatal(err)
	}
	return socket{ws, b.t}
}

// cut ends the connection as a network that fails.
func (s socket) cut() { _ = s.NetConn().Close() }

// next reads a frame; ok is false at the close, which has to be a normal one.
func (s socket) next() (f api.InterpreterFrame, ok bool) {
	s.t.Helper()
	_, data, err := s.ReadMessage()
	if websocket.IsCloseError(err, websocket.CloseNormalClosure) {
		_ = s.Close()
		return f, false
	}
	if err = errors.Join(err, json.Unmarshal(data, &f)); err != nil {
		s.t.Fatal(err)
	}
	return f, true
}

// heard is what a cell said.
type heard struct {
	stdout, stderr string
	raised         *api.InterpreterFrame
	control        string
}

func (h *heard) add(f api.InterpreterFrame) {
	switch f.Type {
	case "stdout":
		h.stdout += f.Text
	case "stderr":
		h.stderr += f.Text
	case "error":
		h.raised = &f
	case "control":
		h.control = f.Text
	}
}

func (s socket) hear() (h heard) {
	s.t.Helper()
	for f, ok := s.next(); ok; f, ok = s.next() {
		h.add(f)
	}
	return h
}

func (b *sandbox) run(context, code string) heard {
	b.t.Helper()
	return b.send(api.InterpreterRequest{Code: code, ContextID: context}).hear()
}

// TestThousandCells runs them in one context. At every fiftieth the client is cut off, before its first frame or after,
// and comes back.
func TestThousandCells(t *testing.T) {
	b := start(t)
	id := b.context()
	b.run(id, "import time\nran = []")
	const cells = 1000
	began := time.Now()
	for i := range cells {
		r := api.InterpreterRequest{
			ContextID: id, ID: fmt.Sprint(i),
			Code: fmt.Sprintf("ran.append(%d)\nprint('cell', %d, len(ran))\nfor k in range(3): print('x' * 100, k)", i, i),
		}
		var got heard
		if i%50 == 49 {
			r.Code += "\ntime.sleep(0.05)\nprint('late')"
			ws := b.send(r)
			if i%100 == 99 {
				f, ok := ws.next()
				if !ok {
					t.Fatalf("cell %d said nothing", i)
				}
				got.add(f)
				r.Offset = f.Offset
			}
			ws.cut()
		}
		ws := b.send(r)
		for f, ok := ws.next(); ok; f, ok = ws.next() {
			got.add(f)
		}
		want := fmt.Sprintf("cell %d %d\n", i, i+1)
		for k := range 3 {
			want += fmt.Sprintln(strings.Repeat("x", 100), k)
		}
		if i%50 == 49 {
			want += "late\n"
		}
		if got.stdout != want || got.stderr != "" || got.raised != nil || got.control != "completed" {
			t.Fatalf("cell %d: %+v, want %q", i, got, want)
		}
	}
	t.Logf("%d cells took %v", cells, time.Since(began).Round(time.Millisecond))
	if got := b.run(id, fmt.Sprintf("print(ran == list(range(%d)))", cells)); got.stdout != "True\n" {
		t.Errorf("each ran once: %+v", got)
	}
}

// TestWorkersKilledInTheMiddle kills them from outside, by the dozen.
func TestWorkersKilledInTheMiddle(t *testing.T) {
	b := start(t)
	id := b.context()
	var slowest time.Duration
	for range 20 {
		ws := b.send(api.InterpreterRequest{ContextID: id, Code: "import os, time\nprint(os.getpid())\ntime.sleep(100)"})
		f, _ := ws.next()
		b.MustExec("kill -9 " + f.Text)
		killed := time.Now()
		got := ws.hear()
		slowest = max(slowest, time.Since(killed))
		if got.raised == nil || got.raised.Name != "InterpreterCrashed" || !strings.Contains(got.raised.Value, "SIGKILL") ||
			got.control != "completed" {
			t.Fatalf("%+v", got)
		}
		if got := b.run(id, "print('next')"); got.stdout != "next\n" || got.stderr != "" {
			t.Fatalf("the next cell: %+v", got)
		}
	}
	t.Logf("told after %v at most", slowest.Round(time.Microsecond))
	if slowest > 2*time.Second {
		t.Errorf("told after %v", slowest)
	}
}

// TestInterrupts interrupts each kind of work a hundred times, in one context that keeps its state.
func TestInterrupts(t *testing.T) {
	b := start(t)
	id := b.context()
	b.run(id, "import time\nimport numpy as np\na = np.random.default_rng(0).normal(size=(400, 400))\nkept = 'kept'")
	for name, code := range map[string]string{
		"pure Python": "while True: pass",
		"time.sleep":  "time.sleep(1000)",
		"numpy":       "while True: np.linalg.inv(a @ a)",
		"a cell that catches exceptions": "for i in range(2):\n    try:\n        time.sleep(1000)\n" +
			"    except Exception:\n        pass",
	} {
		t.Run(name, func(t *testing.T) {
			b := b.with(t)
			took := make([]time.Duration, 100)
			for i := range took {
				ws := b.send(api.InterpreterRequest{ContextID: id, Code: "print('runs')\n" + code})
				var got heard
				for got.stdout != "runs\n" {
					f, ok := ws.next()
					if !ok {
						t.Fatalf("it ended with %+v", got)
					}
					got.add(f)
				}
				began := time.Now()
				if err := ws.WriteJSON(api.InterpreterMessage{Type: "interrupt"}); err != nil {
					t.Fatal(err)
				}
				got = ws.hear()
				took[i] = time.Since(began)
				if got.raised == nil || got.raised.Name != "KeyboardInterrupt" || got.control != "interrupted" {
					t.Fatalf("the %d. time: %+v", i+1, got)
				}
			}
			slices.Sort(took)
			t.Logf("median %v, slowest %v", took[50].Round(time.Microsecond), took[99].Round(time.Microsecond))
			if took[99] > time.Second {
				t.Errorf("the slowest took %v", took[99])
			}
			if got := b.run(id, "print(kept)"); got.stdout != "kept\n" {
				t.Errorf("afterwards: %+v", got)
			}
		})
	}
}

// TestNotebooks runs each notebook cell by cell, and as one program of the same python3 in the same container.
func TestNotebooks(t *testing.T) {
	b := start(t)
	upload := func(path string, data []byte) {
		b.Toolbox("POST", "/files/upload-v2?path="+path, strings.NewReader(string(data))).Want(http.StatusOK)
	}
	pins, err := os.ReadFile(filepath.Join("testdata", "requirements.txt"))
	if err != nil {
		t.Fatal(err)
	}
	upload("/tmp/requirements.txt", pins)
	b.MustExec("pip install -q --no-deps -r /tmp/requirements.txt")
	files, err := filepath.Glob(filepath.Join("testdata", "*_notebook.py"))
	if err != nil || len(files) < 10 {
		t.Fatalf("%d notebooks, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), "_notebook.py"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			b := b.with(t)
			path := "/tmp/" + filepath.Base(file)
			upload(path, text)
			began := time.Now()
			var plain api.ExecuteResponse
			b.Toolbox("POST", "/process/execute", api.ExecuteRequest{Command: "python3 " + path, Split: true}).
				Want(http.StatusOK).Into(&plain)
			if plain.ExitCode != 0 || plain.Stdout == nil {
				t.Fatalf("plain python3: %d\n%s", plain.ExitCode, plain.Result)
			}
			took := time.Since(began)
			began = time.Now()
			id := b.context()
			cells := strings.Split(string(text), "# %%\n")
			if len(cells) < 20 {
				t.Errorf("%d cells", len(cells))
			}
			stdout := ""
			for i, code := range cells {
				got := b.run(id, code)
				if got.raised != nil || got.control != "completed" {
					t.Fatalf("cell %d:\n%s\n%+v", i, code, got)
				}
				stdout += got.stdout
			}
			t.Logf("%d cells, %d bytes: plain %v, cell by cell %v", len(cells), len(stdout), took.Round(time.Millisecond),
				time.Since(began).Round(time.Millisecond))
			if stdout != *plain.Stdout {
				t.Errorf("cell by cell:\n%s\nplain:\n%s", stdout, *plain.Stdout)
			}
			b.Toolbox("DELETE", "/process/interpreter/context/"+id, nil).Want(http.StatusOK)
		})
	}
}
