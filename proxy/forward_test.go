package proxy_test

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"net/textproto"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/sandlot-dev/sandlot/proxy"
)

// journal is a log that can be read while it is written.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// says is an app that answers each connection's first request with fixed bytes and closes the connection.
func says(t *testing.T, at netip.AddrPort, words string) {
	t.Helper()
	ln, err := net.Listen("tcp", at.String())
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
				defer conn.Close()                             // said all
				_, _ = conn.Read(make([]byte, 64<<10))         // the request
				_, _ = io.Copy(conn, strings.NewReader(words)) // the other end may have heard enough
			})
		}
	})
}

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

// ways runs a test against an app that is reached directly, and one that listens on loopback. link is where a client
// finds it.
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

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

// pattern is a body that shows where it was cut or mixed.
func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*7 + i>>9 + i>>17)
	}
	return b
}

// An app can say what it wants: neither the log nor who asks gets more of it than an error needs, and the proxy goes
// on.
func TestAppsWordsHaveBounds(t *testing.T) {
	long := strings.Repeat("x", 8<<20)
	for _, tc := range []struct {
		name, words string
		want        int
	}{
		{"status line of 8 MB", "HTTP/1.1 " + long, 502},
		{"status line of 8 MB in lines", "HTTP/1.1 " + strings.Repeat("\x01\n", 4<<20), 502},
		{"no HTTP, 8 MB", long, 502},
		{"nothing", "", 502},
		{"status 099", "HTTP/1.1 099 low\r\nContent-Length: 0\r\n\r\n", 502},
		{"status 000", "HTTP/1.1 000 none\r\nContent-Length: 0\r\n\r\n", 502},
		{"status +99", "HTTP/1.1 +99 odd\r\nContent-Length: 0\r\n\r\n", 502},
		{"status -99", "HTTP/1.1 -99 odd\r\nContent-Length: 0\r\n\r\n", 502},
		{"status 0", "HTTP/1.1 0 odd\r\nContent-Length: 0\r\n\r\n", 502},
		{"status 999", "HTTP/1.1 999 high\r\nContent-Length: 0\r\n\r\n", 999},
		{"status of a megabyte", "HTTP/1.1 " + long[:1<<20] + " x\r\n\r\n", 502},
		{"header of 1 MB", "HTTP/1.1 200 OK\r\nX-A: " + long[:1<<20] + "\r\nContent-Length: 0\r\n\r\n", 502},
		{"many headers", "HTTP/1.1 200 OK\r\n" + strings.Repeat("X-A: b\r\n", 100_000) + "Content-Length: 0\r\n\r\n", 502},
		{"bad header", "HTTP/1.1 200 OK\r\n" + long[:60_000] + "\r\n\r\n", 502},
		{"interim answers without end", strings.Repeat("HTTP/1.1 103 Early Hints\r\nX-A: b\r\n\r\n", 100_000), 502},
		{"continue without end", strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 100_000), 502},
		{"interim answers", strings.Repeat("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", 3) +
			"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200},
		{"another protocol that nobody asked for", "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: " +
			long[:60_000] + "\r\n\r\n", 502},
		{"another protocol without a name", "HTTP/1.1 101 Switching Protocols\r\n\r\n", 502},
		{"two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 502},
		{"header of 60 KiB", "HTTP/1.1 200 OK\r\nX-A: " + long[:60<<10] + "\r\nContent-Length: 0\r\n\r\n", 200},
	} {
		t.Run(tc.name, func(t *testing.T) {
			log := &journal{}
			f, p, srv := worldOf(t, http.NotFoundHandler(), slog.NewTextHandler(log, nil))
			panics := &journal{}
			srv.Config.ErrorLog = slog.NewLogLogger(slog.NewTextHandler(panics, nil), slog.LevelError)
			f.set(func(f *fleet) { f.target.Public = true })
			says(t, netip.AddrPortFrom(f.target.Addr, 3000), tc.words)
			toolbox := address()
			says(t, netip.AddrPortFrom(toolbox, 2280), tc.words)
			check := func(c call) {
				t.Helper()
				before := len(log.String())
				res, body := send(t, srv, c)
				if res.StatusCode != tc.want || len(body) > 1000 {
					t.Errorf("status %d, %d bytes: %.300s; want %d, 1000 bytes at most", res.StatusCode, len(body), body, tc.want)
				}
				if n := len(log.String()) - before; n > 2000 {
					t.Errorf("%d bytes were logged", n)
				}
				if strings.Contains(body, "127.") {
					t.Errorf("an inner address is told: %s", body)
				}
				if tc.want == 200 && strings.HasPrefix(c.path, "/toolbox") &&
					res.Header.Get("Access-Control-Allow-Origin") != "https://a.test" {
					t.Errorf("our own header is lost: %v", res.Header)
				}
			}
			check(call{host: "3000-" + id + "." + domain, path: "/"})
			f.set(func(f *fleet) { f.target.Addr = toolbox })
			p.Forget(id)
			check(call{path: "/toolbox/" + id + "/version", header: map[string]string{
				"Authorization": "Bearer dtn_good",
				"Origin":        "https://a.test",
			}})
			if panics.String() != "" {
				t.Errorf("the server says: %.1000s", panics)
			}
		})
	}
}

// Broken connections are told without the addresses they had.
func TestInnerAddressesAreToldToNobody(t *testing.T) {
	f, p, srv := world(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		_ = conn.(*net.TCPConn).SetLinger(0)
		_ = conn.Close() // with a reset
	}))
	header := map[string]string{"Authorization": "Bearer dtn_good"}
	gone := address()
	for _, addr := range []netip.Addr{f.target.Addr, gone} {
		f.set(func(f *fleet) { f.target.Addr = addr })
		p.Forget(id)
		for _, c := range []call{
			{method: http.MethodPost, path: "/toolbox/" + id + "/execute", body: "{}", header: header},
			{host: "3000-" + id + "." + domain, path: "/", header: header},
		} {
			if res, body := send(t, srv, c); res.StatusCode != http.StatusBadGateway || strings.Contains(body, "127.") ||
				strings.Contains(body, "->") {
				t.Errorf("answered %d %s", res.StatusCode, body)
			}
		}
	}
}

// A request that may change something is not sent a second time when a connection kept from an earlier one breaks.
func TestNothingIsSentTwiceOnAKeptConnection(t *testing.T) {
	var ran atomic.Int32
	_, _, srv := world(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/execute" {
			ran.Add(1)
			panic(http.ErrAbortHandler) // the daemon dies in the middle
		}
	}))
	header := map[string]string{"Authorization": "Bearer dtn_good"}
	for i, c := range []call{{body: "{}"}, {}} {
		if res, _ := send(t, srv, call{
			path:   "/toolbox/" + id + "/version",
			header: header,
		}); res.StatusCode != http.StatusOK {
			t.Fatal(res.Status)
		}
		res, body := send(t, srv, call{
			method: http.MethodPost, path: "/toolbox/" + id + "/execute", body: c.body,
			header: header,
		})
		if res.StatusCode != http.StatusBadGateway || ran.Load() != int32(i+1) {
			t.Errorf("status %d (%s), ran %d times; want 502 and %d", res.StatusCode, body, ran.Load(), i+1)
		}
	}
}

// A body that is not what its header says is the caller's fault, not the sandbox's.
func TestBrokenBodyIsTheCallersFault(t *testing.T) {
	_, _, srv := world(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // to where it breaks
	}))
	_, from := raw(t, srv, "POST /toolbox/"+id+"/execute HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "+
		"dtn_good\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")
	if got := within(t, "the answer", response(from)); got.status != http.StatusBadRequest ||
		!strings.Contains(got.body, "body") {
		t.Errorf("answered %+v", got)
	}
}

// An app that answers before the body's end, and closes, is heard every time: by a client that reads while it sends
// and by one that does not.
func TestEarlyAnswersAlwaysArrive(t *testing.T) {
	tooLarge := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, buf, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer conn.Close() // with much unread: a reset
		_, _ = buf.WriteString("HTTP/1.1 413 Request Entity Too Large\r\nConnection: close\r\nContent-Length: " +
			"9\r\n\r\ntoo large")
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
			_, _ = fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: %s\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n",
				tc.path, preview3000, tc.length)
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
		for _, method := range []string{
			"GET", "PROPFIND", "MKCOL", "REPORT", "PURGE", "M-SEARCH", "LINK", "QUERY",
			"SOMETHING",
		} {
			req := toPort(t, method, link, "/", nil)
			hinted := ""
			req = req.WithContext(httptrace.WithClientTrace(req.Context(),
				&httptrace.ClientTrace{Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
					hinted += fmt.Sprint(code, h.Get("Link"))
					return nil
				}}))
			res, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(res.Body) // a short one shows
			_ = res.Body.Close()            // read whole
			if ids := res.Header["X-Request-Id"]; string(body) != method || !slices.Equal(ids, []string{"of-the-app"}) ||
				hinted != "103</a.css>; rel=preload" {
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
					t.Errorf("round %d, %s %s %s: %d, %d bytes of %d, %v", round, tc.method, tc.path, tc.span, res.StatusCode,
						len(got), len(tc.want), err)
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
		send(t, srv, call{
			host: port + "-" + id + "." + domain, path: "/",
			header: map[string]string{"Authorization": "Bearer dtn_good"},
		})
	}
	if got := inside.asked.Load(); got != before {
		t.Errorf("the toolbox was asked %d times for its own ports", got-before)
	}
}

// A connection that breaks without any news of the sandbox is told in words.
func TestBrokenConnectionsAreToldInWords(t *testing.T) {
	_, _, srv := world(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/halfway") {
			if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
				_, _ = conn.Write([]byte("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n"))
				_ = conn.Close()
			}
			return
		}
		_, _ = io.Copy(io.Discard, r.Body) // to where it ends
		panic(http.ErrAbortHandler)
	}))
	for _, path := range []string{"/execute", "/halfway"} {
		got := within(t, "the request", ask(t, srv, http.MethodPost, "/toolbox/"+id+path, nil))
		if r := refusalOf(t, got.body); got.status != http.StatusBadGateway || strings.Contains(r.Message, "EOF") ||
			!strings.Contains(r.Message, "closed the connection") {
			t.Errorf("%s: answered %+v", path, got)
		}
	}
}

// A connection breaks before whoever watches the sandbox has seen its end: the request waits for the news.
func TestBrokenConnectionsWaitForTheNews(t *testing.T) {
	up := websocket.Upgrader{}
	for _, path := range []string{"/execute", "/ws"} {
		t.Run(path, func(t *testing.T) {
			broken := make(chan struct{})
			f, p, srv := world(t, http.NotFoundHandler())
			addr := address()
			listener, err := net.Listen("tcp", netip.AddrPortFrom(addr, 2280).String())
			if err != nil {
				t.Fatal(err)
			}
			go func() {
				_ = http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					defer close(broken)
					if r.URL.Path == "/ws" {
						if conn, err := up.Upgrade(w, r, nil); err == nil {
							_, _, _ = conn.ReadMessage() // the handshake is over
							_ = listener.Close()         // all of the sandbox ends at once
							_ = conn.NetConn().Close()
						}
						return
					}
					_ = listener.Close()
					panic(http.ErrAbortHandler)
				}))
			}()
			f.set(func(f *fleet) { f.target.Addr = addr })
			go func() {
				<-broken
				end(f, p)
			}()
			if path == "/ws" {
				conn, _, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(srv.URL, "http")+"/toolbox/"+id+"/ws",
					http.Header{"Authorization": {"Bearer dtn_good"}})
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close() // done with it
				_ = conn.WriteMessage(websocket.TextMessage, []byte("end"))
				_, _, err = conn.ReadMessage()
				if frame, ok := errors.AsType[*websocket.CloseError](err); !ok || !strings.Contains(frame.Text, killed) {
					t.Errorf("closed with %v", err)
				}
				return
			}
			got := within(t, "the request", ask(t, srv, http.MethodPost, "/toolbox/"+id+path, strings.NewReader("{}")))
			if r := refusalOf(t, got.body); r.Code != "SANDBOX_NOT_STARTED" || !strings.Contains(r.Message, killed) {
				t.Errorf("answered %+v", got)
			}
		})
	}
}

// A toolbox that is being killed takes connections, and answers nobody: the request waits for the news all the same.
func TestConnectionsTakenByAnEndingToolboxAreNoSign(t *testing.T) {
	f, p, srv := world(t, http.NotFoundHandler())
	addr := address()
	listener, err := net.Listen("tcp", netip.AddrPortFrom(addr, 2280).String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for i := 0; ; i++ {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Read(make([]byte, 1000)) // the request
			_ = conn.Close()
			if i == 1 { // it was asked whether it is there
				end(f, p)
			}
		}
	}()
	f.set(func(f *fleet) { f.target.Addr = addr })
	got := within(t, "the request", ask(t, srv, http.MethodPost, "/toolbox/"+id+"/execute", strings.NewReader("{}")))
	if r := refusalOf(t, got.body); r.Code != "SANDBOX_NOT_STARTED" || !strings.Contains(r.Message, killed) {
		t.Errorf("answered %+v", got)
	}
}

func TestStreamPassesAsItComes(t *testing.T) {
	next := make(chan string)
	f, _, srv := world(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for line := range next {
			_, _ = fmt.Fprintln(w, line) // a lost line shows at the other end
			http.NewResponseController(w).Flush()
		}
	}))
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.URL+"/toolbox/"+id+"/stream", nil)
	req.Header.Set("Authorization", "Bearer dtn_good")
	go func() { next <- "0" }()
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close() // read whole
	lines := bufio.NewScanner(res.Body)
	for i := range 5 {
		if !lines.Scan() || lines.Text() != fmt.Sprint(i) {
			t.Fatalf("line %d is %q", i, lines.Text())
		}
		if i < 4 {
			next <- fmt.Sprint(i + 1) // only now: a proxy that gathers would never show the line before
		}
	}
	f.set(func(f *fleet) {
		if f.open != 1 {
			t.Errorf("%d connections are counted while a stream is open, want 1", f.open)
		}
	})
	close(next)
	if lines.Scan() {
		t.Errorf("more: %q", lines.Text())
	}
}

func TestNothingIsSentTwice(t *testing.T) {
	var ran atomic.Int32
	_, _, srv := world(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/process/execute" {
			ran.Add(1)
		}
		panic(http.ErrAbortHandler) // the daemon dies in the middle
	}))
	res, body := send(t, srv, call{
		method: http.MethodPost, path: "/toolbox/" + id + "/process/execute", body: "{}",
		header: map[string]string{"Authorization": "Bearer dtn_good"},
	})
	if res.StatusCode != http.StatusBadGateway || ran.Load() != 1 {
		t.Errorf("status %d (%s), ran %d times; want 502 and once", res.StatusCode, body, ran.Load())
	}
}

func TestActivityIsCountedUnlessDeclined(t *testing.T) {
	f, _, srv := world(t, echo)
	header := map[string]string{"Authorization": "Bearer dtn_good", "X-Daytona-Skip-Last-Activity-Update": "true"}
	send(t, srv, call{path: "/toolbox/" + id + "/version", header: header})
	if f.touched != 0 {
		t.Error("a request that declined it was counted")
	}
	delete(header, "X-Daytona-Skip-Last-Activity-Update")
	send(t, srv, call{path: "/toolbox/" + id + "/version", header: header})
	f.set(func(f *fleet) {
		if f.mostOpen != 1 || f.touched == 0 {
			t.Errorf("counted %d, open at most %d", f.touched, f.mostOpen)
		}
	})
}

func TestTheSecretGoesToToolboxdAlone(t *testing.T) {
	f, _, srv := world(t, echo)
	f.set(func(f *fleet) { f.target.Public = true })
	listen(t, netip.AddrPortFrom(f.target.Addr, 22222), echo) // the terminal is toolboxd's
	if _, body := send(t, srv, call{
		host: "22222-" + id + "." + domain, path: "/",
		header: map[string]string{"X-Daytona-Preview-Token": tok(22222)},
	}); !strings.Contains(body, "s3cret") {
		t.Errorf("the terminal is not given the secret: %s", body)
	}
	for _, port := range []int{22220, 33333, 5901, 6080, 8702} {
		listen(t, netip.AddrPortFrom(f.target.Addr, uint16(port)), echo)
		_, body := send(t, srv, call{
			host: fmt.Sprintf("%d-%s.%s", port, id, domain), path: "/",
			header: map[string]string{"X-Daytona-Preview-Token": tok(port)},
		})
		if strings.Contains(body, "s3cret") || !strings.Contains(body, "localhost") {
			t.Errorf("port %d: an app saw %s", port, body)
		}
	}
}
