package serve_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/sandlot-dev/sandlot/internal/serve"
)

// TestUnusedConnectionsDoNotHoldUpTheEnd: clients dial ahead, and net/http's Shutdown waits 5 s for what they have
// not used yet.
func TestUnusedConnectionsDoNotHoldUpTheEnd(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- serve.Until(ctx, ln, http.NotFoundHandler(), 5*time.Second) }()
	unused, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer unused.Close()
	res, err := http.Get("http://" + ln.Addr().String()) // accepted after the other
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	began := time.Now()
	stop()
	if err := <-ended; err != nil || time.Since(began) > time.Second {
		t.Errorf("it ended after %v with %v", time.Since(began), err)
	}
}

// A client that sends a header without end is refused, and one that never ends its header is not waited for: that
// takes 10 s.
func TestHeadersHaveBounds(t *testing.T) {
	t.Parallel() // it waits for the most part
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- serve.Until(ctx, ln, http.NotFoundHandler(), time.Second) }()
	defer func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	for name, text := range map[string]string{
		"long": "GET / HTTP/1.1\r\nHost: x\r\nA: " + strings.Repeat("x", 100<<10) + "\r\n\r\n",
		"slow": "GET / HTTP/1.1\r\nHost: x\r\nA: b",
	} {
		conn, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close() // done with it
		_, _ = io.WriteString(conn, text)
		_ = conn.SetReadDeadline(time.Now().Add(20 * time.Second))
		answer, err := io.ReadAll(conn)
		if errors.Is(err, os.ErrDeadlineExceeded) || name == "long" && !strings.HasPrefix(string(answer), "HTTP/1.1 431 ") {
			t.Errorf("%s header: %.100q, %v", name, answer, err)
		}
	}
}
