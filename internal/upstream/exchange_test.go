package upstream_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sandlot-dev/sandlot/internal/upstream"
)

// through is a handler that forwards to the server at addr, whatever the port is called. wrap stands between it and
// the client.
func through(t *testing.T, addr string, wrap func(http.ResponseWriter) http.ResponseWriter) http.Handler {
	t.Helper()
	pool := upstream.NewPool(func(ctx context.Context, _ int) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	})
	t.Cleanup(pool.Close)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).EnableFullDuplex() // HTTP/2 has it always
		if wrap != nil {
			w = wrap(w)
		}
		x := &upstream.Exchange{Pool: pool, Port: 1, W: w, Body: r.Body}
		rewrite := func(pr *httputil.ProxyRequest) { pr.Out.URL.Scheme, pr.Out.URL.Host = "http", addr }
		_ = x.Forward(r, httputil.ReverseProxy{Rewrite: rewrite}, func(err error) error {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return err
		})
	})
}

// plain is a ResponseWriter that can do nothing else.
type plain struct{ http.ResponseWriter }

// A large body is whole for every kind of client, whether or not the platform can take it from socket to socket.
func TestLargeBodiesAreWholeForEveryClient(t *testing.T) {
	want := make([]byte, 5<<20+1)
	for i := range want {
		want[i] = byte(i*7 + i>>10)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body) // a short one shows
		w.Header().Set("Content-Length", fmt.Sprint(len(want)))
		w.Header().Set("X-Got", fmt.Sprint(len(body)))
		if r.URL.Path == "/events" {
			w.Header().Set("Content-Type", "text/event-stream")
		}
		_, _ = w.Write(want) // likewise
	}))
	defer server.Close()
	addr := server.Listener.Addr().String()
	for name, start := range map[string]func() *httptest.Server{
		"HTTP/1.1": func() *httptest.Server { return httptest.NewServer(through(t, addr, nil)) },
		"wrapped": func() *httptest.Server {
			return httptest.NewServer(through(t, addr, func(w http.ResponseWriter) http.ResponseWriter { return plain{w} }))
		},
		"TLS": func() *httptest.Server { return httptest.NewTLSServer(through(t, addr, nil)) },
		"HTTP/2": func() *httptest.Server {
			s := httptest.NewUnstartedServer(through(t, addr, nil))
			s.EnableHTTP2 = true
			s.StartTLS()
			return s
		},
	} {
		t.Run(name, func(t *testing.T) {
			front := start()
			defer front.Close()
			for _, path := range []string{"/", "/events", "/"} {
				res, err := front.Client().Post(front.URL+path, "", bytes.NewReader(want))
				if err != nil {
					t.Fatal(err)
				}
				got, err := io.ReadAll(res.Body)
				_ = res.Body.Close() // read whole
				if err != nil || !bytes.Equal(got, want) || res.Header.Get("X-Got") != fmt.Sprint(len(want)) ||
					(res.ProtoMajor == 2) != (name == "HTTP/2") {
					t.Errorf("%s: %s %d, %d bytes, %s were sent, %v", path, res.Proto, res.StatusCode, len(got),
						res.Header.Get("X-Got"), err)
				}
			}
		})
	}
}

// speaker is a server that does what it is told with each connection.
func speaker(t *testing.T, do func(net.Conn, *bufio.Reader)) (addr string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	t.Cleanup(func() {
		_ = ln.Close()
		all.Wait()
	})
	all.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer conn.Close() // said all
				do(conn, bufio.NewReader(conn))
			})
		}
	})
	return ln.Addr().String()
}

// A server that closes its connections after each answer, without having said so, loses no request.
func TestClosedConnectionsAreNotUsedAgain(t *testing.T) {
	closed := make(chan struct{})
	addr := speaker(t, func(conn net.Conn, from *bufio.Reader) {
		r, err := http.ReadRequest(from)
		if err != nil {
			return
		}
		body, _ := io.ReadAll(r.Body) // a short one shows
		_, _ = fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
		_ = conn.Close()
		closed <- struct{}{}
	})
	front := httptest.NewServer(through(t, addr, nil))
	defer front.Close()
	for i := range 100 {
		res, err := http.Post(front.URL, "", strings.NewReader("body"))
		if err != nil {
			t.Fatal(err)
		}
		got, _ := io.ReadAll(res.Body) // a short one shows
		_ = res.Body.Close()           // read whole
		if string(got) != "body" {
			t.Fatalf("request %d: %d %q", i, res.StatusCode, got)
		}
		<-closed
	}
}

// What a server says beyond its answer is not taken for the next one.
func TestWordsBeyondAnAnswerAreNobodys(t *testing.T) {
	addr := speaker(t, func(conn net.Conn, from *bufio.Reader) {
		for {
			if _, err := http.ReadRequest(from); err != nil {
				return
			}
			_, _ = io.WriteString(conn,
				"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged")
		}
	})
	front := httptest.NewServer(through(t, addr, nil))
	defer front.Close()
	for i := range 20 {
		res, err := http.Get(front.URL)
		if err != nil {
			t.Fatal(err)
		}
		got, _ := io.ReadAll(res.Body) // a short one shows
		_ = res.Body.Close()           // read whole
		if string(got) != "ok" {
			t.Fatalf("request %d: %q", i, got)
		}
	}
}

// A server that says too much, or nonsense, is an error of a line.
func TestHostileAnswersAreErrors(t *testing.T) {
	for _, words := range []string{
		"", "no HTTP\r\n\r\n", "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 1<<20),
		strings.Repeat("HTTP/1.1 103 Hint\r\n\r\n", 100),
		"HTTP/1.1 101 Switching Protocols\r\n\r\n",
		"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: own\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
	} {
		addr := speaker(t, func(conn net.Conn, from *bufio.Reader) {
			if _, err := http.ReadRequest(from); err == nil {
				_, _ = io.WriteString(conn, words) // the other end may have heard enough
			}
		})
		front := httptest.NewServer(through(t, addr, nil))
		res, err := http.Get(front.URL)
		if err != nil {
			t.Fatalf("%.30q: %v", words, err)
		}
		got, err := io.ReadAll(res.Body)
		_ = res.Body.Close() // read whole
		if err != nil || res.StatusCode != http.StatusBadGateway || len(got) > 1000 || strings.Contains(string(got), "EOF") {
			t.Errorf("%.30q: %d, %d bytes %.100q, %v", words, res.StatusCode, len(got), got, err)
		}
		front.Close()
	}
}

// A client that leaves ends what the server does for it.
func TestServersHearOfClientsThatLeave(t *testing.T) {
	left := make(chan error, 1)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
		left <- r.Context().Err()
	}))
	defer server.Close()
	front := httptest.NewServer(through(t, server.Listener.Addr().String(), nil))
	defer front.Close()
	ctx, leave := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer leave()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, front.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	if res, err := http.DefaultClient.Do(req); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("answered %v, %v", res, err)
	}
	select {
	case <-left:
	case <-time.After(5 * time.Second):
		t.Error("the server does not hear of it")
	}
}
