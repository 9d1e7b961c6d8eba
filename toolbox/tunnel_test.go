package toolbox_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// tunnel opens a tunnel to a port and returns it with the answer.
func tunnel(t *testing.T, base, port string) (*net.TCPConn, *bufio.Reader, *http.Response) {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(base, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	_, _ = fmt.Fprintf(conn,
		"GET /proxy/%s HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: sandlot-tcp\r\n\r\n", port)
	from := bufio.NewReader(conn)
	res, err := http.ReadResponse(from, nil)
	if err != nil {
		t.Fatal(err)
	}
	return conn.(*net.TCPConn), from, res
}

// tcpApp runs do for each connection to a port of loopback, and returns the port.
func tcpApp(t *testing.T, do func(*net.TCPConn)) (port string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var apps sync.WaitGroup
	t.Cleanup(func() {
		_ = ln.Close()
		apps.Wait()
	})
	apps.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			apps.Go(func() {
				defer conn.Close() // done with it
				do(conn.(*net.TCPConn))
			})
		}
	})
	_, port, _ = net.SplitHostPort(ln.Addr().String())
	return port
}

// A tunnel carries bytes as they are, however many, and passes on who has said all.
func TestTunnelPassesBytesAndHalfCloses(t *testing.T) {
	base, _ := filesServer(t)
	port := tcpApp(t, func(c *net.TCPConn) {
		_, _ = io.WriteString(c, "hello, ") // it speaks first
		all, _ := io.ReadAll(c)             // to the client's half-close
		_, _ = c.Write(all)
		_, _ = c.Write(all) // what is lost shows
	})
	for _, size := range []int{0, 1, 4095, 4096, 4097, 100_000, 9<<20 + 7} {
		conn, from, res := tunnel(t, base, port)
		if res.StatusCode != http.StatusSwitchingProtocols {
			t.Fatal(res.Status)
		}
		sent := make([]byte, size)
		for i := range sent {
			sent[i] = byte(i*7 + i>>11)
		}
		go func() {
			_, _ = conn.Write(sent) // what is lost shows
			_ = conn.CloseWrite()
		}()
		got, err := io.ReadAll(from)
		if want := slices.Concat([]byte("hello, "), sent, sent); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d bytes: %d came back, want %d; %v", size, len(got), len(want), err)
		}
	}
}

// What an app says before it closes with much unread arrives, and the client is let come to it.
func TestTunnelDeliversAnEarlyAnswer(t *testing.T) {
	base, _ := filesServer(t)
	port := tcpApp(t, func(c *net.TCPConn) { _, _ = io.WriteString(c, "no, thank you") })
	for range 50 {
		conn, from, _ := tunnel(t, base, port)
		piece := make([]byte, 1<<20)
		for range 20 { // before it reads
			if _, err := conn.Write(piece); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := io.ReadAll(from); err != nil || string(got) != "no, thank you" {
			t.Fatalf("got %q, %v", got, err)
		}
	}
}

// A client that resets its connection has left: an app that says nothing, and one that never stops, hear of it.
func TestTunnelEndsWithItsClient(t *testing.T) {
	base, _ := filesServer(t)
	ended := make(chan error, 2)
	silent := tcpApp(t, func(c *net.TCPConn) {
		_, _ = c.Read(make([]byte, 1)) // the client is there
		_, err := c.Read(make([]byte, 1))
		ended <- err
	})
	busy := tcpApp(t, func(c *net.TCPConn) {
		for {
			if _, err := c.Write(make([]byte, 64<<10)); err != nil {
				ended <- err
				return
			}
		}
	})
	for _, port := range []string{silent, busy} {
		conn, from, _ := tunnel(t, base, port)
		_, _ = conn.Write([]byte("x"))
		if port == busy {
			_, _ = io.CopyN(io.Discard, from, 10<<20) // until it is in full swing
		}
		_ = conn.SetLinger(0)
		_ = conn.Close()
		select {
		case <-ended:
		case <-time.After(5 * time.Second):
			t.Error("the app does not hear of it")
		}
	}
}

// A tunnel ends with its server, although both ends would go on.
func TestTunnelEndsWithItsServer(t *testing.T) {
	ended := make(chan struct{})
	port := tcpApp(t, func(c *net.TCPConn) {
		_, _ = c.Read(make([]byte, 1))
		close(ended)
	})
	ctx, stop := context.WithCancel(t.Context())
	srv := httptest.NewUnstartedServer(newToolbox(t, t.TempDir()).Handler())
	srv.Config.BaseContext = func(net.Listener) context.Context { return ctx }
	srv.Start()
	defer srv.Close()
	_, from, res := tunnel(t, srv.URL, port)
	if res.StatusCode != http.StatusSwitchingProtocols {
		t.Fatal(res.Status)
	}
	stop()
	if _, err := from.ReadByte(); err == nil {
		t.Error("the client got a byte")
	}
	<-ended
}

// A tunnel is opened as every route is: with the secret, to a port that is one and has a server.
func TestTunnelsAreRefusedWithReasons(t *testing.T) {
	base, _ := filesServer(t)
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(closed.Addr().String())
	_ = closed.Close()
	for port, want := range map[string]int{port: 502, "0": 400, "x": 400, "080": 400, "65536": 400} {
		_, _, res := tunnel(t, base, port)
		body, _ := io.ReadAll(res.Body) // a short one shows
		if res.StatusCode != want || !strings.Contains(string(body), `"source":"DAYTONA_DAEMON"`) {
			t.Errorf("port %s: %d %s, want %d", port, res.StatusCode, body, want)
		}
	}
	hash := sha256.Sum256([]byte("s3cret"))
	srv := httptest.NewServer(guardedToolbox(t, t.TempDir(), slog.DiscardHandler, hex.EncodeToString(hash[:])).Handler())
	defer srv.Close()
	if _, _, res := tunnel(t, srv.URL, tcpApp(t,
		func(*net.TCPConn) { t.Error("it was reached without the secret") })); res.StatusCode != http.StatusUnauthorized {
		t.Errorf("without the secret: %d", res.StatusCode)
	}
}

// Behind /proxy/{port}, too, any method passes, an app's id is its own, an early answer arrives and a refusal keeps
// the body away.
func TestProxyPassesWhatAppsDo(t *testing.T) {
	base, _ := filesServer(t)
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/early":
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				return
			}
			defer conn.Close() // with much unread
			_, _ = io.WriteString(conn, "HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno")
			return
		case "/id":
			w.Header().Set("X-Request-Id", "of-the-app")
		case "/hint":
			w.WriteHeader(http.StatusEarlyHints)
		}
		_, _ = io.WriteString(w, r.Method)
	}))
	defer app.Close()
	_, port, _ := net.SplitHostPort(app.Listener.Addr().String())
	link := base + "/proxy/" + port
	for _, method := range []string{"PROPFIND", "MKCOL", "PURGE", "SOMETHING"} {
		if res, body := call(t, method, link+"/x", nil); res.StatusCode != 200 || body != method ||
			len(res.Header["X-Request-Id"]) != 1 {
			t.Errorf("%s: %d %q %v", method, res.StatusCode, body, res.Header)
		}
	}
	if res, _ := call(t, "GET", link+"/id", nil); !slices.Equal(res.Header["X-Request-Id"], []string{"of-the-app"}) {
		t.Errorf("ids %q", res.Header["X-Request-Id"])
	}
	for i := range 50 {
		if res, body := call(t, "POST", link+"/early", bytes.NewReader(make([]byte, 20<<20))); res.StatusCode != 413 ||
			body != "no" {
			t.Fatalf("upload %d: %d %q", i, res.StatusCode, body)
		}
	}
	conn, err := net.Dial("tcp", strings.TrimPrefix(base, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close() // done with it
	_, _ = fmt.Fprintf(conn, "GET /proxy/%s/hint HTTP/1.1\r\nHost: x\r\n\r\n", port)
	if res, err := http.ReadResponse(bufio.NewReader(conn), nil); err != nil || res.StatusCode != http.StatusEarlyHints {
		t.Errorf("the hint: %v, %v", res, err)
	}
}
