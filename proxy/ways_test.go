package proxy_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"net/textproto"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sandlot-dev/sandlot/proxy"
)

// tunnels is a toolbox that lets the apps be reached that listen at loopback, as toolboxd does.
type tunnels struct {
	loopback netip.Addr
	asked    atomic.Int32
}

// ServeHTTP implements http.Handler.
func (l *tunnels) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/version" {
		return
	}
	l.asked.Add(1)
	port, ok := strings.CutPrefix(r.URL.Path, "/proxy/")
	if !ok || r.Header.Get("Upgrade") != "sandlot-tcp" || r.Header.Get("X-Sandlot-Secret") != "s3cret" {
		http.Error(w, "this is no tunnel", http.StatusBadRequest)
		return
	}
	app, err := net.Dial("tcp", net.JoinHostPort(l.loopback.String(), port))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer app.Close() // both ends have said all
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer conn.Close() // likewise
	_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: sandlot-tcp\r\n\r\n")
	up := make(chan struct{})
	go func() {
		defer close(up)
		if _, err := io.Copy(app, conn); err != nil {
			_, _ = io.Copy(io.Discard, conn)
		}
		_ = app.(*net.TCPConn).CloseWrite() // it may have ended
	}()
	_, _ = io.Copy(conn, app)
	_ = conn.(*net.TCPConn).CloseWrite() // likewise
	<-up
}

// ways runs a test against an app that is reached directly, and one that listens on loopback. link is where a client finds it.
func ways(t *testing.T, app http.Handler, test func(t *testing.T, link string)) {
	t.Helper()
	ways2(t, app, func(t *testing.T, link string, _ *fleet, _ *proxy.Proxy) { test(t, link) })
}

func ways2(t *testing.T, app http.Handler, test func(t *testing.T, link string, f *fleet, p *proxy.Proxy)) {
	t.Helper()
	for _, way := range []string{"direct", "tunnel"} {
		t.Run(way, func(t *testing.T) {
			inside := &tunnels{loopback: address()}
			f, p, srv := world(t, inside)
			f.set(func(f *fleet) { f.target.Public = true })
			at := f.target.Addr
			if way == "tunnel" {
				at = inside.loopback
			}
			listen(t, netip.AddrPortFrom(at, 3000), app)
			test(t, srv.URL, f, p)
			if (inside.asked.Load() > 0) != (way == "tunnel") {
				t.Errorf("the toolbox was asked %d times", inside.asked.Load())
			}
		})
	}
}

const preview3000 = "3000-" + id + "." + domain

// toPort makes a request to port 3000's preview.
func toPort(t *testing.T, method, link, path string, body io.Reader) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, link+path, body)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = preview3000
	return req
}

// An app that answers before the body's end, and closes, is heard every time: by a client that reads while it sends and by one that does not.
func TestEarlyAnswersAlwaysArrive(t *testing.T) {
	tooLarge := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, buf, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer conn.Close() // with much unread: a reset
		_, _ = buf.WriteString("HTTP/1.1 413 Request Entity Too Large\r\nConnection: close\r\nContent-Length: 9\r\n\r\ntoo large")
		_ = buf.Flush()
	})
	const size = 50 << 20
	times := 200
	if testing.Short() {
		times = 20
	}
	ways(t, tooLarge, func(t *testing.T, link string) {
		piece := make([]byte, 1<<20)
		for i := range times {
			req := toPort(t, http.MethodPost, link, "/", io.LimitReader(zeros{}, size))
			req.ContentLength = size
			if i%4 == 3 {
				req.ContentLength = -1
			}
			if i%4 == 1 { // sends all before it reads
				conn, err := net.Dial("tcp", strings.TrimPrefix(link, "http://"))
				if err != nil {
					t.Fatal(err)
				}
				_, _ = fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n\r\n", preview3000, size)
				for range size / len(piece) {
					if _, err := conn.Write(piece); err != nil {
						break
					}
				}
				res, err := http.ReadResponse(bufio.NewReader(conn), nil)
				if err != nil || res.StatusCode != http.StatusRequestEntityTooLarge {
					t.Fatalf("upload %d, by one that does not read meanwhile: %v, %v", i, res, err)
				}
				_ = conn.Close() // done with it
				continue
			}
			res, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatalf("upload %d: %v", i, err)
			}
			body, err := io.ReadAll(res.Body)
			_ = res.Body.Close() // read whole
			if res.StatusCode != http.StatusRequestEntityTooLarge || string(body) != "too large" || err != nil {
				t.Fatalf("upload %d: %d %q, %v", i, res.StatusCode, body, err)
			}
		}
	})
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

// A client that asks whether it may send is answered by the app, once, and by nobody else.
func TestExpectGoesFromEndToEnd(t *testing.T) {
	app := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/no":
			http.Error(w, "no", http.StatusExpectationFailed)
		case "/early":
			w.Header().Set("Link", "</a.css>; rel=preload")
			w.WriteHeader(http.StatusEarlyHints)
			body, _ := io.ReadAll(r.Body) // a short one shows
			_, _ = fmt.Fprintf(w, "%d", len(body))
		case "/silent":
			conn, buf, err := http.NewResponseController(w).Hijack()
			if err != nil {
				return
			}
			defer conn.Close() // said all
			got := make([]byte, 5)
			_, _ = io.ReadFull(buf, got) // a short one shows
			_, _ = fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n%s", got)
		default:
			body, _ := io.ReadAll(r.Body) // a short one shows
			_, _ = fmt.Fprintf(w, "%d %s", len(body), r.Header.Get("Expect"))
		}
	})
	ways(t, app, func(t *testing.T, link string) {
		for _, tc := range []struct {
			path, want, body string
			length           int
		}{
			{"/yes", "100 200", "5 100-continue", 5},
			{"/early", "103 100 200", "5", 5},
			{"/no", "417", "no\n", 5},
			{"/no", "417", "no\n", 50 << 20},
			{"/silent", "100 200", "hello", 5},
		} {
			conn, err := net.Dial("tcp", strings.TrimPrefix(link, "http://"))
			if err != nil {
				t.Fatal(err)
			}
			_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
			_, _ = fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: %s\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n", tc.path, preview3000, tc.length)
			from := bufio.NewReader(conn)
			var got []string
			body := ""
			for {
				res, err := http.ReadResponse(from, nil)
				if err != nil {
					t.Fatalf("%s: after %v: %v", tc.path, got, err)
				}
				got = append(got, fmt.Sprint(res.StatusCode))
				if res.StatusCode == http.StatusContinue {
					_, _ = io.WriteString(conn, "hello")
				}
				if res.StatusCode == http.StatusEarlyHints && res.Header.Get("Link") == "" {
					t.Errorf("the hint has lost its header: %v", res.Header)
				}
				if res.StatusCode >= 200 {
					data, _ := io.ReadAll(res.Body) // a short one shows
					body = string(data)
					break
				}
			}
			if strings.Join(got, " ") != tc.want || body != tc.body {
				t.Errorf("%s: answers %v %q, want %s %q", tc.path, got, body, tc.want, tc.body)
			}
			_ = conn.Close() // done with it
		}
	})
}

// Any method passes, and what the app says of itself is said once.
func TestAppsSpeakForThemselves(t *testing.T) {
	app := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Request-Id", "of-the-app")
		w.Header().Set("Link", "</a.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		_, _ = io.WriteString(w, r.Method)
	})
	ways(t, app, func(t *testing.T, link string) {
		for _, method := range []string{"GET", "PROPFIND", "MKCOL", "REPORT", "PURGE", "M-SEARCH", "LINK", "QUERY", "SOMETHING"} {
			req := toPort(t, method, link, "/", nil)
			hinted := ""
			req = req.WithContext(httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
				hinted += fmt.Sprint(code, h.Get("Link"))
				return nil
			}}))
			res, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(res.Body) // a short one shows
			_ = res.Body.Close()            // read whole
			if ids := res.Header["X-Request-Id"]; string(body) != method || !slices.Equal(ids, []string{"of-the-app"}) || hinted != "103</a.css>; rel=preload" {
				t.Errorf("%s: %d %q, ids %q, hint %q", method, res.StatusCode, body, ids, hinted)
			}
		}
	})
}

// A body whose length is known goes on as it comes, in both directions at once.
func TestBodiesOfKnownLengthAreNotHeldBack(t *testing.T) {
	const size = 1000
	app := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).EnableFullDuplex()
		w.Header().Set("Content-Length", fmt.Sprint(size))
		_ = http.NewResponseController(w).Flush()
		one := make([]byte, 1)
		for {
			if _, err := io.ReadFull(r.Body, one); err != nil {
				return
			}
			_, _ = w.Write(one) // a lost one shows
			_ = http.NewResponseController(w).Flush()
		}
	})
	ways(t, app, func(t *testing.T, link string) {
		body, pen := io.Pipe()
		req := toPort(t, http.MethodPost, link, "/", body)
		req.ContentLength = size
		conn, err := net.Dial("tcp", strings.TrimPrefix(link, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close() // done with it
		_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
		_, _ = fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n\r\n", preview3000, size)
		from := bufio.NewReader(conn)
		res, err := http.ReadResponse(from, nil)
		if err != nil || res.ContentLength != size {
			t.Fatal(res, err)
		}
		for i := range size {
			want := []byte{byte(i)}
			_, _ = conn.Write(want)
			got := make([]byte, 1)
			if _, err := io.ReadFull(res.Body, got); err != nil || got[0] != want[0] {
				t.Fatalf("byte %d: %v, %v", i, got, err)
			}
		}
		_ = pen.Close()
	})
}

// pattern is a body that shows where it was cut or mixed.
func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*7 + i>>9 + i>>17)
	}
	return b
}

// Whatever form an answer has, it arrives byte for byte, on connections that are used again and again.
func TestAnswersAreWholeInEveryForm(t *testing.T) {
	large := pattern(2<<20 + 12345)
	app := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/none":
			w.WriteHeader(http.StatusNoContent)
		case "/same":
			w.Header().Set("Etag", `"a"`)
			w.WriteHeader(http.StatusNotModified)
		case "/chunked":
			w.Header().Set("Trailer", "X-Sum")
			_ = http.NewResponseController(w).Flush()
			_, _ = w.Write(large) // a short one shows
			w.Header().Set("X-Sum", "sum")
		case "/encoded":
			w.Header().Set("Content-Encoding", "gzip") // which it is not: nobody looks
			w.Header().Set("Content-Length", fmt.Sprint(len(large)))
			_, _ = w.Write(large) // a short one shows
		case "/slowly": // in pieces that fit no buffer
			w.Header().Set("Content-Length", fmt.Sprint(len(large)))
			for part := range slices.Chunk(large, 70_001) {
				_, _ = w.Write(part) // a short one shows
				_ = http.NewResponseController(w).Flush()
			}
		case "/closing":
			w.Header().Set("Connection", "close")
			w.Header().Set("Content-Length", fmt.Sprint(len(large)))
			_, _ = w.Write(large) // a short one shows
		default:
			http.ServeContent(w, r, "a.bin", time.Time{}, bytes.NewReader(large))
		}
	})
	ways(t, app, func(t *testing.T, link string) {
		for round := range 3 {
			for _, tc := range []struct {
				method, path, span string
				status             int
				want               []byte
			}{
				{"GET", "/a", "", 200, large},
				{"HEAD", "/a", "", 200, nil},
				{"GET", "/a", "bytes=100000-400000", 206, large[100_000:400_001]},
				{"GET", "/a", "bytes=5-9", 206, large[5:10]},
				{"GET", "/none", "", 204, nil},
				{"GET", "/same", "", 304, nil},
				{"GET", "/chunked", "", 200, large},
				{"GET", "/encoded", "", 200, large},
				{"GET", "/slowly", "", 200, large},
				{"POST", "/slowly", "", 200, large},
				{"GET", "/closing", "", 200, large},
			} {
				req := toPort(t, tc.method, link, tc.path, nil)
				req.Header.Set("Accept-Encoding", "identity")
				if tc.method == "POST" {
					req = toPort(t, tc.method, link, tc.path, bytes.NewReader(large))
				}
				if tc.span != "" {
					req.Header.Set("Range", tc.span)
				}
				res, err := http.DefaultClient.Do(req)
				if err != nil {
					t.Fatalf("%s %s: %v", tc.method, tc.path, err)
				}
				got, err := io.ReadAll(res.Body)
				_ = res.Body.Close() // read whole
				if err != nil || res.StatusCode != tc.status || sha256.Sum256(got) != sha256.Sum256(tc.want) {
					t.Errorf("round %d, %s %s %s: %d, %d bytes of %d, %v", round, tc.method, tc.path, tc.span, res.StatusCode, len(got), len(tc.want), err)
				}
				if tc.method == "HEAD" && res.ContentLength != int64(len(large)) {
					t.Errorf("HEAD tells a length of %d", res.ContentLength)
				}
				if tc.path == "/chunked" && res.Trailer.Get("X-Sum") != "sum" {
					t.Errorf("the trailer is %v", res.Trailer)
				}
			}
		}
	})
}

// An answer that ends before its length is broken off, whoever ended it; nothing of it stays.
func TestShortAnswersDoNotLookWhole(t *testing.T) {
	arrived, leave := make(chan struct{}, 1), make(chan struct{})
	app := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(100<<20))
		_, _ = w.Write(make([]byte, 10<<20))
		_ = http.NewResponseController(w).Flush()
		if r.URL.Path == "/dies" {
			panic(http.ErrAbortHandler)
		}
		arrived <- struct{}{}
		<-r.Context().Done()
		leave <- struct{}{}
	})
	ways2(t, app, func(t *testing.T, link string, f *fleet, p *proxy.Proxy) {
		read := func(path string) *http.Response {
			res, err := http.DefaultClient.Do(toPort(t, http.MethodGet, link, path, nil))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(res.Body, make([]byte, 10<<20)); err != nil {
				t.Fatal(err)
			}
			return res
		}
		broken := func(res *http.Response) {
			t.Helper()
			over := make(chan error, 1)
			go func() {
				_, err := io.Copy(io.Discard, res.Body)
				over <- err
			}()
			if err := within(t, "the end", over); err == nil {
				t.Error("the answer looks whole")
			}
			_ = res.Body.Close() // broken
		}
		broken(read("/dies"))

		res := read("/") // the client leaves
		<-arrived
		_ = res.Body.Close()
		within(t, "the app's notice", leave)

		res = read("/") // the sandbox ends
		<-arrived
		end(f, p)
		broken(res)
		within(t, "the app's notice", leave)
		eventually(t, "no request is counted as open", func() (none bool) {
			f.set(func(f *fleet) { none = f.open == 0 })
			return none
		})
	})
}

// An app that is gone, and none at all, are told apart from a sandbox that does not answer.
func TestClosedPortsAreToldAsSuch(t *testing.T) {
	inside := &tunnels{loopback: address()}
	f, _, srv := world(t, inside)
	f.set(func(f *fleet) { f.target.Public = true })
	res, body := send(t, srv, call{host: preview3000, path: "/"})
	if got := refusalOf(t, body); res.StatusCode != http.StatusBadGateway || got.Code != "PORT_CLOSED" {
		t.Errorf("answered %d %s", res.StatusCode, body)
	}
	before := inside.asked.Load()
	for _, port := range []string{"22222"} { // toolboxd itself is there or not
		send(t, srv, call{host: port + "-" + id + "." + domain, path: "/", header: map[string]string{"Authorization": "Bearer dtn_good"}})
	}
	if got := inside.asked.Load(); got != before {
		t.Errorf("the toolbox was asked %d times for its own ports", got-before)
	}
}

// A tunnel carries one request after another, and its answer's bytes begin with the app's.
func TestTunnelsAreUsedAgain(t *testing.T) {
	inside := &tunnels{loopback: address()}
	f, p, srv := world(t, inside)
	f.set(func(f *fleet) { f.target.Public = true })
	listen(t, netip.AddrPortFrom(inside.loopback, 3000), echo)
	for i := range 20 {
		_, body := send(t, srv, call{method: http.MethodPost, host: preview3000, path: "/a%2Fb?c=d", body: fmt.Sprint("body ", i)})
		if got := decode(t, body); got.URI != "/a%2Fb?c=d" || got.Body != fmt.Sprint("body ", i) || got.Host != "localhost:3000" || got.Header.Get("X-Sandlot-Secret") != "" {
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
					req := toPort(t, http.MethodPost, link, []string{"/", "/dies", "/large", "/early"}[i%4], io.LimitReader(zeros{}, 1<<20))
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
			t.Fatalf("%d goroutines and %d descriptors, before %d and %d\n%s", g, f, goroutines, files, buf[:runtime.Stack(buf, true)])
		}
		runtime.GC() // the pipes that bodies went through are closed by it
	}
}
