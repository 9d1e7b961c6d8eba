//go:build e2e

package e2e_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/sandlot-dev/sandlot/api"
	"github.com/sandlot-dev/sandlot/tests/harness"
)

// cellEnd is all that a client heard of a cell.
type cellEnd struct {
	frames []api.InterpreterFrame
	code   int // of the close
	reason string
}

// text joins the text of the frames of one type.
func (e cellEnd) text(kind string) string {
	var all strings.Builder
	for _, f := range e.frames {
		if f.Type == kind {
			all.WriteString(f.Text)
		}
	}
	return all.String()
}

// order is the types of the frames, each once where it repeats.
func (e cellEnd) order() string {
	var kinds []string
	for _, f := range e.frames {
		kind := f.Type
		if kind == "control" {
			kind = f.Text
		}
		if len(kinds) == 0 || kinds[len(kinds)-1] != kind {
			kinds = append(kinds, kind)
		}
	}
	return strings.Join(kinds, " ")
}

// raised is the name and value of the error frame, "" without one.
func (e cellEnd) raised() string {
	for _, f := range e.frames {
		if f.Type == "error" {
			return f.Name + ": " + f.Value
		}
	}
	return ""
}

// result is the text of the last expression's value.
func (e cellEnd) result() string {
	for _, f := range e.frames {
		if f.Type == "result" {
			var data map[string]any
			_ = json.Unmarshal(f.Data, &data) // what is no object has no text
			text, _ := data["text/plain"].(string)
			return text
		}
	}
	return ""
}

func (e cellEnd) String() string {
	return fmt.Sprintf("%d %q: %.600s", e.code, e.reason, fmt.Sprint(e.frames))
}

// openCell opens a websocket for a cell, whose first message is given.
func (d *daemon) openCell(first any) *websocket.Conn {
	d.t.Helper()
	ws, err := d.dial("/process/interpreter/execute")
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { _ = ws.Close() })
	if err := ws.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		d.t.Fatal(err)
	}
	switch first := first.(type) {
	case string:
		err = ws.WriteMessage(websocket.TextMessage, []byte(first))
	case []byte:
		err = ws.WriteMessage(websocket.BinaryMessage, first)
	default:
		err = ws.WriteJSON(first)
	}
	if err != nil {
		d.t.Fatal(err)
	}
	return ws
}

// hear reads a cell to the close. Each frame is held to the five keys that clients need.
func hear(t testing.TB, ws *websocket.Conn) (e cellEnd) {
	t.Helper()
	defer ws.Close()
	for {
		kind, data, err := ws.ReadMessage()
		if closed := (*websocket.CloseError)(nil); errors.As(err, &closed) {
			e.code, e.reason = closed.Code, closed.Text
			return e
		}
		if err != nil {
			t.Errorf("after %v: %v", e, err)
			return e
		}
		var f api.InterpreterFrame
		if err := json.Unmarshal(data, &f); err != nil || kind != websocket.TextMessage {
			t.Errorf("a frame of kind %d, %v: %.300s", kind, err, data)
		}
		for _, key := range []string{"type", "text", "name", "value", "traceback"} {
			if len(data) < 4096 && !strings.Contains(string(data), `"`+key+`":"`) {
				t.Errorf("a frame without %s: %s", key, data)
			}
		}
		e.frames = append(e.frames, f)
	}
}

// first reads the next frame.
func first(t testing.TB, ws *websocket.Conn) (f api.InterpreterFrame) {
	t.Helper()
	if err := ws.ReadJSON(&f); err != nil {
		t.Fatal(err)
	}
	return f
}

// cell runs code in a context, "" for the default one.
func (d *daemon) cell(context, code string) cellEnd {
	d.t.Helper()
	return hear(d.t, d.openCell(api.InterpreterRequest{Code: code, ContextID: context}))
}

// context makes a context.
func (d *daemon) context(req api.CreateContextRequest) string {
	d.t.Helper()
	var c api.InterpreterContext
	if status := d.call("POST", "/process/interpreter/context", req, &c); status != 200 || c.ID == "" || !c.Active ||
		c.Language != "python" || c.Cwd == "" || c.CreatedAt.IsZero() {
		d.t.Fatalf("making a context: %d, %+v", status, c)
	}
	return c.ID
}

// TestFramesAndCloses holds cells to what clients rely on: the frames, their order and how the websocket is closed.
func TestFramesAndCloses(t *testing.T) {
	s, conn := full.up(t)
	d := behind(t, s, conn.Create(nil))
	code := func(text string) api.InterpreterRequest { return api.InterpreterRequest{Code: text} }
	limit := func(seconds float64, text string) api.InterpreterRequest {
		return api.InterpreterRequest{Code: text, Timeout: &seconds}
	}
	for _, tc := range []struct {
		name   string
		first  any
		order  string
		code   int
		reason string // a part of it
		raised string // the beginning of the error
	}{
		{"output", code("print(1)"), "stdout completed", 1000, "", ""},
		{"nothing", code("x = 1"), "completed", 1000, "", ""},
		{"in a binary message", []byte(`{"code":"print(1)","contextId":null,"envs":null,"timeout":null}`), "stdout completed", 1000, "", ""},
		{"both streams in order", code("import sys\nprint(1)\nprint(2, file=sys.stderr)\nprint(3)"), "stdout stderr stdout completed", 1000, "", ""},
		{"an exception", code("print(1)\n1/0"), "stdout error completed", 1000, "", "ZeroDivisionError: division by zero"},
		{"a result", code("print(1)\n1"), "stdout result completed", 1000, "", ""},
		{"sys.exit", code("import sys\nsys.exit(3)"), "completed", 1000, "", ""},
		{"variables of one cell", api.InterpreterRequest{Code: "import os\nprint(os.environ['A'])", Envs: map[string]string{"A": "1"}}, "stdout completed", 1000, "", ""},
		{"which later ones lack", code("os.environ['A']"), "error completed", 1000, "", "KeyError: 'A'"},
		{"no JSON", "print(1)", "", 1002, "JSON", ""},
		{"another shape", `{"code":1}`, "", 1002, "JSON", ""},
		{"no code", code(""), "", 1008, "empty", ""},
		{"a negative timeout", limit(-1, "1"), "", 1008, "timeout", ""},
		{"an unknown context", api.InterpreterRequest{Code: "1", ContextID: "nobody-7"}, "", 1008, "nobody-7", ""},
		{"an unknown language", api.InterpreterRequest{Code: "1", Language: "cobol"}, "", 1008, "python", ""},
		{"a bad variable", api.InterpreterRequest{Code: "1", Envs: map[string]string{"a=": "b"}}, "", 1008, "a=", ""},
		{"in time", limit(30, "print(1)"), "stdout completed", 1000, "", ""},
		{"without a limit", limit(0, "print(1)"), "stdout completed", 1000, "", ""},
		{"too slow", limit(0.3, "import time\nkept = 5\nprint(1)\ntime.sleep(60)"), "stdout error", 4008, "", "TimeoutError: "},
		{"state after that", code("kept"), "result completed", 1000, "", ""},
		{
			"too slow and stubborn", limit(0.3, "while True:\n    try:\n        while True: pass\n    except BaseException: pass"),
			"error", 4008, "", "TimeoutError: ",
		},
		{"a new worker after that", code("'kept' in globals()"), "stderr result completed", 1000, "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := *d
			d.t = t
			got := hear(t, d.openCell(tc.first))
			if got.order() != tc.order || got.code != tc.code || !strings.Contains(got.reason, tc.reason) ||
				tc.reason == "" && got.reason != "" || !strings.HasPrefix(got.raised(), tc.raised) {
				t.Errorf("%v; want %s, then %d with %q", got, tc.order, tc.code, tc.reason)
			}
		})
	}
}

func TestContextsOverTheWire(t *testing.T) {
	s, conn := full.up(t)
	d := behind(t, s, conn.Create(nil))
	for _, tc := range []struct {
		method, path, body string
		status             int
		says               string
	}{
		{"POST", "", `{"language":"cobol"}`, 400, "python"},
		{"POST", "", `{"language":""}`, 400, "python"},
		{"POST", "", ``, 400, ""},
		{"POST", "", `{"cwd":"/nowhere"}`, 400, "/nowhere"},
		{"POST", "", `{"memoryMiB":-1}`, 400, "memoryMiB"},
		{"DELETE", "/default", "", 400, "restart"},
		{"DELETE", "/nobody-7", "", 404, "nobody-7"},
		{"POST", "/nobody-7/interrupt", "", 404, "nobody-7"},
		{"POST", "/default-cobol/restart", "", 400, "python"},
		{"POST", "/default/interrupt", "", 200, ""},
	} {
		res, err := d.open(tc.method, "/process/interpreter/context"+tc.path, strings.NewReader(tc.body))
		if err != nil {
			t.Fatal(err)
		}
		var body struct{ Message string }
		_ = json.NewDecoder(res.Body).Decode(&body) // compared below
		res.Body.Close()
		if res.StatusCode != tc.status || !strings.Contains(body.Message, tc.says) {
			t.Errorf("%s %s %s: %d %q", tc.method, tc.path, tc.body, res.StatusCode, body.Message)
		}
	}
	id := d.context(api.CreateContextRequest{Cwd: "/usr"})
	d.cell("", "1")
	var all api.ListContextsResponse
	if d.call("GET", "/process/interpreter/context", nil, &all); len(all.Contexts) != 1 || all.Contexts[0].ID != id ||
		all.Contexts[0].Cwd != "/usr" {
		t.Errorf("the list is %+v", all)
	}
	if got := d.cell(id, "import os\nprint(os.getcwd())"); got.text("stdout") != "/usr\n" {
		t.Error(got)
	}

	// Deleted while a cell runs and another waits.
	runs := d.openCell(api.InterpreterRequest{Code: "print(1)\nimport time, subprocess\nsubprocess.Popen(['sleep', '4711'])\ntime.sleep(60)", ContextID: id})
	first(t, runs)
	waits := d.openCell(api.InterpreterRequest{Code: "print(2)", ContextID: id})
	began := time.Now()
	if status := d.call("DELETE", "/process/interpreter/context/"+id, nil, nil); status != 200 || time.Since(began) > 5*time.Second {
		t.Errorf("deleting it: %d after %v", status, time.Since(began))
	}
	if got := hear(t, runs); got.order() != "error interrupted" || got.code != 1000 || !strings.HasPrefix(got.raised(), "ContextDeleted: ") {
		t.Errorf("the cell that ran: %v", got)
	}
	// It may have come just after the deletion.
	if got := hear(t, waits); got.code != 1008 && got.order() != "error interrupted" {
		t.Errorf("the cell that waited: %v", got)
	}
	if code, out := d.exec("pgrep -f 'sleep 471[1]'"); code != 1 {
		t.Errorf("what it started is left: %s", out)
	}
	if got := d.cell(id, "1"); got.code != 1008 || !strings.Contains(got.reason, id) {
		t.Errorf("a cell of a deleted context: %v", got)
	}

	// Interrupted by the websocket, and by its own call.
	for _, way := range []string{"message", "call"} {
		ws := d.openCell(api.InterpreterRequest{Code: "kept = 1\nprint(1)\nimport time\ntime.sleep(60)"})
		first(t, ws)
		if way == "message" {
			if err := ws.WriteJSON(api.InterpreterMessage{Type: "interrupt"}); err != nil {
				t.Fatal(err)
			}
		} else {
			d.call("POST", "/process/interpreter/context/default/interrupt", nil, nil)
		}
		if got := hear(t, ws); got.order() != "error interrupted" || got.code != 1000 || !strings.HasPrefix(got.raised(), "KeyboardInterrupt") {
			t.Errorf("%s: %v", way, got)
		}
	}
	if got := d.cell("", "kept"); got.result() != "1" {
		t.Errorf("after interrupts: %v", got)
	}
	d.call("POST", "/process/interpreter/context/default/restart", nil, nil)
	if got := d.cell("", "'kept' in globals()"); got.result() != "False" || got.text("stderr") != "" {
		t.Errorf("after a restart: %v", got)
	}
}

// TestCellsOfOneContextAreQueued asks for many cells at once, each by a client of its own.
func TestCellsOfOneContextAreQueued(t *testing.T) {
	s, conn := full.up(t)
	d := behind(t, s, conn.Create(nil))
	id := d.context(api.CreateContextRequest{})
	d.cell(id, "import time\nseen, inside = [], 0")
	const n = 30
	var sockets []*websocket.Conn
	for i := range n {
		sockets = append(sockets, d.openCell(api.InterpreterRequest{ContextID: id, Code: fmt.Sprintf(
			"inside += 1\ntime.sleep(0.002)\nprint(inside)\ninside -= 1\nseen.append(%d)", i)}))
	}
	var wg sync.WaitGroup
	for _, ws := range sockets {
		wg.Go(func() {
			if got := hear(t, ws); got.text("stdout") != "1\n" || got.code != 1000 {
				t.Error(got)
			}
		})
	}
	wg.Wait()
	if got := d.cell(id, "sorted(seen) == list(range("+strconv.Itoa(n)+"))"); got.result() != "True" {
		t.Error(got)
	}
	// One behind the other, each sent when the one before is known to wait.
	hold := d.openCell(api.InterpreterRequest{ContextID: id, Code: "seen = []\nprint(1)\ntime.sleep(60)"})
	first(t, hold)
	for i := range 130 { // 128 may wait
		ws := d.openCell(api.InterpreterRequest{ContextID: id, Code: fmt.Sprintf("seen.append(%d)", i), ID: fmt.Sprint(i)})
		if i >= 128 {
			if got := hear(t, ws); got.code != 1008 || !strings.Contains(got.reason, "128") {
				t.Errorf("cell %d: %v", i, got)
			}
			continue
		}
		harness.Until(t, 10*time.Second, "the cell waits", func() bool { // found by its id, a reader of its own is not closed
			probe := d.openCell(api.InterpreterRequest{ContextID: id, ID: fmt.Sprint(i)})
			defer probe.Close()
			_ = probe.SetReadDeadline(time.Now().Add(2 * time.Millisecond))
			_, _, err := probe.ReadMessage()
			closed := (*websocket.CloseError)(nil)
			return !errors.As(err, &closed)
		})
	}
	d.call("POST", "/process/interpreter/context/"+id+"/interrupt", nil, nil)
	hear(t, hold)
	if got := d.cell(id, "seen == list(range(128))"); got.result() != "True" {
		t.Errorf("the order: %v", got)
	}
}

// TestClientsComeBackToACell leaves a cell in the middle, again and again, and reads on from the last frame.
func TestClientsComeBackToACell(t *testing.T) {
	s, conn := full.up(t)
	d := behind(t, s, conn.Create(nil))
	request := api.InterpreterRequest{ID: "long", Code: `import sys, time
for i in range(300):
    print("line", i)
    if i % 50 == 0:
        display(i)
        print("err", i, file=sys.stderr)
        time.sleep(0.05)
1/0`}
	var all cellEnd
	for round := 0; ; round++ {
		ws := d.openCell(request)
		request.Code = ""
		for range 20 {
			_, data, err := ws.ReadMessage()
			if closed := (*websocket.CloseError)(nil); errors.As(err, &closed) {
				all.code = closed.Code
				break
			}
			var f api.InterpreterFrame
			if err = errors.Join(err, json.Unmarshal(data, &f)); err != nil {
				t.Fatal(err)
			}
			all.frames = append(all.frames, f)
			if f.Offset > 0 {
				request.Offset = f.Offset
			}
		}
		_ = ws.NetConn().Close() // as a network that fails
		if all.code != 0 {
			break
		}
	}
	var stdout, stderr strings.Builder
	for i := range 300 {
		fmt.Fprintln(&stdout, "line", i)
		if i%50 == 0 {
			fmt.Fprintln(&stderr, "err", i)
		}
	}
	displays := 0
	for _, f := range all.frames {
		if f.Type == "display" {
			displays++
		}
	}
	if all.text("stdout") != stdout.String() || all.text("stderr") != stderr.String() || displays != 6 || all.code != 1000 ||
		!strings.HasPrefix(all.raised(), "ZeroDivisionError") || !strings.HasSuffix(all.order(), "error completed") {
		t.Errorf("%d displays, close %d, %d bytes of stdout, want %d; %s", displays, all.code, len(all.text("stdout")), stdout.Len(), all.raised())
	}
	request.Offset = 0
	if late := hear(t, d.openCell(request)); late.text("stdout") != stdout.String() || late.code != 1000 {
		t.Errorf("a late reader: %v", late)
	}
	if got := hear(t, d.openCell(api.InterpreterRequest{ID: "other"})); got.code != 1008 || !strings.Contains(got.reason, "other") {
		t.Errorf("an unknown cell: %v", got)
	}
	if got := hear(t, d.openCell(api.InterpreterRequest{ID: "long", Code: "2"})); got.code != 1008 {
		t.Errorf("the id with other code: %v", got)
	}
}

// TestHostileCells runs what breaks interpreters. Each is told for what it is, and the next cell works.
func TestHostileCells(t *testing.T) {
	s, conn := full.up(t)
	d := behind(t, s, conn.Create(nil))
	for _, tc := range []struct {
		name, code string
		stdout     string
		result     string
		raised     string // the beginning
		lost       bool   // the next cell has to work all the same
		any        bool   // what it says is not compared
	}{
		{name: "10 MB of code", code: "x = '" + strings.Repeat("a", 10<<20) + "'\nlen(x)", result: "10485760"},
		{name: "10 MB of lines", code: strings.Repeat("y = 1 #"+strings.Repeat("x", 1000)+"\n", 10<<20/1008) + "y", result: "1"},
		{name: "a NUL", code: "print('a\x00b')", raised: "SyntaxError: "},
		{name: "a lone surrogate in an exception", code: "raise ValueError(chr(0xd800))", raised: "ValueError: "},
		{name: "of the output", code: "print(chr(0xd800))", raised: "UnicodeEncodeError: "},
		{name: "of a result", code: "chr(0xd800)", result: `'\ud800'`},
		{name: "recursion", code: "def f(): f()\nf()", raised: "RecursionError: "},
		{name: "recursion in C", code: "x = []\nfor i in range(10**6): x = [x]\nrepr(x)", raised: "RecursionError: "},
		{name: "os._exit", code: "import os\nprint('a', flush=True)\nos._exit(3)", stdout: "a\n", raised: "InterpreterCrashed: the python interpreter ended with exit code 3", lost: true},
		{name: "sys.exit", code: "import sys\nprint('a')\nsys.exit('bye')", stdout: "a\n"},
		{name: "kill -9 of itself", code: "import os\nprint('a', flush=True)\nos.kill(os.getpid(), 9)", stdout: "a\n", raised: "InterpreterCrashed: the python interpreter was ended by SIGKILL", lost: true},
		{name: "a fault", code: "import ctypes\nctypes.string_at(0)", raised: "InterpreterCrashed: the python interpreter was ended by SIGSEGV", lost: true},
		{name: "os.fork", code: "import os\np = os.fork()\nprint('child' if p == 0 else os.waitpid(p, 0)[1])", stdout: "child\n0\n"},
		{name: "a fork that stays", code: "import os, time\nif os.fork() == 0:\n    time.sleep(4712)\nprint('parent')", stdout: "parent\n"},
		{name: "a daemon", code: "import subprocess\nsubprocess.Popen(['setsid', 'sleep', '4712'])\nprint(1)", stdout: "1\n"},
		{name: "a thread that stays", code: "import threading, time\ngo = threading.Event()\ndef late():\n    go.wait()\n    print('late')\n" +
			"t = threading.Thread(target=late)\nt.start()\nprint(1)", stdout: "1\n"},
		{name: "and writes in the next cell", code: "go.set()\nt.join()\nprint(2)", stdout: "late\n2\n"},
		{name: "a thread that writes on and on", code: "stop = False\ndef on():\n    while not stop: print('on')\nt = threading.Thread(target=on)\nt.start()\nNone", any: true},
		{name: "and is stopped", code: "stop = True\nt.join()", any: true},
		{name: "and is gone", code: "print(t.is_alive())", stdout: "False\n"},
		{name: "stdout is closed", code: "import sys, os\nsys.stdout.close()\nos.close(1)\nos.close(2)"},
		{name: "stdin too", code: "os.close(0)\nprint('back')", stdout: "back\n"},
		{name: "another stdout", code: "sys.stdout = None\nsys.stderr = 5\nNone"},
		{name: "is mended", code: "import sys\nprint('back')", stdout: "back\n"},
		{name: "all descriptors are closed", code: "os.closerange(0, 100)", raised: "InterpreterCrashed: ", lost: true},
		{name: "a false end", code: "import os, time\nos.write(3, b'{\"type\":\"done\",\"cell\":77}\\n')\ntime.sleep(60)", raised: "InterpreterCrashed: ", lost: true},
		{name: "a message without an end", code: "import os\nwhile True: os.write(3, b'x' * 65536)", raised: "InterpreterCrashed: ", lost: true},
		{name: "modules are gone", code: "import sys\nsys.modules.clear()", any: true, lost: true},
		{name: "builtins are gone", code: "import builtins\nfor n in ('print', 'len', 'isinstance', 'open', 'str', 'repr', '__import__'): delattr(builtins, n)", any: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := *d
			d.t = t
			began := time.Now()
			got := d.cell("", tc.code)
			if !tc.any && (got.text("stdout") != tc.stdout || got.code != 1000 || got.result() != tc.result ||
				!strings.HasPrefix(got.raised(), tc.raised) || (got.raised() == "") != (tc.raised == "")) {
				t.Errorf("%v", got)
			}
			if d := time.Since(began); d > 15*time.Second {
				t.Errorf("it took %v", d)
			}
			if tc.lost {
				if next := d.cell("", "print('next')"); next.text("stdout") != "next\n" {
					t.Errorf("the next cell: %v", next)
				}
			}
		})
	}
	d.call("POST", "/process/interpreter/context/default/restart", nil, nil)
	if got := d.cell("", "print('well')"); got.text("stdout") != "well\n" {
		t.Errorf("after a restart: %v", got)
	}
	harness.Until(t, 10*time.Second, "what cells left has ended", func() bool {
		code, _ := d.exec("pgrep -f '471[2]'")
		return code == 1
	})
}

// TestOutputOfCellsIsCutAndMarked has a cell write more than is kept, with nobody there to read it.
func TestOutputOfCellsIsCutAndMarked(t *testing.T) {
	s, conn := full.up(t)
	d := behind(t, s, conn.Create(nil))
	const mib = 1 << 20
	size := harness.Size(300, 1024)
	ws := d.openCell(api.InterpreterRequest{ID: "much", Code: fmt.Sprintf(
		"import sys\nfor i in range(%d): sys.stdout.write('x' * 1048575 + '\\n')\nprint('end')", size)})
	first(t, ws)
	_ = ws.NetConn().Close()
	if got := d.cell("", "print('next')"); got.text("stdout") != "next\n" { // it waits
		t.Fatal(got)
	}
	got := hear(t, d.openCell(api.InterpreterRequest{ID: "much"}))
	out, note := got.text("stdout"), got.text("stderr")
	if len(out) < 200*mib || len(out) > 258*mib || !strings.HasSuffix(out, "x\nend\n") || got.code != 1000 ||
		!strings.Contains(note, "dropped") || got.frames[0].Type != "stderr" {
		t.Errorf("%d bytes, close %d, note %q", len(out), got.code, note)
	}
	var dropped int
	for field := range strings.FieldsSeq(note) {
		if n, err := strconv.Atoi(strings.Trim(field, "[](),")); err == nil {
			dropped = n
		}
	}
	if dropped+len(out) != size*mib+len("end\n") {
		t.Errorf("%d bytes of %d, and the note is %q", len(out), size*mib, note)
	}
}

// TestManyContexts makes 200 contexts in a sandbox of 1 GiB. Each keeps its own state.
func TestManyContexts(t *testing.T) {
	s, conn := full.up(t)
	d := behind(t, s, conn.Create(nil))
	used := func() int64 {
		var m api.SystemMetrics
		d.call("GET", "/system/metrics", nil, &m)
		return m.MemUsed >> 20
	}
	before := used()
	ids := make([]string, 200)
	began := time.Now()
	for i := range ids {
		ids[i] = d.context(api.CreateContextRequest{})
		d.cell(ids[i], fmt.Sprintf("x = %d", i))
	}
	took, after := time.Since(began), used()
	t.Logf("200 contexts take %v and %d MiB", took, after-before)
	if after-before > 600 {
		t.Errorf("200 contexts take %d MiB", after-before)
	}
	var wg sync.WaitGroup
	for i, id := range ids {
		wg.Go(func() {
			if got := d.cell(id, "print(x)"); got.text("stdout") != fmt.Sprintln(i) {
				t.Errorf("context %d: %v", i, got)
			}
		})
	}
	wg.Wait()
	var all api.ListContextsResponse
	if d.call("GET", "/process/interpreter/context", nil, &all); len(all.Contexts) != len(ids) || all.Contexts[7].ID != ids[7] {
		t.Errorf("%d are listed", len(all.Contexts))
	}
	for range 56 {
		d.context(api.CreateContextRequest{})
	}
	if status := d.call("POST", "/process/interpreter/context", api.CreateContextRequest{}, nil); status != 429 {
		t.Errorf("the 257th: %d", status)
	}
	for _, id := range ids {
		wg.Go(func() {
			if status := d.call("DELETE", "/process/interpreter/context/"+id, nil, nil); status != 200 {
				t.Errorf("deleting %s: %d", id, status)
			}
		})
	}
	wg.Wait()
	if d.call("GET", "/process/interpreter/context", nil, &all); len(all.Contexts) != 56 {
		t.Errorf("%d are listed", len(all.Contexts))
	}
}

// TestMemoryOfCells tells the limit of a context from that of its sandbox.
func TestMemoryOfCells(t *testing.T) {
	const limit = 250 << 20
	c := runPID1(t, defaultImage, append(hardened, "--memory", fmt.Sprint(limit), "--memory-swap", fmt.Sprint(limit)))
	id := c.context(api.CreateContextRequest{MemoryMiB: 120})
	c.cell(id, "x = 1")
	for _, code := range []string{"y = bytearray(200 << 20)", "y = []\nwhile True: y.append('a' * 100000 + str(len(y)))"} {
		if got := c.cell(id, code); !strings.HasPrefix(got.raised(), "MemoryError: ") || !strings.Contains(got.raised(), "context, 120 MiB") {
			t.Errorf("%s: %v", code, got)
		}
		c.cell(id, "y = None")
		if got := c.cell(id, "x"); got.result() != "1" {
			t.Errorf("the state after %s: %v", code, got)
		}
	}
	if got := c.cell(id, "import subprocess\nsubprocess.run(['python3', '-c', 'bytearray(200 << 20)'], stderr=subprocess.PIPE).stderr[-12:]"); got.result() != `b'MemoryError\n'` {
		t.Errorf("a child of a cell: %v", got)
	}
	other := c.context(api.CreateContextRequest{})
	began := time.Now()
	got := c.cell(other, "print(1, flush=True)\ny = b'x' * (400 << 20)")
	if !strings.HasPrefix(got.raised(), "InterpreterCrashed: ") || !strings.Contains(got.raised(), "of its 250 MiB") ||
		got.text("stdout") != "1\n" || got.order() != "stdout error completed" || time.Since(began) > 10*time.Second {
		t.Errorf("the sandbox's memory, after %v: %v", time.Since(began), got)
	}
	for _, context := range []string{other, id} {
		if got := c.cell(context, "print(2)"); got.text("stdout") != "2\n" || got.text("stderr") != "" {
			t.Errorf("the next cell: %v", got)
		}
	}
	if got := c.cell(id, "x"); got.result() != "1" {
		t.Errorf("the context beside it: %v", got)
	}
}

// TestIdleSandboxHasNoInterpreter looks at the processes of one that ran a command and no code. A worker that is killed
// from outside is told within 2 s.
func TestIdleSandboxHasNoInterpreter(t *testing.T) {
	s, conn := full.up(t)
	d := behind(t, s, conn.Create(nil))
	const list = "ps -eo pid=,comm= | grep python"
	d.exec("true")
	d.call("GET", "/process/interpreter/context", nil, nil)
	if code, out := d.exec(list); code != 1 {
		t.Errorf("an idle sandbox runs %s", out)
	}
	ws := d.openCell(api.InterpreterRequest{Code: "import os, time\nprint(os.getpid())\ntime.sleep(60)"})
	pid := strings.TrimSpace(first(t, ws).Text)
	if code, out := d.exec("kill -9 " + pid); code != 0 {
		t.Fatal(out)
	}
	began := time.Now()
	if got := hear(t, ws); !strings.HasPrefix(got.raised(), "InterpreterCrashed: ") || !strings.Contains(got.raised(), "SIGKILL") ||
		got.order() != "error completed" || got.code != 1000 || time.Since(began) > 2*time.Second {
		t.Errorf("after %v: %v", time.Since(began), got)
	}
	if got := d.cell("", "print(1)"); got.text("stdout") != "1\n" || got.text("stderr") != "" {
		t.Errorf("the next cell: %v", got)
	}
}

// TestHeavyImportsStayWithProgramsThatWantThem holds that a program that imports little is not forked from one that has
// imported much: that made it slower than its own start.
func TestHeavyImportsStayWithProgramsThatWantThem(t *testing.T) {
	_, conn := full.up(t)
	box := conn.Create(map[string]any{"cpu": 1, "memory": 1, "disk": 3})
	run := func(source string) string {
		var res api.ExecuteResponse
		box.Toolbox("POST", "/process/code-run", api.CodeRunRequest{Language: "python", Code: source}).Want(200).Into(&res)
		return res.Result
	}
	heavy := "import sys; print('numpy' in sys.modules)\nimport numpy"
	harness.Until(t, 30*time.Second, "a program that finds numpy imported", func() bool { return run(heavy) == "True\n" })
	light := "import sys; print('numpy' in sys.modules, 'socket' in sys.modules)" // socket: it was forked
	harness.Until(t, 30*time.Second, "a light program to be forked", func() bool { return run(light) == "False True\n" })
}

// TestLargeMessagesOfManyWorkers has 24 workers send what is nearly the longest message, again and again: all at once in
// the daemon's memory, they would end the sandbox.
func TestLargeMessagesOfManyWorkers(t *testing.T) {
	s, conn := full.up(t)
	box := conn.Create(map[string]any{"cpu": 1, "memory": 1, "disk": 3})
	d := behind(t, s, box)
	const flood = `
import os
while True:
    os.write(3, b'{"type":"display","data":{"text/plain":"')
    for i in range(31 * 16): os.write(3, b'x' * 65536)
    os.write(3, b'"}}\n')`
	var all sync.WaitGroup
	timeout := 5.0
	for range 24 {
		var made api.InterpreterContext
		d.call("POST", "/process/interpreter/context", api.CreateContextRequest{}, &made)
		ws := d.openCell(api.InterpreterRequest{Code: flood, ContextID: made.ID, Timeout: &timeout})
		all.Go(func() {
			for {
				if _, _, err := ws.NextReader(); err != nil {
					return
				}
			}
		})
	}
	all.Wait()
	if code, out := d.exec("echo alive"); code != 0 || out != "alive\n" {
		t.Errorf("afterwards: %d, %q", code, out)
	}
	if got := d.cell("", "6 * 7"); got.result() != "42" {
		t.Errorf("another cell afterwards: %v", got)
	}
}
