//go:build e2e

package e2e_test

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gorilla/websocket"

	"github.com/sandlot-dev/sandlot/api"
	"github.com/sandlot-dev/sandlot/tests/contract"
	"github.com/sandlot-dev/sandlot/tests/harness"
)

// caller describes, for a client that is not run here, what it does in its own way.
type caller struct {
	name      string
	headers   []string
	folder    string // mode of new folders, as it writes it
	recursive bool   // says recursive=true or false with each deletion; else never
	// Says runAsync and suppressInputEcho with each command of a session, and set_upstream with each push; else only
	// what is given.
	flags   bool
	version bool // says its version on websockets
	preview bool // opens websockets at the preview host of port 2280, with the preview token
	asText  bool // types into terminals by text frames
}

var callers = []caller{
	{
		name: "Go", folder: "0755", recursive: true, flags: true, version: true,
		headers: []string{
			"X-Daytona-Source: sdk-go", "X-Daytona-SDK-Version: v0.205.1", "User-Agent: sdk-go/0.205.1",
			"Accept: application/json",
		},
	},
	{
		name: "Ruby", folder: "755", recursive: true, flags: true, version: true, preview: true, asText: true,
		headers: []string{
			"X-Daytona-Source: sdk-ruby", "X-Daytona-SDK-Version: 0.205.1", "User-Agent: sdk-ruby/0.205.1",
			"Accept: application/json", "Expect: 100-continue",
		},
	},
	{
		name: "Java", folder: "755", asText: true,
		headers: []string{
			"X-Daytona-Source: sdk-java", "X-Daytona-SDK-Version: dev", "User-Agent: sdk-java/dev",
			"Accept: application/json", "Accept-Encoding: gzip",
		},
	},
}

// row is one call as curl sends it. {cmd} stands for the id of the last command of a session.
type row struct {
	method, path, body string
	form               []string // of a multipart body: name=value, in this order; files as name=@path;filename=x
	status             int
	want               string // in the answer, header and body
}

// TestClientsThatAreNotRunHere sends the calls of the Go, Ruby and Java clients, and of the command line, as these
// send them. Each answer is held to the contract, required keys and types included.
func TestClientsThatAreNotRunHere(t *testing.T) {
	s, conn := full.up(t)
	local := filepath.Join(t.TempDir(), "local")
	if err := os.WriteFile(local, []byte("from a file\x00\xff"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range callers {
		t.Run(c.name, func(t *testing.T) {
			box := conn.Create(map[string]any{"cpu": 1, "memory": 1, "disk": 3})
			d := behind(t, s, box)
			for _, h := range c.headers {
				name, value, _ := strings.Cut(h, ": ")
				d = d.with(name, value)
			}
			id := ""
			for _, r := range c.rows(local) {
				d.send(r, &id)
			}
			if id == "" {
				t.Fatal("no command of a session was told its id")
			}
			c.follow(d, s, box, id)
			c.terminal(d, s, box)
			c.interpret(d, s, box)
		})
	}
	t.Run("command line", func(t *testing.T) {
		box := conn.Create(map[string]any{"cpu": 1, "memory": 1, "disk": 3})
		d := behind(t, s, box).with("X-Daytona-CLI-Version", "v0.205.1").with("X-Daytona-Source", "cli")
		for _, r := range []row{
			{
				method: "POST", path: "/process/execute", body: `{"command":"echo hi; exit 4","timeout":10}`, status: 200,
				want: `"exitCode":4,"result":"hi\n"`,
			},
			{
				method: "POST", path: "/process/execute", body: `{"command":"echo hi","timeout":10.0}`, status: 200,
				want: `"result":"hi\n"`,
			},
			{method: "POST", path: "/process/execute", body: `{"command":"echo hi","timeout":1.5}`, status: 400, want: "whole"},
			{method: "POST", path: "/files/folder?path=/tmp/mcp&mode=0755", status: 201},
			{
				method: "POST", path: "/files/upload-v2?path=/tmp/mcp/f", form: []string{"file=@" + local + ";filename=f"},
				status: 200, want: `"type":"file"`,
			},
			{method: "GET", path: "/files/info?path=/tmp/mcp/f", status: 200, want: `"size":13`},
			{method: "GET", path: "/files/download?path=/tmp/mcp/f", status: 200, want: "from a file\x00\xff"},
		} {
			d.send(r, new(string))
		}
	})
}

// rows is what the client sends, in an order in which it can be.
func (c caller) rows(local string) []row {
	deletion := func(path string, recursive bool) string {
		if !c.recursive {
			return "/files?path=" + path
		}
		return fmt.Sprintf("/files?path=%s&recursive=%v", path, recursive)
	}
	command := func(text string, async bool) string {
		body := map[string]any{"command": text}
		if async || c.flags {
			body["runAsync"] = async
		}
		if c.flags {
			body["suppressInputEcho"] = false
		}
		data, _ := json.Marshal(body)
		return string(data)
	}
	push := `{"path":"/tmp/c/r"}`
	if c.flags {
		push = `{"path":"/tmp/c/r","remote":"origin","branch":"main","set_upstream":true}`
	}
	rows := []row{
		{method: "GET", path: "/user-home-dir", status: 200, want: `{"dir":"/home/daytona"}`},
		{method: "GET", path: "/work-dir", status: 200, want: `{"dir":"/`},
		{method: "GET", path: "/version", status: 200, want: `"version":"`},
		{method: "GET", path: "/system/metrics", status: 200, want: `"timestampUnix":`},
		{method: "POST", path: "/env", body: `{"set":{"C_A":"1"},"unset":["C_B"]}`, status: 200, want: `{"`},

		{method: "POST", path: "/files/folder?path=%2Ftmp%2Fc%2Fa%20b&mode=" + c.folder, status: 201},
		{
			method: "POST", path: "/files/upload-v2?path=%2Ftmp%2Fc%2Fa%20b%2Ff.bin",
			form: []string{"file=@" + local + ";filename=local"}, status: 200,
			want: `{"name":"f.bin","path":"/tmp/c/a b/f.bin","type":"file"}`,
		},
		{
			method: "POST", path: "/files/bulk-upload", form: []string{
				"files[0].path=/tmp/c/s.txt",
				"files[0].file=@" + local + ";filename=/tmp/c/s.txt",
			}, status: 200,
			want: `"files":[{"path":"/tmp/c/s.txt","bytes":13}]`,
		},
		{method: "GET", path: "/files?path=/tmp/c", status: 200, want: `"name":"a b"`},
		{method: "GET", path: "/files?path=/tmp/c&depth=2", status: 200, want: `"path":"/tmp/c/a b/f.bin"`},
		{method: "GET", path: "/files/info?path=/tmp/c/s.txt", status: 200, want: `"size":13`},
		{method: "GET", path: "/files/download?path=/tmp/c/s.txt", status: 200, want: `filename="s.txt"; filename*=`},
		{method: "GET", path: "/files/download?path=/tmp/c/none", status: 404, want: `"source":"DAYTONA_DAEMON"`},
		{
			method: "POST", path: "/files/bulk-download", body: `{"paths":["/tmp/c/s.txt"]}`, status: 200,
			want: `form-data; name="file"; filename="/tmp/c/s.txt"`,
		},
		{
			method: "POST", path: "/files/bulk-download", body: `{"paths":["/tmp/c/none"]}`, status: 200,
			want: `form-data; name="error"; filename="/tmp/c/none"`,
		},
		{method: "POST", path: "/files/move?source=/tmp/c/s.txt&destination=/tmp/c/m.txt", status: 200},
		{
			method: "POST", path: "/files/replace", body: `{"files":["/tmp/c/m.txt"],"pattern":"from","newValue":"in"}`,
			status: 200, want: `"success":true`,
		},
		{method: "GET", path: "/files/find?path=/tmp/c&pattern=in+a", status: 200},
		{method: "GET", path: "/files/search?path=/tmp/c&pattern=*.txt", status: 200, want: `{"files":["/tmp/c/m.txt"]}`},
		{method: "DELETE", path: deletion("/tmp/c/m.txt", false), status: 204},

		{method: "POST", path: "/git/init", body: `{"path":"/tmp/c/bare","bare":true,"initial_branch":"main"}`, status: 201},
		{method: "POST", path: "/git/clone", body: `{"url":"/tmp/c/bare","path":"/tmp/c/r"}`, status: 200},
		{
			method: "POST", path: "/git/config/user",
			body: `{"name":"N","email":"n@x.test","scope":"local","path":"/tmp/c/r"}`, status: 200,
		},
		{method: "GET", path: "/git/config?key=user.name&scope=local&path=/tmp/c/r", status: 200, want: `{"value":"N"}`},
		{method: "GET", path: "/git/config?key=user.none&scope=global", status: 200, want: `{"value":null}`},
		{
			method: "POST", path: "/files/upload-v2?path=/tmp/c/r/f", form: []string{"file=@" + local + ";filename=f"},
			status: 200,
		},
		{method: "POST", path: "/git/add", body: `{"path":"/tmp/c/r","files":["f"]}`, status: 200},
		{
			method: "POST", path: "/git/commit", body: `{"path":"/tmp/c/r","message":"m","author":"N","email":"n@x.test"}`,
			status: 200, want: `{"hash":"`,
		},
		{method: "POST", path: "/git/push", body: push, status: 200},
		{method: "POST", path: "/git/pull", body: `{"path":"/tmp/c/r"}`, status: 200},
		{method: "GET", path: "/git/status?path=/tmp/c/r", status: 200, want: `"fileStatus":[]`},
		{method: "POST", path: "/git/branches", body: `{"path":"/tmp/c/r","name":"work"}`, status: 201},
		{method: "GET", path: "/git/branches?path=/tmp/c/r", status: 200, want: `"work"`},
		{method: "POST", path: "/git/checkout", body: `{"path":"/tmp/c/r","branch":"main"}`, status: 200},
		{method: "DELETE", path: "/git/branches", body: `{"path":"/tmp/c/r","name":"work"}`, status: 204},
		{
			method: "POST", path: "/git/remotes", body: `{"path":"/tmp/c/r","name":"two","url":"/tmp/c/bare","fetch":true}`,
			status: 201,
		},
		{method: "GET", path: "/git/remotes?path=/tmp/c/r", status: 200, want: `{"name":"two","url":"/tmp/c/bare"}`},
		{method: "POST", path: "/git/reset", body: `{"path":"/tmp/c/r","mode":"hard"}`, status: 200},
		{method: "POST", path: "/git/restore", body: `{"path":"/tmp/c/r","files":["f"],"worktree":true}`, status: 200},
		{method: "GET", path: "/git/status?path=/tmp/none", status: 404, want: `"code":"GIT_REPO_NOT_FOUND"`},

		{
			method: "POST", path: "/process/execute",
			body: `{"command":"echo $C_A; pwd; exit 3","cwd":"/tmp","envs":{"X":"y"},"timeout":30}`, status: 200,
			want: `"exitCode":3,"result":"1\n/tmp\n"`,
		},
		{
			method: "POST", path: "/process/execute", body: `{"command":"sleep 60","timeout":1}`, status: 408,
			want: `"code":"PROCESS_EXECUTION_TIMEOUT"`,
		},
		{
			method: "POST", path: "/process/code-run",
			body: `{"code":"import sys; print(sys.argv[1:])","language":"python","argv":["a b","$X"]}`, status: 200,
			want: `['a b', '$X']`,
		},
		{
			method: "POST", path: "/process/code-run", body: `{"code":"","language":"python"}`, status: 400,
			want: `"statusCode":400`,
		},

		{method: "POST", path: "/process/session", body: `{"sessionId":"s"}`, status: 201},
		{method: "POST", path: "/process/session", body: `{"sessionId":"s"}`, status: 409, want: `"statusCode":409`},
		{
			method: "POST", path: "/process/session/s/exec", body: command("cd /tmp; V=kept", false), status: 200,
			want: `"exitCode":0`,
		},
		{
			method: "POST", path: "/process/session/s/exec", body: command("pwd; echo $V; echo wrong >&2; (exit 6)", false),
			status: 200, want: `"stdout":"/tmp\nkept\n","stderr":"wrong\n"`,
		},
		{method: "GET", path: "/process/session/s/command/{cmd}", status: 200, want: `"exitCode":6`},
		{
			method: "GET", path: "/process/session/s/command/{cmd}/logs", status: 200,
			want: `"stdout":"/tmp\nkept\n","stderr":"wrong\n"`,
		},
		{method: "GET", path: "/process/session", status: 200, want: `"sessionId":"s"`},
		{method: "GET", path: "/process/session/none", status: 404, want: `"source":"DAYTONA_DAEMON"`},
		{
			method: "POST", path: "/process/session/s/exec",
			body: command("read a; echo got $a; printf é >&2; read b; exit 5", true), status: 202, want: `"cmdId":"`,
		},
		{method: "POST", path: "/process/session/s/command/{cmd}/input", body: `{"data":"one"}`, status: 204},
		{method: "GET", path: "/process/session/entrypoint", status: 200, want: `"sessionId":"entrypoint","commands":[]`},
		{method: "GET", path: "/process/session/entrypoint/logs?follow=false", status: 200},

		{
			method: "POST", path: "/process/pty",
			body: `{"id":"p","cwd":"/tmp","envs":{"A":"1"},"cols":100,"rows":30,"lazyStart":false}`, status: 201,
			want: `{"sessionId":"p"}`,
		},
		{method: "GET", path: "/process/pty/p", status: 200, want: `"cols":100,"rows":30`},
		{
			method: "POST", path: "/process/pty/p/resize", body: `{"cols":120,"rows":40}`, status: 200,
			want: `"cols":120,"rows":40`,
		},
		{method: "GET", path: "/process/pty", status: 200, want: `"id":"p"`},
		{method: "DELETE", path: "/process/pty/p", status: 200, want: `{"`},
		{method: "GET", path: "/process/pty/p", status: 404, want: `"statusCode":404`},
	}
	if c.recursive {
		return append(rows, row{method: "DELETE", path: deletion("/tmp/c/a%20b", true), status: 204})
	}
	return append(rows, row{method: "DELETE", path: deletion("/tmp/c/a%20b", false), status: 400, want: "recursive"})
}

// send sends a row by curl and holds the answer to the contract.
func (d *daemon) send(r row, id *string) {
	d.t.Helper()
	path := strings.ReplaceAll(r.path, "{cmd}", *id)
	args := []string{"-sS", "--max-time", "60", "-X", r.method, "-D", "-"}
	for name, values := range d.header {
		args = append(args, "-H", name+": "+values[0])
	}
	if strings.Contains(strings.Join(args, " "), "gzip") {
		args = append(args, "--compressed")
	}
	for _, part := range r.form {
		if strings.Contains(part, "=@") {
			args = append(args, "-F", part)
		} else {
			args = append(args, "--form-string", part)
		}
	}
	if r.body != "" {
		args = append(args, "-H", "Content-Type: application/json", "--data-binary", r.body)
	}
	out, err := harness.Run(nil, nil, "curl", append(args, "-g", d.base+path)...)
	if err != nil {
		d.t.Errorf("%s %s: %v", r.method, path, err)
		return
	}
	head, body, _ := strings.Cut(out, "\r\n\r\n")
	for strings.HasPrefix(head, "HTTP/1.1 100") {
		head, body, _ = strings.Cut(body, "\r\n\r\n")
	}
	res, err := http.ReadResponse(bufio.NewReader(strings.NewReader(head+"\r\n\r\n")), nil)
	if err != nil {
		d.t.Errorf("%s %s: %v in %q", r.method, path, err, head)
		return
	}
	res.Body.Close()
	if res.StatusCode != r.status || !strings.Contains(head+body, r.want) {
		d.t.Errorf("%s %s %s: %d %s; want %d %s", r.method, path, r.body, res.StatusCode, body, r.status, r.want)
	}
	route, _, _ := strings.Cut(path, "?")
	surface := d.of
	if surface == nil {
		surface = contract.Toolbox()
	}
	// Which is a form, whatever the contract says.
	if op, ok := surface.Find(r.method, route); ok && route != "/files/bulk-download" {
		if err := op.Check(res.StatusCode, res.Header, []byte(body)); err != nil {
			d.t.Errorf("%v\n%s", err, body)
		}
	} else if !ok {
		d.t.Errorf("%s %s is not in the contract", r.method, route)
	}
	var told struct{ CmdID string }
	if json.Unmarshal([]byte(body), &told) == nil && told.CmdID != "" {
		*id = told.CmdID
	}
}

// socket opens a websocket as the client does.
func (c caller) socket(d *daemon, s *harness.Sandlot, box *harness.Box, path string,
	subprotocols string,
) *websocket.Conn {
	d.t.Helper()
	header := http.Header{"User-Agent": d.header["User-Agent"]}
	if c.version {
		header["X-Daytona-SDK-Version"] = d.header.Values("X-Daytona-SDK-Version")
		header["X-Daytona-Source"] = d.header.Values("X-Daytona-Source")
	}
	if subprotocols != "" {
		header.Set("Sec-WebSocket-Protocol", subprotocols)
	}
	dialer := websocket.Dialer{}
	base := d.base
	if c.preview {
		link, token := preview(s.As(d.t, s.Key), box, 2280)
		header.Set("X-Daytona-Preview-Token", token)
		header.Set("Accept", "text/plain")
		base, dialer.NetDialContext = link, s.DialProxy
	} else {
		header.Set("Authorization", d.header.Get("Authorization"))
	}
	ws, res, err := dialer.DialContext(d.t.Context(), "ws"+strings.TrimPrefix(base, "http")+path, header)
	if err != nil {
		d.t.Fatalf("%s: %v, %v", path, err, res)
	}
	if got := res.Header.Values("Sec-WebSocket-Protocol"); subprotocols == "" && len(got) > 0 ||
		subprotocols != "" && (len(got) != 1 || !strings.Contains(subprotocols, got[0])) {
		d.t.Errorf("%s: subprotocols %q were offered and %q taken", path, subprotocols, got)
	}
	return ws
}

// follow reads the log of the command that waits for its second line, each frame by itself as Ruby does.
func (c caller) follow(d *daemon, s *harness.Sandlot, box *harness.Box, id string) {
	ws := c.socket(d, s, box, "/process/session/s/command/"+id+"/logs?follow=true", "")
	defer ws.Close()
	out, typed := map[string]string{}, false
	for {
		kind, frame, err := ws.ReadMessage()
		if websocket.IsCloseError(err, websocket.CloseNormalClosure) {
			break
		}
		if err != nil || kind != websocket.BinaryMessage || len(frame) < 4 || len(frame) > 32<<10 {
			d.t.Fatalf("a frame of kind %d, %v: %q", kind, err, frame)
		}
		if out[string(frame[:3])] += string(frame[3:]); !typed && out["\x02\x02\x02"] == "é" {
			typed = true
			d.send(row{
				method: "POST", path: "/process/session/s/command/" + id + "/input", body: `{"data":"two\n"}`,
				status: 204,
			}, new(string))
		}
	}
	if out["\x01\x01\x01"] != "one\ngot one\ntwo\n" || out["\x02\x02\x02"] != "é" || len(out) != 2 {
		d.t.Errorf("the log is %q", out)
	}
	d.send(row{method: "GET", path: "/process/session/s/command/" + id, status: 200, want: `"exitCode":5`}, new(string))
	d.send(row{
		method: "POST", path: "/process/session/s/exec", body: `{"command":"true"}`, status: 410,
		want: `"code":"SESSION_ENDED"`,
	}, new(string))
	d.send(row{method: "DELETE", path: "/process/session/s", status: 204}, new(string))
}

// interpret runs code as the client does, and reads every frame as it does: all five keys, the end by control, then the
// close.
func (c caller) interpret(d *daemon, s *harness.Sandlot, box *harness.Box) {
	d.send(row{method: "POST", path: "/process/interpreter/context", body: "{}", status: 200, want: `"language":"python"`},
		new(string))
	d.send(row{method: "GET", path: "/process/interpreter/context", status: 200, want: `"active":true`}, new(string))
	d.send(row{method: "DELETE", path: "/process/interpreter/context/default", status: 400}, new(string))
	for _, tc := range []struct {
		request, frames string // of the frames, type and text or name
		code            int
	}{
		{`{"code":"print(6 * 7)","timeout":60}`, "stdout 42\n, control completed", 1000},
		{`{"code":"1 / 0"}`, "error ZeroDivisionError, control completed", 1000},
		{`{"code":"import time; time.sleep(60)","timeout":1}`, "error TimeoutError", 4008},
		{`{"code":"  "}`, "", 1008},
		{`{"code":"1","contextId":"none"}`, "", 1008},
		{`code`, "", 1002},
	} {
		ws := c.socket(d, s, box, "/process/interpreter/execute", "")
		if err := ws.WriteMessage(websocket.TextMessage, []byte(tc.request)); err != nil {
			d.t.Fatal(err)
		}
		var got []string
		var closed *websocket.CloseError
		for closed == nil {
			_, frame, err := ws.ReadMessage()
			if errors.As(err, &closed) {
				break
			}
			var f struct{ Type, Text, Name, Value, Traceback *string }
			if err != nil || json.Unmarshal(frame, &f) != nil || f.Type == nil || f.Text == nil || f.Name == nil ||
				f.Value == nil || f.Traceback == nil {
				d.t.Fatalf("%s: frame %q, %v", tc.request, frame, err)
			}
			got = append(got, *f.Type+" "+*f.Text+*f.Name)
		}
		if all := strings.Join(got, ", "); all != tc.frames || closed.Code != tc.code {
			d.t.Errorf("%s: %q and close code %d, want %q and %d", tc.request, all, closed.Code, tc.frames, tc.code)
		}
		_ = ws.Close() // the server has closed
	}
}

// terminal opens one with an environment, types, comes back to it by id, and reads how it ended.
func (c caller) terminal(d *daemon, s *harness.Sandlot, box *harness.Box) {
	envs := "X-Daytona-Pty-Envs~" + base64.RawURLEncoding.EncodeToString([]byte(`{"C_E":"é & =?"}`))
	ws := c.socket(d, s, box, "/process/pty/create-connect?id=t+1&cols=90&rows=20&cwd=%2Ftmp",
		"X-Daytona-Pty-Exit-Control, "+envs)
	kind := websocket.BinaryMessage
	if c.asText {
		kind = websocket.TextMessage
	}
	if err := ws.WriteMessage(kind, []byte("stty size; echo \"<$C_E>\"; pwd\n")); err != nil {
		d.t.Fatal(err)
	}
	read := func(ws *websocket.Conn, until string) (out string, end api.PtyControl, closed *websocket.CloseError) {
		first := true
		for until == "" || !strings.Contains(out, until) {
			kind, frame, err := ws.ReadMessage()
			if errors.As(err, &closed) {
				return out, end, closed
			}
			if err != nil {
				d.t.Fatal(err)
			}
			if kind == websocket.BinaryMessage {
				out += string(frame)
			} else if err := json.Unmarshal(frame, &end); err != nil || end.Type != "control" ||
				first && end.Status != "connected" {
				d.t.Errorf("control frame %q, %v", frame, err)
			}
			if first && kind == websocket.BinaryMessage {
				d.t.Errorf("output before connected: %q", frame)
			}
			first = false
		}
		return out, end, nil
	}
	if out, _, closed := read(ws, "\r\n/tmp\r\n"); closed != nil || !strings.Contains(out, "20 90") ||
		!strings.Contains(out, "<é & =?>") {
		d.t.Errorf("terminal: %q, %v", out, closed)
	}
	ws.Close()
	ws = c.socket(d, s, box, "/process/pty/t%201/connect", "X-Daytona-Pty-Exit-Control")
	defer ws.Close()
	if err := ws.WriteMessage(kind, []byte("exit 9\n")); err != nil {
		d.t.Fatal(err)
	}
	out, end, closed := read(ws, "")
	if end.Status != "exited" || end.ExitCode == nil || *end.ExitCode != 9 || closed == nil || closed.Code != 1011 ||
		!strings.Contains(closed.Text, `"exitCode":9`) || !strings.Contains(out, "20 90") {
		d.t.Errorf("it ended with %+v, %v after %q", end, closed, out)
	}
}
