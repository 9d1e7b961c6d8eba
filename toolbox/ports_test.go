package toolbox_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sandlot-dev/sandlot/api"
)

func TestPortsAndMetricsAnswer(t *testing.T) {
	base, _ := filesServer(t)
	res, body := call(t, "GET", base+"/port", nil)
	var ports api.PortList
	if err := json.Unmarshal([]byte(body), &ports); err != nil || res.StatusCode != 200 || ports.Ports == nil {
		t.Errorf("ports: %d %s", res.StatusCode, body)
	}
	for _, p := range []string{"2999", "10000", "x", "3000.0", "-1", "+3000", "03000"} {
		res, body := call(t, "GET", base+"/port/"+p+"/in-use", nil)
		wantProblem(t, p, res, body, 400, "BAD_REQUEST")
	}
	var ln net.Listener
	port := 9999
	for ; ln == nil && port > 9900; port-- {
		ln, _ = net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(port))
	}
	port++
	if _, body := call(t, "GET", fmt.Sprint(base, "/port/", port, "/in-use"), nil); body != `{"isInUse":true}` {
		t.Errorf("in use: %s", body)
	}
	_ = ln.Close()
	if _, body := call(t, "GET", fmt.Sprint(base, "/port/", port, "/in-use"), nil); body != `{"isInUse":false}` {
		t.Errorf("not in use: %s", body)
	}
	_, body = call(t, "GET", base+"/system/metrics", nil)
	var m api.SystemMetrics
	if err := json.Unmarshal([]byte(body), &m); err != nil || m.CPUCount < 1 || m.MemTotal < m.MemUsed ||
		m.DiskTotal <= 0 || time.Since(m.Timestamp) > time.Minute || m.TimestampUnix != m.Timestamp.Unix() {
		t.Errorf("metrics: %s", body)
	}
}

func TestProxyKeepsPathQueryAndBody(t *testing.T) {
	base, _ := filesServer(t)
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("X-App", "yes")
		w.WriteHeader(http.StatusTeapot)
		fmt.Fprintf(w, "%s %s %s %s", r.Method, r.Host, r.RequestURI, body)
	}))
	defer app.Close()
	_, port, _ := net.SplitHostPort(app.Listener.Addr().String())
	for _, tc := range []struct{ method, path, want string }{
		{"GET", "", "/"},
		{"GET", "/", "/"},
		{"POST", "/a%2Fb/c%20d/?q=%20x&y", "/a%2Fb/c%20d/?q=%20x&y"},
		{"DELETE", "/x//y", "/x//y"},
		{"OPTIONS", "/../z", "/../z"},
	} {
		res, body := call(t, tc.method, base+"/proxy/"+port+tc.path, strings.NewReader("body"))
		if want := fmt.Sprintf("%s localhost:%s %s body", tc.method, port, tc.want); res.StatusCode != 418 ||
			body != want || res.Header.Get("X-App") != "yes" {
			t.Errorf("%s: %d %q, want %q", tc.path, res.StatusCode, body, want)
		}
	}
	for _, p := range []string{"0", "65536", "x", "80@example.com", "127.0.0.1:80", "080", "+80"} {
		res, body := call(t, "GET", base+"/proxy/"+p+"/", nil)
		wantProblem(t, p, res, body, 400, "BAD_REQUEST")
	}
	app.Close()
	res, body := call(t, "GET", base+"/proxy/"+port+"/", nil)
	wantProblem(t, "closed", res, body, 502, "BAD_GATEWAY")
}

func TestProxyReachesIPv6Servers(t *testing.T) {
	base, _ := filesServer(t)
	ln, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		t.Skip("no IPv6")
	}
	app := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_,
			_ = io.WriteString(w, "six")
	}))
	app.Listener = ln
	app.Start()
	defer app.Close()
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	if _, body := call(t, "GET", base+"/proxy/"+port, nil); body != "six" {
		t.Errorf("got %q", body)
	}
}

// TestProxyPassesUpgradesAndStreams speaks a made-up protocol after the upgrade, as websockets do.
func TestProxyPassesUpgradesAndStreams(t *testing.T) {
	base, _ := filesServer(t)
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") == "" { // a stream that sends one line and waits for the client to go
			_, _ = io.WriteString(w, "first\n")
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
			return
		}
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		_, _ = io.Copy(conn, rw)
	}))
	defer app.Close()
	_, port, _ := net.SplitHostPort(app.Listener.Addr().String())
	conn, err := net.Dial("tcp", strings.TrimPrefix(base, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	fmt.Fprintf(conn, "GET /proxy/%s/ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n", port)
	r := bufio.NewReader(conn)
	res, err := http.ReadResponse(r, nil)
	if err != nil || res.StatusCode != 101 {
		t.Fatal(res, err)
	}
	fmt.Fprintf(conn, "ping\n")
	if line, err := r.ReadString('\n'); line != "ping\n" {
		t.Errorf("%q %v", line, err)
	}
	stream, err := http.Get(base + "/proxy/" + port + "/stream")
	if err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(stream.Body).ReadString('\n'); line != "first\n" {
		t.Errorf("%q %v", line, err)
	}
	stream.Body.Close()
}

// An app behind /proxy/{port} can say what it wants: who asks gets no more of it than an error needs, and the daemon
// goes on.
func TestAppsWordsHaveBounds(t *testing.T) {
	base, _ := filesServer(t)
	for _, words := range []string{
		"HTTP/1.1 " + strings.Repeat("x", 8<<20), "HTTP/1.1 099 low\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nX-A: " + strings.Repeat("x", 1<<20) + "\r\n\r\n", "",
	} {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			defer conn.Close()                             // said all
			_, _ = conn.Read(make([]byte, 1<<10))          // the request
			_, _ = io.Copy(conn, strings.NewReader(words)) // the other end may have heard enough
		}()
		_, port, _ := net.SplitHostPort(ln.Addr().String())
		res, body := call(t, "GET", base+"/proxy/"+port+"/", nil)
		wantProblem(t, fmt.Sprintf("%.20q", words), res, body, 502, "BAD_GATEWAY")
		if len(body) > 1000 || strings.Contains(body, "127.0.0.1") {
			t.Errorf("%.20q: answered %d bytes: %.300s", words, len(body), body)
		}
		_ = ln.Close() // nobody else comes
		<-done
	}
}

// TestProxyTellsAServerThatAnswersBadlyFromNone does not tell its caller to start a server that runs.
func TestProxyTellsAServerThatAnswersBadlyFromNone(t *testing.T) {
	base, _ := filesServer(t)
	app, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := app.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Read(make([]byte, 4096))
			_, _ = io.WriteString(conn, "no HTTP\r\n\r\n")
			_ = conn.Close()
		}
	})
	_, port, _ := net.SplitHostPort(app.Addr().String())
	res, answer := call(t, "GET", base+"/proxy/"+port+"/", nil)
	wantProblem(t, "no HTTP", res, answer, 502, "BAD_GATEWAY")
	if strings.Contains(answer, "start a server") {
		t.Errorf("with a server that answers badly: %s", answer)
	}
	_ = app.Close()
	serving.Wait()
	res, answer = call(t, "GET", base+"/proxy/"+port+"/", nil)
	wantProblem(t, "no server", res, answer, 502, "BAD_GATEWAY")
	if !strings.Contains(answer, "start a server") {
		t.Errorf("without a server: %s", answer)
	}
}
