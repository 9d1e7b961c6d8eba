//go:build e2e

package e2e_test

import (
	"bufio"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/sandlot-dev/sandlot/api"
	"github.com/sandlot-dev/sandlot/tests/harness"
)

// TestAdditions uses, through the proxy, what the toolbox has beside the clients' methods, and what they have only in
// part.
func TestAdditions(t *testing.T) {
	s, c := full.up(t)
	box := c.Create(map[string]any{"cpu": 1, "memory": 1, "disk": 3})
	for _, part := range []struct {
		name string
		run  func(*daemon, *harness.Sandlot, *harness.Box)
	}{
		{"a key runs a command once", keyRunsOnce},
		{"the cost of a command", costIsTold},
		{"environment", envChanges},
		{"a command does not find itself", selfIsNotFound},
		{"what is granted", grantIsTold},
		{"ports", portsAreFresh},
		{"proxy to a port", portProxy},
		{"watch by websocket", func(d *daemon, _ *harness.Sandlot, _ *harness.Box) { watched(d, "ws", watchSocket) }},
		{"watch by events", func(d *daemon, _ *harness.Sandlot, _ *harness.Box) { watched(d, "sse", watchEvents) }},
		{"signed file addresses", signedAddresses},
		{"web terminal", webTerminal},
	} {
		t.Run(part.name, func(t *testing.T) {
			part.run(behind(t, s, box), s, box)
		})
	}
}

func keyRunsOnce(d *daemon, _ *harness.Sandlot, _ *harness.Box) {
	one := d.with("Idempotency-Key", "key-1")
	req := api.ExecuteRequest{Command: "echo ran >> /tmp/ran; sleep 0.3; wc -l < /tmp/ran; exit 7"}
	bodies := make([]string, 9)
	var group sync.WaitGroup
	ask := func(i int) {
		res, err := one.open("POST", "/process/execute", req)
		if err != nil {
			d.t.Error(err)
			return
		}
		defer res.Body.Close()
		data, err := io.ReadAll(res.Body)
		if err != nil || res.StatusCode != 200 {
			d.t.Errorf("%d: %d, %v, %s", i, res.StatusCode, err, data)
		}
		bodies[i] = string(data)
	}
	for i := range 8 { // at the same time
		group.Go(func() { ask(i) })
	}
	group.Wait()
	ask(8) // and afterwards
	for i, body := range bodies {
		if body != bodies[0] || !strings.Contains(body, `"exitCode":7,"result":"1\n"`) {
			d.t.Errorf("answer %d is %s; the first was %s", i, body, bodies[0])
		}
	}
	if a := one.ask("POST", "/process/execute", api.ExecuteRequest{Command: "echo another"}); a.status != 422 ||
		!strings.Contains(a.Message, "key") {
		d.t.Errorf("another command under the same key: %v", a)
	}
	if _, out := d.exec("echo ran >> /tmp/ran; wc -l < /tmp/ran"); out != "2\n" {
		d.t.Errorf("without a key: %q", out)
	}
	timed := d.with("Idempotency-Key", "key-2")
	req = api.ExecuteRequest{Command: "echo before; sleep 60", Timeout: 1}
	first := timed.ask("POST", "/process/execute", req)
	if again := timed.ask("POST", "/process/execute", req); first.status != 408 || again.status != 408 ||
		again.took > 500*time.Millisecond || !strings.Contains(string(again.body), `"before\n"`) {
		d.t.Errorf("a timeout is kept as %v, %s; the first was %v", again, again.body, first)
	}
	code := d.with("Idempotency-Key", "key-3")
	run := api.CodeRunRequest{Language: "python", Code: "import random; print(random.random())"}
	if a, b := code.ask("POST", "/process/code-run", run), code.ask("POST", "/process/code-run",
		run); a.status != 200 || string(a.body) != string(b.body) {
		d.t.Errorf("code under a key: %s and %s", a.body, b.body)
	}
}

func costIsTold(d *daemon, _ *harness.Sandlot, _ *harness.Box) {
	for _, tc := range []struct {
		command                      string
		wall, mostWall, cpu, mostCPU float64 // ms
		memory                       int64   // bytes
	}{
		{"sleep 0.3", 300, 1500, 0, 100, 0},
		{"python3 -c 'import time\nwhile time.process_time() < 0.4: pass'", 400, 4000, 400, 1500, 0},
		{"python3 -c 'x = b\"x\" * 200_000_000'", 10, 4000, 10, 4000, 200_000_000},
		// Of a child's child.
		{"(sleep 0.2; python3 -c 'import time\nwhile time.process_time() < 0.2: pass'); true", 400, 4000, 200, 1500, 0},
	} {
		var res api.ExecuteResponse
		d.call("POST", "/process/execute", api.ExecuteRequest{Command: tc.command}, &res)
		if res.ExitCode != 0 || res.WallMs < tc.wall || res.WallMs > tc.mostWall || res.CPUMs < tc.cpu ||
			res.CPUMs > tc.mostCPU || res.PeakRSSBytes < tc.memory || res.PeakRSSBytes > 2*tc.memory+100<<20 {
			d.t.Errorf("%q cost %+v; want %+v", tc.command, res, tc)
		}
	}
}

func envChanges(d *daemon, _ *harness.Sandlot, _ *harness.Box) {
	d.session("before")
	var answer map[string]string
	for _, req := range []api.UpdateEnvRequest{
		{Set: map[string]string{"E_A": "1 'x' \"y\" $HOME", "E_B": "tmp:1", "E_C": "tmp:2", "E_D": "gone"}},
		{Set: map[string]string{"E_C": "tmp:kept"}, Unset: []string{"E_D", "E_NONE"}, UnsetValuePrefix: "tmp:"},
	} {
		if status := d.call("POST", "/env", req, &answer); status != 200 {
			d.t.Errorf("status %d", status)
		}
	}
	const show, want = `printf '%s|%s|%s|%s' "$E_A" "${E_B-none}" "$E_C" "${E_D-none}"`,
		`1 'x' "y" $HOME|none|tmp:kept|none`
	if _, out := d.exec(show); out != want {
		d.t.Errorf("execute has %q", out)
	}
	d.session("after")
	for session, want := range map[string]string{"after": want, "before": "|none||none"} {
		var res api.SessionExecuteResponse
		if d.call("POST", "/process/session/"+session+"/exec", api.SessionExecuteRequest{Command: show},
			&res); res.Output == nil || *res.Output != want {
			d.t.Errorf("the session of %s has %+v", session, res)
		}
	}
	if out, _, err := d.terminal("env", `exec sh -c 'echo "<$E_C>"'`+"\n"); err != nil ||
		!strings.Contains(out, "<tmp:kept>") {
		d.t.Errorf("the terminal has %q, %v", out, err)
	}
	for _, bad := range []string{"A=B", "", "A\x00B"} {
		if a := d.ask("POST", "/env",
			api.UpdateEnvRequest{Set: map[string]string{"E_A": "changed", bad: "x"}}); a.status != 400 {
			d.t.Errorf("name %q: %v", bad, a)
		}
	}
	odd := map[string]string{"E-A": "1", "e.a": "2", "1E": "3"} // create takes them too
	if a := d.ask("POST", "/env", api.UpdateEnvRequest{Set: odd}); a.status != 200 {
		d.t.Errorf("odd names: %v", a)
	}
	if _, out := d.exec(`python3 -c 'import os; print(*(os.environ[k] for k in ("E-A", "e.a", "1E")))'`); out != "1 2 3\n" {
		d.t.Errorf("odd names: execute has %q", out)
	}
	if a := d.ask("POST", "/env", api.UpdateEnvRequest{Set: map[string]string{"E_A": "a\x00b"}}); a.status != 400 {
		d.t.Errorf("NUL: %v", a)
	}
	if _, out := d.exec(show); out != want {
		d.t.Errorf("after refused changes execute has %q", out)
	}
}

// selfIsNotFound looks for processes by their command lines, as agents do before they start a server anew.
func selfIsNotFound(d *daemon, _ *harness.Sandlot, _ *harness.Box) {
	const script = `sleep 500.5 & until pgrep -x sleep >/dev/null; do :; done
pgrep -fc "sleep 500.5"; pkill -f "sleep 500.5"; wait; echo after; pgrep -fc "sleep 500.5"; sh -c 'ls /proc/self/fd' | wc -l; echo "$0 $BASH_EXECUTION_STRING" | head -1`
	const want = "1\nafter\n0\n4\n/usr/bin/bash sleep 500.5 & until pgrep -x sleep >/dev/null; do :; done\n"
	if code, out := d.exec(script); code != 0 || out != want {
		d.t.Errorf("exit code %d, output %q; want %q", code, out, want)
	}
	d.session("self")
	var one api.SessionExecuteResponse
	if d.call("POST", "/process/session/self/exec", api.SessionExecuteRequest{Command: script},
		&one); one.Output == nil || !strings.HasPrefix(*one.Output, "1\nafter\n0\n") {
		d.t.Errorf("in a session: %+v", one)
	}
	var res api.ExecuteResponse
	code := api.CodeRunRequest{
		Language: "javascript",
		Code:     `console.log(require("child_process").spawnSync("pgrep", ["-fc", "a word of its own"]).stdout.toString())`,
	}
	if d.call("POST", "/process/code-run", code, &res); res.Result != "0\n\n" {
		d.t.Errorf("in JavaScript: %+v", res)
	}
}

func grantIsTold(d *daemon, _ *harness.Sandlot, box *harness.Box) {
	var m api.SystemMetrics
	if status := d.call("GET", "/system/metrics", nil, &m); status != 200 || m.CPUCount != box.CPU ||
		m.MemTotal != int64(box.Memory)<<30 ||
		m.DiskTotal <= 0 || m.DiskFree <= 0 || m.MemUsed <= 0 || m.MemUsed > m.MemTotal ||
		time.Since(m.Timestamp).Abs() > time.Minute || m.TimestampUnix != m.Timestamp.Unix() {
		d.t.Errorf("status %d, %+v; the sandbox has %d CPU and %d GiB", status, m, box.CPU, box.Memory)
	}
	d.session("load")
	load := d.start("load", `python3 -c 'x = b"x" * 300_000_000
print("ready", flush=True)
while True: pass'`)
	harness.Until(d.t, 10*time.Second, "the load", func() bool { return strings.Contains(d.text(load+"/logs"), "ready") })
	d.call("GET", "/system/metrics", nil, &m) // begins a window
	used := m.MemUsed
	harness.Until(d.t, 10*time.Second, "the load to be seen", func() bool {
		d.call("GET", "/system/metrics", nil, &m)
		return m.CPUUsedPct > 50
	})
	if m.CPUUsedPct > 130 || used < 300_000_000 {
		d.t.Errorf("under load: %+v", m)
	}
	d.call("DELETE", "/process/session/load", nil, nil)
	g := d.gauges()
	for name, want := range map[string]float64{
		"sandbox_cpu_cores":          float64(box.CPU),
		"sandbox_memory_total_bytes": float64(m.MemTotal),
	} {
		if g[name] != want {
			d.t.Errorf("%s = %v, want %v", name, g[name], want)
		}
	}
	for _, name := range []string{
		"toolboxd_goroutines", "toolboxd_open_files", "toolboxd_resident_bytes",
		"sandbox_disk_free_bytes", "sandbox_memory_used_bytes",
	} {
		if g[name] <= 0 {
			d.t.Errorf("%s = %v", name, g[name])
		}
	}
	for program, want := range map[string]int{
		"nproc": box.CPU, "getconf _NPROCESSORS_ONLN": box.CPU, "stat -f -c %c /dev/shm": 16384,
		"awk -F: 'END { print $3 == \"/\" }' /proc/self/cgroup": 1,
		"python3 -c 'import os; print(os.cpu_count())'":         box.CPU, "node -p 'process.constrainedMemory()'": box.Memory << 30,
	} {
		if _, out := d.exec(program); out != fmt.Sprintln(want) {
			d.t.Errorf("%s says %q, want %d", program, out, want)
		}
	}
}

// TestGrantIsToldInEitherGroupNamespace: in one of its own the kernel shows a container's group as "/", else by the
// machine's path.
func TestGrantIsToldInEitherGroupNamespace(t *testing.T) {
	for _, namespace := range []string{"host", "private"} {
		t.Run(namespace, func(t *testing.T) {
			c := runPID1(t, harness.Busybox, []string{"--cgroupns", namespace, "--memory", "200m", "--cpus", "0.5"})
			var m api.SystemMetrics
			if status := c.call("GET", "/system/metrics", nil, &m); status != 200 || m.CPUCount != 1 ||
				m.MemTotal != 200<<20 || m.MemUsed <= 0 || m.MemUsed > 100<<20 {
				t.Errorf("status %d, %+v; want 1 CPU and 200 MiB", status, m)
			}
		})
	}
}

func portsAreFresh(d *daemon, _ *harness.Sandlot, _ *harness.Box) {
	var list api.PortList
	if d.call("GET", "/port", nil, &list); list.Ports == nil || slices.Contains(list.Ports, 2280) {
		d.t.Errorf("before: %v", list.Ports)
	}
	d.session("servers")
	log := d.start("servers", `exec python3 -c '
import socket, time
a = socket.create_server(("127.0.0.1", 3456))
b = socket.create_server(("::", 4567), family=socket.AF_INET6)
print("ready", flush=True)
time.sleep(1000)'`) + "/logs"
	harness.Until(d.t, 10*time.Second, "the servers", func() bool { return strings.Contains(d.text(log), "ready") })
	if d.call("GET", "/port", nil, &list); !slices.Contains(list.Ports, 3456) || !slices.Contains(list.Ports, 4567) ||
		!slices.IsSorted(list.Ports) {
		d.t.Errorf("ports %v, want 3456 and 4567 among them", list.Ports)
	}
	inUse := func(port string, want bool) {
		d.t.Helper()
		var got api.PortInUse
		if status := d.call("GET", "/port/"+port+"/in-use", nil, &got); status != 200 || got.IsInUse != want {
			d.t.Errorf("port %s: %d, %+v; want %v", port, status, got, want)
		}
	}
	inUse("3456", true)
	inUse("4567", true)
	inUse("3999", false)
	for _, bad := range []string{"2999", "10000", "x", "-1", "3000.5"} {
		if a := d.ask("GET", "/port/"+bad+"/in-use", nil); a.status != 400 {
			d.t.Errorf("port %s: %v", bad, a)
		}
	}
	d.call("DELETE", "/process/session/servers", nil, nil)
	inUse("3456", false) // at once
	inUse("4567", false)
}

const pathServer = `
import http.server
class H(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        out = (self.command + " " + self.path + " " + self.headers["Host"] + " ").encode() + body
        self.send_response(201); self.send_header("Content-Length", str(len(out))); self.send_header("X-Own", "yes"); self.end_headers()
        if self.command != "HEAD": self.wfile.write(out)
    do_POST = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = do_HEAD = do_GET
    def log_message(self, *a): pass
http.server.ThreadingHTTPServer(("127.0.0.1", 5678), H).serve_forever()
`

func portProxy(d *daemon, s *harness.Sandlot, _ *harness.Box) {
	for name, program := range map[string]string{"path": pathServer, "echo": echoServer} {
		if status := d.call("POST", "/files/upload-v2?path=/tmp/"+name+".py", strings.NewReader(program),
			nil); status != 200 {
			d.t.Fatalf("upload: %d", status)
		}
		d.exec("(nohup python3 /tmp/" + name + ".py >/dev/null 2>&1 &)")
	}
	for _, port := range []string{"5678", "8765"} {
		harness.Until(d.t, 10*time.Second, "a server on "+port,
			func() bool { return strings.Contains(d.text("/port/"+port+"/in-use"), "true") })
	}
	for _, tc := range []struct{ method, path, body, want string }{
		{"GET", "/a%20b/%2F/c?x=1&y=%26", "", "GET /a%20b/%2F/c?x=1&y=%26 localhost:5678 "},
		{"GET", "/", "", "GET / localhost:5678 "},
		{"GET", "", "", "GET / localhost:5678 "},
		{"POST", "/form", strings.Repeat("body ", 50_000), "POST /form localhost:5678 " + strings.Repeat("body ", 50_000)},
		{"DELETE", "/x", "", "DELETE /x localhost:5678 "},
		{"PATCH", "/x", "p", "PATCH /x localhost:5678 p"},
		{"HEAD", "/x", "", ""},
	} {
		res, err := d.open(tc.method, "/proxy/5678"+tc.path, strings.NewReader(tc.body))
		if err != nil {
			d.t.Fatal(err)
		}
		got, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || res.StatusCode != 201 || res.Header.Get("X-Own") != "yes" || string(got) != tc.want {
			d.t.Errorf("%s %s: %d, %v, %.100q; want %.100q", tc.method, tc.path, res.StatusCode, err, got, tc.want)
		}
	}
	for path, want := range map[string]int{"/proxy/5679/": 502, "/proxy/0/": 400, "/proxy/65536/": 400, "/proxy/x/": 400} {
		if a := d.ask("GET", path, nil); a.status != want {
			d.t.Errorf("%s: %v, want %d", path, a, want)
		}
	}
	ws, err := d.dial("/proxy/8765/any")
	if err != nil {
		d.t.Fatal(err)
	}
	defer ws.Close()
	for _, message := range []string{"hello", strings.Repeat("é", 20_000)} {
		if err := ws.WriteMessage(websocket.TextMessage, []byte(message)); err != nil {
			d.t.Fatal(err)
		}
		if _, got, err := ws.ReadMessage(); err != nil || string(got) != message {
			d.t.Fatalf("echo of %d bytes: %d, %v", len(message), len(got), err)
		}
	}
}

// events is one side of a watch: next waits for an event.
type events struct {
	next func() (api.FileEvent, error)
	stop func()
}

func watchSocket(d *daemon, query string) (events, error) {
	ws, err := d.dial("/files/watch" + query)
	if err != nil {
		return events{}, err
	}
	return events{func() (e api.FileEvent, err error) {
		_ = ws.SetReadDeadline(time.Now().Add(10 * time.Second))
		return e, ws.ReadJSON(&e)
	}, func() { _ = ws.Close() }}, nil
}

func watchEvents(d *daemon, query string) (events, error) {
	at := *d
	ctx, cancel := context.WithTimeout(d.t.Context(), time.Minute)
	at.ctx = ctx
	res, err := at.with("Accept", "text/event-stream").open("GET", "/files/watch"+query, nil)
	if err != nil {
		cancel()
		return events{}, err
	}
	lines := bufio.NewScanner(res.Body)
	return events{func() (e api.FileEvent, err error) {
		id := ""
		for lines.Scan() {
			name, value, _ := strings.Cut(lines.Text(), ": ")
			switch name {
			case "id":
				id = value
			case "data":
				if err := json.Unmarshal([]byte(value), &e); err != nil || id != e.Cursor {
					return e, fmt.Errorf("id %q, %q: %w", id, value, err)
				}
			case "":
				return e, nil
			}
		}
		return e, fmt.Errorf("the stream ended: %w", lines.Err())
	}, func() { cancel(); res.Body.Close() }}, nil
}

func watched(d *daemon, name string, open func(*daemon, string) (events, error)) {
	dir := "/tmp/watched-" + name
	d.exec("mkdir -p " + dir + "/deep")
	query := harness.Query("path", dir, "recursive", "true")
	must := func(query string) events {
		w, err := open(d, query)
		if err != nil {
			d.t.Fatal(err)
		}
		return w
	}
	// until reads events to the one that is told of.
	until := func(w events, kind, path string) (e api.FileEvent) {
		d.t.Helper()
		for {
			var err error
			if e, err = w.next(); err != nil {
				d.t.Fatalf("waiting for %s of %s: %v", kind, path, err)
			}
			if e.Type == kind && e.Path == dir+path {
				return e
			}
		}
	}
	w := must(query)
	if e, err := w.next(); err != nil || e.Type != "ready" || e.Path != dir || e.Cursor == "" {
		d.t.Fatalf("first %+v, %v; want ready", e, err)
	}
	d.exec("echo 1 > " + dir + "/deep/file")
	cursor := until(w, "create", "/deep/file").Cursor
	d.exec("mkdir -p " + dir + "/new/below && echo x > " + dir + "/new/below/inner")
	if e := until(w, "create", "/new"); !e.IsDir {
		d.t.Errorf("a folder: %+v", e)
	}
	until(w, "create", "/new/below/inner")
	w.stop()
	// While nobody reads, things happen; behind the cursor all of it is there, once.
	d.exec("cd " + dir + " && mv deep/file deep/moved && chmod 600 deep/moved && rm deep/moved")
	w = must(query + "&cursor=" + url.QueryEscape(cursor))
	if e, err := w.next(); err != nil || e.Type != "ready" {
		d.t.Fatalf("resumed with %+v, %v", e, err)
	}
	until(w, "create", "/new/below/inner")
	until(w, "rename", "/deep/file")
	until(w, "create", "/deep/moved")
	until(w, "chmod", "/deep/moved")
	until(w, "remove", "/deep/moved")
	w.stop()
	// A cursor that is not known any more says so.
	w = must(query + "&cursor=unknown.7")
	if e, err := w.next(); err != nil || e.Type != "ready" {
		d.t.Fatalf("resumed with %+v, %v", e, err)
	}
	until(w, "overflow", "")
	w.stop()
	// So does one that is too far back.
	w = must(query)
	e, err := w.next()
	if err != nil {
		d.t.Fatal(err)
	}
	w.stop()
	d.exec("cd " + dir + " && python3 -c 'for i in range(6000): open(f\"many{i}\", \"w\").close()'")
	w = must(query + "&cursor=" + url.QueryEscape(e.Cursor))
	defer w.stop()
	until(w, "overflow", "")
	if a := d.ask("GET", "/files/watch?path="+dir+"/none", nil); a.status != 404 || a.Code != "FILE_NOT_FOUND" {
		d.t.Errorf("a folder that is not there: %v", a)
	}
}

func signedAddresses(d *daemon, s *harness.Sandlot, box *harness.Box) {
	c := s.As(d.t, s.Key)
	key := string(c.API("GET", "/sandbox/"+box.ID+"/signing-key", nil).Want(200).Body)
	address := func(key, method, path string, expires int64) string {
		mac := hmac.New(sha256.New, []byte(key))
		fmt.Fprintf(mac, "v1:files:%s:%s:%d", method, path, expires)
		route := map[string]string{"GET": "/files/download", "POST": "/files/upload-v2"}[method]
		return d.base + route + harness.Query("path", path, "expires", fmt.Sprint(expires), "signature",
			"v1_"+base64.RawURLEncoding.EncodeToString(mac.Sum(nil)))
	}
	hour, past := time.Now().Add(time.Hour).Unix(), time.Now().Add(-time.Second).Unix()
	const file = "/tmp/signed ü+%.txt"
	for _, tc := range []struct {
		name   string
		args   []string
		status int
		body   string
	}{
		{"upload of bytes", []string{
			"-H", "Content-Type: application/octet-stream", "--data-binary", "by curl",
			address(key, "POST", file, hour),
		}, 200, `"type":"file"`},
		{"download", []string{address(key, "GET", file, hour)}, 200, "by curl"},
		{"range", []string{"-r", "3-", address(key, "GET", file, hour)}, 206, "curl"},
		{"head", []string{"-I", address(key, "GET", file, hour)}, 200, ""},
		{"upload of a form", []string{"-F", "file=as a form", address(key, "POST", file, 0)}, 200, `"type":"file"`},
		{"download without end", []string{address(key, "GET", file, 0)}, 200, "as a form"},
		{"late", []string{address(key, "GET", file, past)}, 401, ""},
		{"another file", []string{strings.Replace(address(key, "GET", file, hour), "signed", "singed", 1)}, 401, ""},
		{"another method", []string{"-d", "x", strings.Replace(address(key, "GET", file, hour), "/files/download",
			"/files/upload-v2", 1)}, 401, ""},
		{"another operation", []string{strings.Replace(address(key, "GET", file, hour), "/files/download", "/files/info",
			1)}, 401, ""},
		{"another key", []string{address(key+"x", "GET", file, hour)}, 401, ""},
		{"no such file", []string{address(key, "GET", "/tmp/none", hour)}, 404, "FILE_NOT_FOUND"},
	} {
		if status, body := curl(d.t, tc.args...); status != tc.status || !strings.Contains(body, tc.body) {
			d.t.Errorf("%s: %d %s; want %d %s", tc.name, status, body, tc.status, tc.body)
		}
	}
	fresh := string(c.API("POST", "/sandbox/"+box.ID+"/signing-key/rotate", nil).Want(200).Body)
	if again := string(c.API("GET", "/sandbox/"+box.ID+"/signing-key", nil).Want(200).Body); fresh == key ||
		again != fresh {
		d.t.Errorf("the key became %q and is %q; it was %q", fresh, again, key)
	}
	if status, body := curl(d.t, address(fresh, "GET", file, hour)); status != 200 || body != "as a form" {
		d.t.Errorf("with the new key: %d %s", status, body)
	}
	if status, _ := curl(d.t, address(key, "GET", file, hour)); status != 401 {
		d.t.Errorf("with the old key: %d", status)
	}
}

// curl runs curl and returns status and body.
func curl(t *testing.T, args ...string) (status int, body string) {
	t.Helper()
	out, err := harness.Run(nil, nil, "curl", append([]string{"-sS", "--max-time", "30", "-w", "\n%{http_code}"},
		args...)...)
	if err != nil {
		t.Errorf("curl %q: %v", args, err)
		return 0, ""
	}
	i := strings.LastIndexByte(out, '\n')
	if _, err := fmt.Sscan(out[i+1:], &status); err != nil {
		t.Errorf("curl %q: %v", args, err)
	}
	return status, out[:i]
}

func webTerminal(d *daemon, s *harness.Sandlot, box *harness.Box) {
	link, token := preview(s.As(d.t, s.Key), box, 22222)
	if status, _ := fetch(d.t, s, link, ""); status != http.StatusUnauthorized {
		d.t.Errorf("without a token: %d", status)
	}
	status, page := fetch(d.t, s, link, token)
	parts := regexp.MustCompile(`(?:src|href)="([a-z][a-z.-]+)"`).FindAllStringSubmatch(page, -1)
	if status != 200 || len(parts) < 5 {
		d.t.Errorf("page: %d with %d parts", status, len(parts))
	}
	for _, part := range parts {
		if status, text := fetch(d.t, s, link+"/"+part[1], token); status != 200 || len(text) < 50 {
			d.t.Errorf("%s: %d, %d bytes", part[1], status, len(text))
		}
	}
	dialer := websocket.Dialer{NetDialContext: s.DialProxy}
	ws, _, err := dialer.DialContext(d.t.Context(), "ws"+strings.TrimPrefix(link, "http")+"/ws",
		http.Header{"X-Daytona-Preview-Token": {token}})
	if err != nil {
		d.t.Fatal(err)
	}
	defer ws.Close()
	for _, message := range []string{`{"rows":31,"cols":101}`, "stty size; echo id $((6 * 7)); exit 3\n"} {
		if err := ws.WriteMessage(websocket.TextMessage, []byte(message)); err != nil {
			d.t.Fatal(err)
		}
	}
	all := ""
	for {
		_, data, err := ws.ReadMessage()
		if err != nil {
			if !websocket.IsCloseError(err, websocket.CloseNormalClosure) || !strings.Contains(all, "31 101") ||
				!strings.Contains(all, "id 42") {
				d.t.Errorf("it ended with %v after %q", err, all)
			}
			return
		}
		all += string(data)
	}
}
