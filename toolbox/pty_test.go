package toolbox_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/sandlot-dev/sandlot/api"
	"github.com/sandlot-dev/sandlot/process"
)

const exitToken = "X-Daytona-Pty-Exit-Control"

func protocols(tokens ...string) http.Header {
	return http.Header{"Sec-Websocket-Protocol": {strings.Join(tokens, ", ")}}
}

// terminal is the client's side of a terminal.
type terminal struct {
	*websocket.Conn
	t      *testing.T
	output string
	exited *api.PtyControl
	closed *websocket.CloseError
}

func connect(t *testing.T, url string, header http.Header) *terminal {
	t.Helper()
	ws, res := dial(t, url, header)
	if ws == nil {
		t.Fatalf("connect: %d", res.StatusCode)
	}
	const connected = `{"type":"control","status":"connected"}`
	if kind, data, err := ws.ReadMessage(); err != nil || kind != websocket.TextMessage || string(data) != connected {
		t.Fatalf("first frame: kind %d, %q, %v; want connected as text", kind, data, err)
	}
	return &terminal{Conn: ws, t: t}
}

// read takes one frame; false when the connection has ended.
func (c *terminal) read() bool {
	c.t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
	kind, data, err := c.ReadMessage()
	switch {
	case errors.As(err, &c.closed):
		return false
	case err != nil:
		c.t.Errorf("read: %v", err)
		return false
	case kind == websocket.TextMessage:
		c.exited = new(api.PtyControl)
		if err := json.Unmarshal(data, c.exited); err != nil {
			c.t.Errorf("text frame %q", data)
		}
	case c.exited != nil:
		c.t.Error("output after the exited frame")
	default:
		if len(data) > 32<<10 {
			c.t.Errorf("a frame of %d bytes", len(data))
		}
		c.output += string(data)
	}
	return true
}

func (c *terminal) until(word string) {
	c.t.Helper()
	for !strings.Contains(c.output, word) {
		if !c.read() {
			c.t.Fatalf("ended before %q came: %q", word, c.output)
		}
	}
}

func (c *terminal) end() {
	c.t.Helper()
	for c.read() { // it reads
	}
}

func (c *terminal) typeIn(text string) {
	c.t.Helper()
	if err := c.WriteMessage(websocket.BinaryMessage, []byte(text)); err != nil {
		c.t.Fatal(err)
	}
}

func TestTerminalEnds(t *testing.T) {
	base := newServer(t, process.Config{})
	for _, tc := range []struct {
		name, input string
		code        int
		reason      string
		close       int
		closeText   string
	}{
		{"zero", "exit 0\n", 0, "", 1000, `{"exitCode":0}`},
		{"code", "exit 7\n", 7, "non-zero exit", 1011, `{"exitCode":7,"exitReason":"non-zero exit"}`},
		{"interrupt", "exit 130\n", 130, "Ctrl+C", 1011, `{"exitCode":130,"exitReason":"Ctrl+C"}`},
		{"killed", "kill -KILL $$\n", 137, "SIGKILL", 1011, `{"exitCode":137,"exitReason":"SIGKILL"}`},
		{"other signal", "kill -USR1 $$\n", 138, "signal 10", 1011, `{"exitCode":138,"exitReason":"signal 10"}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			fresh := connect(t, base+"/process/pty/create-connect?id=p&cols=80&rows=24",
				protocols(exitToken, "X-Daytona-SDK-Version~0.216.0"))
			old := connect(t, base+"/process/pty/p/connect", nil)
			if got := fresh.Subprotocol(); got != "X-Daytona-SDK-Version~0.216.0" {
				t.Errorf("subprotocol %q", got)
			}
			fresh.typeIn("echo las''t; " + tc.input)
			fresh.end()
			old.end()
			if !strings.Contains(fresh.output, "last\r\n") {
				t.Errorf("output %q lacks the last line", fresh.output)
			}
			if e := fresh.exited; e == nil || e.Status != "exited" || *e.ExitCode != tc.code || e.ExitReason != tc.reason {
				t.Errorf("exited = %+v", fresh.exited)
			}
			if old.exited != nil {
				t.Errorf("a client that did not ask for it got %+v", old.exited)
			}
			for _, c := range []*terminal{fresh, old} {
				if c.closed == nil || c.closed.Code != tc.close || c.closed.Text != tc.closeText {
					t.Errorf("close = %v, want %d %s", c.closed, tc.close, tc.closeText)
				}
			}
			if res, _ := call(t, "GET", base+"/process/pty/p", nil); res.StatusCode != 404 {
				t.Errorf("after the end: %d, want 404", res.StatusCode)
			}
		})
	}
}

func TestTerminalLife(t *testing.T) {
	base := newServer(t, process.Config{})
	list := base + "/process/pty"
	status := func(method, url, body string, want int) string {
		t.Helper()
		res, text := call(t, method, url, strings.NewReader(body))
		if res.StatusCode != want {
			t.Errorf("%s %s = %d, want %d: %s", method, url, res.StatusCode, want, text)
		}
		return text
	}
	if got := status("GET", list, "", 200); got != `{"sessions":[]}` {
		t.Errorf("empty list = %s", got)
	}
	if got := status("POST", list, `{"id":"a b","envs":{"A":"1"},"lazyStart":true}`, 201); got != `{"sessionId":"a b"}` {
		t.Errorf("create = %s", got)
	}
	status("POST", list, `{"id":"a b"}`, 409)
	status("POST", list, `{}`, 400)
	for _, bad := range []string{
		`"cols":1001`, `"cols":65536`, `"cols":-1`, `"rows":1.5`, `"rows":"24"`, `"envs":{"A=":""}`,
	} {
		status("POST", list, `{"id":"c",`+bad+`}`, 400)
	}
	var info map[string]any
	answer := status("POST", list+"/a%20b/resize", `{"cols":100,"rows":30}`, 200)
	if err := json.Unmarshal([]byte(answer), &info); err != nil {
		t.Error(err)
	}
	for key, want := range map[string]any{"id": "a b", "cols": 100.0, "rows": 30.0, "active": false, "lazyStart": true} {
		if info[key] != want {
			t.Errorf("%s = %v, want %v", key, info[key], want)
		}
	}
	envs, _ := info["envs"].(map[string]any)
	if envs["TERM"] != "xterm-256color" || envs["A"] != "1" || info["cwd"] == "" || info["createdAt"] == nil {
		t.Errorf("info = %v", info)
	}
	status("POST", list+"/a%20b/resize", `{"cols":0,"rows":0}`, 400)
	status("POST", list+"/a%20b/resize", `{"cols":65536,"rows":10}`, 400)
	status("POST", list+"/none/resize", `{"cols":80,"rows":24}`, 410)
	c := connect(t, list+"/a%20b/connect", nil)
	c.typeIn("stty size; echo $A$TERM\n")
	c.until("30 100")
	c.until("1xterm-256color")
	status("DELETE", list+"/a%20b", "", 200)
	c.end()
	if c.closed.Text != `{"exitCode":137,"exitReason":"SIGKILL"}` {
		t.Errorf("deleted: close %v", c.closed)
	}
	status("DELETE", list+"/a%20b", "", 404)
	status("GET", list+"/a%20b/connect", "", 404)
}

func TestCreateConnect(t *testing.T) {
	base := newServer(t, process.Config{})
	url := base + "/process/pty/create-connect"
	envs := "X-Daytona-Pty-Envs~" + base64.RawURLEncoding.EncodeToString([]byte(`{"GREETING":"hé llo"}`))
	c := connect(t, url+"?id=a&cols=90&rows=20&cwd=%2Fusr", protocols(envs, exitToken))
	if c.Subprotocol() != exitToken {
		t.Errorf("subprotocol %q, want the one without secrets", c.Subprotocol())
	}
	c.typeIn("echo \"<$GREETING>\"; pwd; stty size\n")
	c.until("<hé llo>")
	c.until("/usr\r\n")
	c.until("20 90")
	c.Close()
	again := connect(t, base+"/process/pty/a/connect", protocols(exitToken))
	again.until("20 90") // it is shown again
	again.typeIn("exit\n")
	again.end()
	for _, tc := range []struct {
		query  string
		header http.Header
		want   int
	}{
		{"", nil, 400},
		{"?id=b&cols=0", nil, 400},
		{"?id=b&rows=65536", nil, 400},
		{"?id=b&cols=x", nil, 400},
		{"?id=b&cwd=/no/such", nil, 404},
		{"?id=b", protocols("X-Daytona-Pty-Envs~!!"), 400},
		{"?id=b", protocols("X-Daytona-Pty-Envs~" + base64.RawURLEncoding.EncodeToString([]byte(`[1]`))), 400},
	} {
		if ws, res := dial(t, url+tc.query, tc.header); ws != nil || res.StatusCode != tc.want {
			t.Errorf("%s: %d, want %d", tc.query, res.StatusCode, tc.want)
		}
	}
	post(t, base+"/process/pty", api.PtyCreateRequest{ID: "d"}, nil)
	if ws, res := dial(t, url+"?id=d", nil); ws != nil || res.StatusCode != 409 {
		t.Errorf("taken id: %d, want 409", res.StatusCode)
	}
	if res, _ := call(t, "GET", url+"?id=e", nil); res.StatusCode != 400 {
		t.Errorf("without a websocket: %d, want 400", res.StatusCode)
	}
	if res, _ := call(t, "GET", base+"/process/pty/e", nil); res.StatusCode != 404 {
		t.Errorf("it made a terminal all the same")
	}
}

func TestTerminalAnswersPingsWhileNobodyReads(t *testing.T) {
	base := newServer(t, process.Config{})
	c := connect(t, base+"/process/pty/create-connect?id=a", nil)
	c.typeIn("stty raw; sleep 60\n")
	for range 30 {
		c.typeIn(strings.Repeat("x", 10_000))
	}
	pong := make(chan struct{})
	c.SetPongHandler(func(string) error { close(pong); return errors.New("enough") })
	if err := c.WriteControl(websocket.PingMessage, nil, time.Now().Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			if _, _, err := c.ReadMessage(); err != nil {
				return
			}
		}
	}()
	select {
	case <-pong:
	case <-time.After(5 * time.Second):
		t.Error("no pong")
	}
}

func BenchmarkTerminalEcho(b *testing.B) {
	base := newServer(b, process.Config{})
	url := "ws" + strings.TrimPrefix(base, "http") + "/process/pty/create-connect?id=a"
	ws, _, err := websocket.DefaultDialer.DialContext(b.Context(), url, nil)
	if err != nil {
		b.Fatal(err)
	}
	defer ws.Close()
	_ = ws.WriteMessage(websocket.BinaryMessage, []byte("stty raw -echo; echo rea''dy; exec cat\n"))
	for all := ""; !strings.Contains(all, "ready"); {
		_, data, err := ws.ReadMessage()
		if err != nil {
			b.Fatal(err)
		}
		all += string(data)
	}
	for b.Loop() {
		if err := ws.WriteMessage(websocket.BinaryMessage, []byte("x")); err != nil {
			b.Fatal(err)
		}
		if _, _, err := ws.ReadMessage(); err != nil {
			b.Fatal(err)
		}
	}
}

func TestRequestThatIsRefusedStartsNoTerminal(t *testing.T) {
	at := newServer(t, process.Config{}) + "/process/pty"
	if res, body := call(t, "POST", at, strings.NewReader(`{"id":"lazy","lazyStart":true}`)); res.StatusCode != 201 {
		t.Fatalf("create: %d %s", res.StatusCode, body)
	}
	upgrade := []string{"Connection", "Upgrade", "Upgrade", "websocket"}
	for name, header := range map[string][]string{
		"plain":   nil,
		"no key":  append(upgrade, "Sec-WebSocket-Version", "13"),
		"bad key": append(upgrade, "Sec-WebSocket-Version", "13", "Sec-WebSocket-Key", "x"),
		"version": append(upgrade, "Sec-WebSocket-Version", "12", "Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA=="),
	} {
		for _, path := range []string{"/lazy/connect", "/create-connect?id=other"} {
			if res, body := call(t, "GET", at+path, nil, header...); res.StatusCode != 400 {
				t.Errorf("%s, %s: %d %s, want 400", name, path, res.StatusCode, body)
			}
		}
	}
	if _, body := call(t, "GET", at+"/lazy", nil); !strings.Contains(body, `"active":false`) {
		t.Errorf("its shell runs: %s", body)
	}
	if res, _ := call(t, "GET", at+"/other", nil); res.StatusCode != 404 {
		t.Errorf("a terminal was made: %d", res.StatusCode)
	}
}
