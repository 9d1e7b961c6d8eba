package serve_test

import (
	"context"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/sandlot-dev/sandlot/internal/serve"
)

// TestUnusedConnectionsDoNotHoldUpTheEnd: clients dial ahead, and net/http's Shutdown waits 5 s for what they have not used yet.
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
