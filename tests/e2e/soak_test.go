//go:build e2e

package e2e_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/sandlot-dev/sandlot/tests/harness"
)

// usage is what a daemon holds.
type usage struct{ goroutines, files, resident float64 }

func (u usage) String() string {
	return fmt.Sprintf("%.0f goroutines, %.0f files, %.1f MiB", u.goroutines, u.files, u.resident/(1<<20))
}

// usage measures without the test's own idle connections.
func (d *daemon) usage() usage {
	d.t.Helper()
	many.CloseIdleConnections()
	g := d.gauges()
	return usage{g["toolboxd_goroutines"], g["toolboxd_open_files"], g["toolboxd_resident_bytes"]}
}

// quiet is the least usage once it has not become less for a while: nothing of before is on its way out any more.
func (d *daemon) quiet() (u usage) {
	d.t.Helper()
	u = d.usage()
	same := 0
	harness.Until(d.t, 20*time.Second, "the daemon to be at rest", func() bool {
		now := d.usage()
		if same++; now.goroutines < u.goroutines || now.files < u.files {
			same = 0
		}
		u = usage{min(u.goroutines, now.goroutines), min(u.files, now.files), now.resident}
		return same == 60
	})
	return u
}

// settles waits until a daemon holds no more than before. Memory may be more by some MiB: a collector's rhythm is not
// to the byte.
func (d *daemon) settles(before usage) {
	d.t.Helper()
	var now usage
	if !harness.Wait(10*time.Second, func() bool {
		now = d.usage()
		return now.goroutines <= before.goroutines && now.files <= before.files && now.resident <= before.resident+6<<20
	}) {
		d.t.Errorf("after: %v; before: %v", now, before)
	}
	d.t.Logf("before: %v; after: %v", before, now)
}

// children lists the processes whose parent is p, as "pid (name) state".
func children(t *testing.T, p *harness.Process) (list []string) {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range stats {
		stat, _ := os.ReadFile(file) // it may have ended
		_, rest, _ := strings.Cut(string(stat), ") ")
		if fields := strings.Fields(rest); len(fields) > 1 && fields[1] == fmt.Sprint(p.PID()) {
			list = append(list, string(stat[:len(stat)-len(rest)+1]))
		}
	}
	return list
}

// TestExecutesLeaveNothing runs commands of several kinds for long; what the daemon holds has to stay the same.
func TestExecutesLeaveNothing(t *testing.T) {
	temp := t.TempDir()
	d, p := straight(t, "TMPDIR="+temp)
	n := harness.Size(2000, 20_000)
	run := func(_, i int) {
		command, want, code := fmt.Sprintf("echo %d; exit %d", i, i%256), fmt.Sprintln(i), i%256
		switch {
		case i%50 == 1: // more than stays in memory
			command, want, code = "head -c 3000000 /dev/zero | tr '\\0' x", strings.Repeat("x", 3_000_000), 0
		case i%50 == 2:
			command, want, code = "sleep 0.3 & echo bg; exit 3", "bg\n", 3
		case i%50 == 3:
			command, want, code = "no-such-program-here", "", 127
		case i%50 == 4:
			command, want, code = "printf %s $X; kill -KILL $$", "", 137
		}
		if got, out := d.exec(command); got != code || code != 127 && out != want {
			t.Errorf("%d: %q gave %d, %.100q", i, command, got, out)
		}
	}
	crowd(n/10, run) // what is used for the first time
	var rows []string
	before := d.quiet()
	for part := range 9 {
		crowd(n/10, func(client, i int) { run(client, part*n/10+i) })
		rows = append(rows, d.usage().String())
	}
	d.settles(before)
	t.Logf("each tenth:\n%s", strings.Join(rows, "\n"))
	if left, err := os.ReadDir(temp); err != nil || len(left) > 0 {
		t.Errorf("files left in the temporary folder: %v, %v", left, err)
	}
	harness.Until(t, 2*time.Second, "no child to be left", func() bool { return len(children(t, p)) == 0 })
}

// TestKilledConnectionsLeaveNothing opens connections of every kind and kills them halfway.
func TestKilledConnectionsLeaveNothing(t *testing.T) {
	base, home, p := harness.Toolboxd(t)
	d := &daemon{t: t, base: base}
	big := filepath.Join(home, "big")
	if err := os.WriteFile(big, bytes.Repeat([]byte("x"), 8<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	d.session("chatty")
	chatty := d.start("chatty", "while :; do echo line; sleep 0.05; done")
	address := strings.TrimPrefix(d.base, "http://")
	// half sends a part of a request, reads a part of the answer, and kills the connection.
	half := func(request string, answer int64) error {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			return err
		}
		defer reset(conn)
		if _, err := io.WriteString(conn, request); err != nil {
			return err
		}
		_, err = io.CopyN(io.Discard, conn, answer)
		return err
	}
	// socket opens a websocket, reads a message and kills the connection.
	socket := func(path string) error {
		var conn net.Conn
		dialer := websocket.Dialer{NetDial: func(network, addr string) (c net.Conn, err error) {
			conn, err = net.Dial(network, addr)
			return conn, err
		}}
		ws, _, err := dialer.DialContext(t.Context(), "ws://"+address+path, nil)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		_, _, err = ws.ReadMessage()
		reset(conn)
		return err
	}
	kinds := []func(i int) error{
		func(int) error { return half("", 0) },
		func(int) error { return half("POST /process/execute HTTP/1.1\r\nHost: x\r\nContent-Le", 0) },
		func(int) error {
			return half("POST /process/execute HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{\"command\":", 0)
		},
		func(int) error {
			return half("POST /process/execute HTTP/1.1\r\nHost: x\r\nContent-Length: 38\r\n\r\n{\"command\":\"sleep 0.2; "+
				"echo abcdefghi\"}", 0)
		},
		func(int) error {
			return half("POST /files/bulk-upload HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; "+
				"boundary=b\r\nTransfer-Encoding: chunked\r\n\r\n"+
				"3e8\r\n--b\r\nContent-Disposition: form-data; name=\"files[0].path\"\r\n\r\ncut\r\n", 0)
		},
		func(int) error { return half("GET /files/download?path="+big+" HTTP/1.1\r\nHost: x\r\n\r\n", 10_000) },
		func(int) error {
			return half("GET "+chatty+"/logs?follow=true HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: webso", 0)
		},
		func(int) error { return half("GET /files/watch HTTP/1.1\r\nHost: x\r\n\r\n", 100) },
		func(int) error { return socket(chatty + "/logs?follow=true") },
		func(int) error { return socket("/files/watch") },
		func(i int) error {
			err := socket(fmt.Sprintf("/process/pty/create-connect?id=p%d", i))
			var res *http.Response
			if err == nil { // it is there to be come back to
				if res, err = d.open("DELETE", fmt.Sprintf("/process/pty/p%d", i), nil); err == nil {
					defer res.Body.Close()
					if res.StatusCode != http.StatusOK {
						err = fmt.Errorf("delete of the terminal: %s", res.Status)
					}
				}
			}
			return err
		},
	}
	cycles := func(n int) {
		crowd(n, func(_, i int) {
			if err := kinds[i%len(kinds)](i); err != nil {
				t.Errorf("cycle %d, kind %d: %v", i, i%len(kinds), err)
			}
		})
	}
	cycles(20 * len(kinds))
	before := d.quiet()
	cycles(harness.Size(500, 5000))
	d.settles(before)
	if left, err := filepath.Glob(filepath.Join(home, "*cut*")); err != nil || len(left) > 0 {
		t.Errorf("half files are left: %v, %v", left, err)
	}
	harness.Until(t, 2*time.Second, "no child but the session's to be left",
		func() bool { return len(children(t, p)) == 1 })
	if code, out := d.exec("echo fine"); code != 0 || out != "fine\n" {
		t.Errorf("afterwards: %d, %q", code, out)
	}
}

// reset kills a connection: the other side gets an RST.
func reset(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

// TestSilentConnectionsAreClosed leaves connections open and says no more on them. It takes the time that the daemon
// has patience.
func TestSilentConnectionsAreClosed(t *testing.T) {
	if !harness.Full() {
		t.Skip("takes 15 s; SANDLOT_FULL=1 runs it")
	}
	d, _ := straight(t)
	before := d.usage()
	var conns []net.Conn
	for i := range 200 {
		conn, err := net.Dial("tcp", strings.TrimPrefix(d.base, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if i%2 == 1 {
			_, _ = io.WriteString(conn, "GET /version HTTP/1.1\r\nHo")
		}
		conns = append(conns, conn)
	}
	for i, conn := range conns {
		_ = conn.SetReadDeadline(time.Now().Add(30 * time.Second))
		if _, err := io.Copy(io.Discard, conn); err != nil {
			t.Errorf("connection %d: %v", i, err)
		}
	}
	d.settles(before)
}
