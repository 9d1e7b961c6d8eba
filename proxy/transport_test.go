package proxy_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sandlot-dev/sandlot/proxy"
)

// A tunnel carries one request after another, and its answer's bytes begin with the app's.
func TestTunnelsAreUsedAgain(t *testing.T) {
	inside := &tunnels{loopback: address()}
	f, p, srv := world(t, inside)
	f.set(func(f *fleet) { f.target.Public = true })
	listen(t, netip.AddrPortFrom(inside.loopback, 3000), echo)
	for i := range 20 {
		_, body := send(t, srv, call{
			method: http.MethodPost, host: preview3000, path: "/a%2Fb?c=d",
			body: fmt.Sprint("body ", i),
		})
		if got := decode(t, body); got.URI != "/a%2Fb?c=d" || got.Body != fmt.Sprint("body ", i) ||
			got.Host != "localhost:3000" || got.Header.Get("X-Sandlot-Secret") != "" {
			t.Errorf("the app saw %+v", got)
		}
	}
	if got := inside.asked.Load(); got != 1 {
		t.Errorf("20 requests made %d tunnels", got)
	}
	p.Forget(id) // closes what is idle
	send(t, srv, call{host: preview3000, path: "/"})
	if got := inside.asked.Load(); got != 2 {
		t.Errorf("after a change there are %d tunnels", got)
	}
}

// Requests of all kinds leave neither goroutines nor descriptors behind.
func TestNothingStaysOpen(t *testing.T) {
	count := func() (goroutines, files int) {
		entries, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Skip("descriptors cannot be counted here")
		}
		return runtime.NumGoroutine(), len(entries)
	}
	http.DefaultClient.CloseIdleConnections()
	var goroutines, files int
	inner := func(t *testing.T) {
		app := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case "/dies":
				panic(http.ErrAbortHandler)
			case "/large":
				w.Header().Set("Content-Length", fmt.Sprint(64<<20))
				_, _ = w.Write(make([]byte, 64<<20)) // the client leaves
			case "/early":
				w.Header().Set("Connection", "close")
				http.Error(w, "no", http.StatusRequestEntityTooLarge)
			default:
				_, _ = io.Copy(w, r.Body)
			}
		})
		ways2(t, app, func(t *testing.T, link string, _ *fleet, p *proxy.Proxy) {
			defer p.Forget(id) // closes what is idle
			var all sync.WaitGroup
			for i := range 60 {
				all.Go(func() {
					ctx, leave := context.WithCancel(t.Context())
					defer leave()
					req := toPort(t, http.MethodPost, link, []string{"/", "/dies", "/large", "/early"}[i%4],
						io.LimitReader(zeros{}, 1<<20))
					res, err := http.DefaultClient.Do(req.WithContext(ctx))
					if err != nil {
						if !errors.Is(err, io.EOF) {
							t.Log(err)
						}
						return
					}
					_, _ = io.CopyN(io.Discard, res.Body, 1<<20)
					_ = res.Body.Close() // the rest is not wanted
				})
			}
			all.Wait()
		})
	}
	t.Run("warm", inner)
	http.DefaultClient.CloseIdleConnections()
	goroutines, files = count()
	t.Run("again", inner)
	http.DefaultClient.CloseIdleConnections()
	deadline := time.Now().Add(5 * time.Second)
	for {
		g, f := count()
		if g <= goroutines && f <= files {
			return
		}
		if time.Now().After(deadline) {
			buf := make([]byte, 1<<20)
			t.Fatalf("%d goroutines and %d descriptors, before %d and %d\n%s", g, f, goroutines, files,
				buf[:runtime.Stack(buf, true)])
		}
		runtime.GC() // the pipes that bodies went through are closed by it
	}
}

// A port that does not take the connection is waited for no longer than the sandbox runs.
func TestDiallingEndsWithTheSandbox(t *testing.T) {
	f, p, srv := world(t, http.NotFoundHandler())
	deaf := deafPort(t)
	f.set(func(f *fleet) { f.target.Addr = deaf })
	came := ask(t, srv, http.MethodPost, "/toolbox/"+id+"/execute", strings.NewReader("{}"))
	eventually(t, "the request is on its way", func() (dialled bool) {
		f.set(func(f *fleet) { dialled = f.open == 1 })
		return dialled
	})
	end(f, p)
	if got := within(t, "the request", came); got.status != http.StatusConflict {
		t.Errorf("answered %+v", got)
	}
}

// A port that does not take the connection is given up after some seconds, whatever the sandbox does.
func TestDiallingHasATimeOut(t *testing.T) {
	f, _, srv := world(t, http.NotFoundHandler())
	deaf := deafPort(t)
	f.set(func(f *fleet) { f.target.Addr = deaf })
	began := time.Now()
	select {
	case got := <-ask(t, srv, http.MethodPost, "/toolbox/"+id+"/execute", strings.NewReader("{}")):
		if r := refusalOf(t, got.body); got.status != http.StatusBadGateway || strings.Contains(r.Message, "127.") ||
			!strings.Contains(r.Message, "timeout") {
			t.Errorf("answered %+v", got)
		}
		t.Logf("given up after %v", time.Since(began))
	case <-time.After(10 * time.Second):
		t.Error("dialling takes more than 10 s")
	}
}
