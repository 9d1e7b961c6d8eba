package proxy_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/sandlot-dev/sandlot/proxy"
)

// within fails the test if what happens takes longer than a second, and returns what it gave.
func within[T any](t *testing.T, what string, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(time.Second):
		t.Fatalf("%s takes more than a second", what)
		panic("not reached")
	}
}

// eventually waits, for a second at most, until something is so.
func eventually(t *testing.T, what string, so func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Second); !so(); runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("after a second it is not so that %s", what)
		}
	}
}

// refusal is an error body.
type refusal struct {
	StatusCode    int
	Code, Message string
}

func refusalOf(t *testing.T, body string) refusal {
	t.Helper()
	var r refusal
	if err := json.Unmarshal([]byte(body), &r); err != nil {
		t.Errorf("%q is no error body: %v", body, err)
	}
	return r
}

// reply is what came back to a request.
type reply struct {
	status int
	body   string
	err    error
}

// ask sends a request with the good key and gives what comes back.
func ask(t *testing.T, srv *httptest.Server, method, path string, body io.Reader) <-chan reply {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, srv.URL+path, body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer dtn_good")
	came := make(chan reply, 1)
	go func() {
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			came <- reply{err: err}
			return
		}
		defer res.Body.Close() // read whole
		data, err := io.ReadAll(res.Body)
		came <- reply{res.StatusCode, string(data), err}
	}()
	return came
}

// raw sends bytes on a connection of its own.
func raw(t *testing.T, srv *httptest.Server, text string) (net.Conn, *bufio.Reader) {
	t.Helper()
	conn, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	return conn, bufio.NewReader(conn)
}

// response reads one answer from a raw connection.
func response(from *bufio.Reader) <-chan reply {
	came := make(chan reply, 1)
	go func() {
		res, err := http.ReadResponse(from, nil)
		if err != nil {
			came <- reply{err: err}
			return
		}
		defer res.Body.Close() // read whole
		data, err := io.ReadAll(res.Body)
		came <- reply{res.StatusCode, string(data), err}
	}()
	return came
}

const killed = "its first process was ended by signal 9"

func end(f *fleet, p *proxy.Proxy) {
	f.set(func(f *fleet) { f.target.State, f.target.Reason, f.target.Addr = "stopped", killed, netip.Addr{} })
	p.Forget(id)
}

func TestOpenRequestsEndWithTheirSandbox(t *testing.T) {
	arrived := make(chan struct{}, 1)
	up := websocket.Upgrader{}
	toolbox := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/stream":
			_, _ = io.WriteString(w, "begun\n") // a lost line shows at the other end
			http.NewResponseController(w).Flush()
		case "/flood":
			arrived <- struct{}{}
			for r.Context().Err() == nil {
				_, _ = w.Write(make([]byte, 1<<20)) // until the other end takes no more
			}
			return
		case "/ws":
			conn, err := up.Upgrade(w, r, nil)
			if err != nil {
				return
			}
			defer conn.Close() // the other end decides
			_ = conn.WriteMessage(websocket.TextMessage, []byte("hello"))
			_, _, _ = conn.ReadMessage() // until the other end is gone
			return
		}
		arrived <- struct{}{}
		_, _ = io.Copy(io.Discard, r.Body) // a half-sent one never ends
		<-r.Context().Done()
	})
	isRefusal := func(t *testing.T, r reply) {
		t.Helper()
		if got := refusalOf(t, r.body); r.status != http.StatusConflict || got.Code != "SANDBOX_NOT_STARTED" || !strings.Contains(got.Message, "stopped: "+killed) {
			t.Errorf("answered %+v, want 409 SANDBOX_NOT_STARTED with state and reason", r)
		}
	}
	for name, open := range map[string]func(*testing.T, *httptest.Server) func(){
		"request": func(t *testing.T, srv *httptest.Server) func() {
			came := ask(t, srv, http.MethodPost, "/toolbox/"+id+"/execute", strings.NewReader("{}"))
			return func() { isRefusal(t, within(t, "the request", came)) }
		},
		"half-sent upload": func(t *testing.T, srv *httptest.Server) func() {
			_, from := raw(t, srv, "POST /toolbox/"+id+"/upload HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer dtn_good\r\nContent-Length: 100\r\n\r\nhalf")
			return func() { isRefusal(t, within(t, "the upload", response(from))) }
		},
		"upload that goes on": func(t *testing.T, srv *httptest.Server) func() {
			r, w := io.Pipe()
			t.Cleanup(func() { _ = r.Close() })
			go func() {
				for {
					if _, err := w.Write(make([]byte, 64<<10)); err != nil {
						return
					}
				}
			}()
			came := ask(t, srv, http.MethodPost, "/toolbox/"+id+"/upload", r)
			return func() { // the client may see its upload fail first
				if got := within(t, "the upload", came); got.err == nil {
					isRefusal(t, got)
				}
			}
		},
		"stream": func(t *testing.T, srv *httptest.Server) func() {
			_, from := raw(t, srv, "GET /toolbox/"+id+"/stream HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer dtn_good\r\n\r\n")
			res, err := http.ReadResponse(from, nil)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = res.Body.Close() })
			over := make(chan reply, 1)
			return func() {
				go func() {
					data, err := io.ReadAll(res.Body)
					over <- reply{res.StatusCode, string(data), err}
				}()
				if got := within(t, "the stream", over); got.body != "begun\n" || got.err == nil {
					t.Errorf("the stream ended with %+v, as if it were whole", got)
				}
			}
		},
		"stream that nobody reads": func(t *testing.T, srv *httptest.Server) func() {
			_, from := raw(t, srv, "GET /toolbox/"+id+"/flood HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer dtn_good\r\n\r\n")
			return func() {
				over := make(chan struct{})
				go func() { // all that was under way, and then the end
					_, _ = io.Copy(io.Discard, from)
					close(over)
				}()
				within(t, "the stream", over)
			}
		},
		"websocket": func(t *testing.T, srv *httptest.Server) func() {
			conn, _, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(srv.URL, "http")+"/toolbox/"+id+"/ws", http.Header{"Authorization": {"Bearer dtn_good"}})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = conn.Close() })
			if _, data, err := conn.ReadMessage(); err != nil || string(data) != "hello" {
				t.Fatalf("read %q, %v", data, err)
			}
			arrived <- struct{}{}
			return func() {
				came := make(chan error, 1)
				go func() {
					_, _, err := conn.ReadMessage()
					came <- err
				}()
				frame, ok := errors.AsType[*websocket.CloseError](within(t, "the websocket", came))
				if !ok || frame.Code != websocket.CloseGoingAway || !strings.Contains(frame.Text, "stopped: "+killed) {
					t.Errorf("the websocket was closed with %v", frame)
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			f, p, srv := world(t, toolbox)
			ended := open(t, srv)
			<-arrived
			end(f, p)
			ended()
			eventually(t, "no request is counted as open", func() (none bool) {
				f.set(func(f *fleet) { none = f.open == 0 })
				return none
			})
		})
	}
}

// A websocket's client that goes on sending, and does not answer the close frame, gets that frame and is cut off.
func TestBusyWebsocketIsClosedWithAReason(t *testing.T) {
	up := websocket.Upgrader{}
	f, p, srv := world(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := up.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer conn.Close() // the other end decides
		for {
			if _, _, err := conn.ReadMessage(); err != nil {
				return
			}
		}
	}))
	conn, _, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(srv.URL, "http")+"/toolbox/"+id+"/ws", http.Header{"Authorization": {"Bearer dtn_good"}})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close() // done with it
	conn.SetCloseHandler(func(int, string) error { return nil })
	cutOff := make(chan struct{})
	first := make(chan struct{})
	go func() {
		defer close(cutOff)
		for i := 0; ; i++ {
			if err := conn.WriteMessage(websocket.BinaryMessage, make([]byte, 1000)); err != nil {
				return
			}
			if i == 0 {
				close(first)
			}
		}
	}()
	<-first
	end(f, p)
	came := make(chan error, 1)
	go func() {
		_, _, err := conn.ReadMessage()
		came <- err
	}()
	if frame, ok := errors.AsType[*websocket.CloseError](within(t, "the close frame", came)); !ok || !strings.Contains(frame.Text, killed) {
		t.Errorf("closed with %v", frame)
	}
	within(t, "the connection", cutOff)
}

// In the middle of a message nothing of ours may be put: the client would take it for a part of that.
func TestNoCloseFrameWithinAMessage(t *testing.T) {
	f, p, srv := world(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, buf, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer conn.Close() // the other end decides
		_, _ = buf.WriteString("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n\x82\x7e\x01\x00half")
		_ = buf.Flush()
		_, _ = conn.Read(make([]byte, 1)) // until the other end is gone
	}))
	_, from := raw(t, srv, "GET /toolbox/"+id+"/ws HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer dtn_good\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
	if res, err := http.ReadResponse(from, nil); err != nil || res.StatusCode != http.StatusSwitchingProtocols {
		t.Fatal(res, err)
	}
	if _, err := io.ReadFull(from, make([]byte, 8)); err != nil {
		t.Fatal(err)
	}
	end(f, p)
	rest := make(chan string, 1)
	go func() {
		data, _ := io.ReadAll(from)
		rest <- string(data)
	}()
	if got := within(t, "the websocket", rest); got != "" {
		t.Errorf("%q was put into a message", got)
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
				conn, _, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(srv.URL, "http")+"/toolbox/"+id+"/ws", http.Header{"Authorization": {"Bearer dtn_good"}})
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

// Changes that are no end, and not knowing, leave open requests alone.
func TestChangesThatAreNoEndLeaveRequestsOpen(t *testing.T) {
	arrived, goOn := make(chan struct{}), make(chan struct{})
	f, p, srv := world(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		arrived <- struct{}{}
		<-goOn
		_, _ = io.WriteString(w, "whole") // a lost answer shows at the other end
	}))
	came := ask(t, srv, http.MethodPost, "/toolbox/"+id+"/execute", strings.NewReader("{}"))
	<-arrived
	looked := func(change func(*fleet)) {
		t.Helper()
		var before int
		f.set(func(f *fleet) {
			before = f.located
			change(f)
		})
		p.Forget(id)
		eventually(t, "the change was looked at", func() (looked bool) {
			f.set(func(f *fleet) { looked = f.located > before })
			return looked
		})
	}
	looked(func(f *fleet) { f.target.Public = true })
	looked(func(f *fleet) { f.target.Addr = netip.Addr{} })                     // the engine is away
	looked(func(f *fleet) { f.fail = errors.New("the database is not there") }) // not known is not ended
	close(goOn)
	if got := within(t, "the request", came); got.status != http.StatusOK || got.body != "whole" {
		t.Errorf("answered %+v", got)
	}
}

// While look-ups fail nothing is ended, and what has ended is when they work again.
func TestEndIsLearnedWhenLookUpsWorkAgain(t *testing.T) {
	arrived := make(chan struct{})
	f, p, srv := world(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(arrived)
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	}))
	came := ask(t, srv, http.MethodPost, "/toolbox/"+id+"/execute", strings.NewReader("{}"))
	<-arrived
	f.set(func(f *fleet) { f.fail = errors.New("the database is not there") })
	end(f, p)
	eventually(t, "a look-up has failed", func() (failed bool) {
		f.set(func(f *fleet) { failed = f.located > 1 })
		return failed
	})
	f.set(func(f *fleet) { f.fail = nil })
	select {
	case got := <-came:
		if got.status != http.StatusConflict {
			t.Errorf("answered %+v", got)
		}
	case <-time.After(5 * time.Second):
		t.Error("the request hangs")
	}
}

// A sandbox is stopped and started again, over and over, while requests come: those sent to a run that is over end, all others stay open.
func TestOnlyRequestsOfARunThatIsOverEnd(t *testing.T) {
	const runs, clients = 30, 8
	release := make(chan struct{})
	var arrived [runs + 1]atomic.Int64
	f, p, srv := world(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		run, _ := strconv.Atoi(r.Header.Get("X-Sandlot-Secret"))
		arrived[run].Add(1)
		if run < runs {
			<-r.Context().Done() // never answers
			return
		}
		<-release
		_, _ = fmt.Fprint(w, run)
	}))
	begin := func(run int) {
		f.set(func(f *fleet) { f.target.Since, f.target.Secret = time.Unix(int64(run), 0), strconv.Itoa(run) })
		p.Forget(id)
	}
	begin(0)
	var whole, over atomic.Int64
	var last sync.WaitGroup
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	send := func() int {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, srv.URL+"/toolbox/"+id+"/execute", nil)
		if err != nil {
			t.Error(err)
			return 0
		}
		req.Header.Set("Authorization", "Bearer dtn_good")
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Error(err)
			return 0
		}
		defer res.Body.Close() // read whole
		body, err := io.ReadAll(res.Body)
		switch {
		case res.StatusCode == http.StatusOK && string(body) == strconv.Itoa(runs):
			whole.Add(1)
		case res.StatusCode == http.StatusConflict && strings.Contains(string(body), "started again"):
			over.Add(1)
		default:
			t.Errorf("answered %d %s, %v", res.StatusCode, body, err)
		}
		return res.StatusCode
	}
	for range clients {
		last.Go(func() {
			for send() == http.StatusConflict && ctx.Err() == nil { // one client has one request open
			}
		})
	}
	for run := 1; run <= runs; run++ {
		begin(run)
		if run == runs || run%3 != 0 { // now and then two at once
			eventually(t, "all have gone to the new run", func() bool { return arrived[run].Load() == clients })
		}
	}
	close(release)
	done := make(chan struct{})
	go func() {
		last.Wait()
		close(done)
	}()
	within(t, "the last run's requests", done)
	if whole.Load() != clients {
		t.Errorf("%d requests of the last run were answered, want %d; %d ended before", whole.Load(), clients, over.Load())
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
		if r := refusalOf(t, got.body); got.status != http.StatusBadGateway || strings.Contains(r.Message, "127.") || !strings.Contains(r.Message, "timeout") {
			t.Errorf("answered %+v", got)
		}
		t.Logf("given up after %v", time.Since(began))
	case <-time.After(10 * time.Second):
		t.Error("dialling takes more than 10 s")
	}
}

// deafPort returns an address at whose port 2280 the kernel drops what would open a connection: the queue of those not accepted is full.
func deafPort(t *testing.T) netip.Addr {
	t.Helper()
	addr := address()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Close(fd) })
	if err := errors.Join(syscall.Bind(fd, &syscall.SockaddrInet4{Port: 2280, Addr: addr.As4()}), syscall.Listen(fd, 0)); err != nil {
		t.Fatal(err)
	}
	for range 10 {
		conn, err := net.DialTimeout("tcp", netip.AddrPortFrom(addr, 2280).String(), 100*time.Millisecond)
		if err != nil {
			return addr
		}
		t.Cleanup(func() { _ = conn.Close() })
	}
	t.Fatal("the port takes every connection")
	return addr
}

// Who is refused is told so without the rest of its body, which is not taken for another request later.
func TestRefusalsDoNotWaitForTheBody(t *testing.T) {
	f, p, srv := world(t, echo)
	end(f, p)
	for _, head := range []string{
		"POST /toolbox/none/execute HTTP/1.1\r\nHost: x\r\n",
		"POST /toolbox/" + id + "/execute HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer dtn_good\r\n",
		"POST /health HTTP/1.1\r\nHost: x\r\n",
		"POST /elsewhere HTTP/1.1\r\nHost: x\r\n",
		"OPTIONS /toolbox/none/execute HTTP/1.1\r\nHost: x\r\nOrigin: https://a.test\r\nAccess-Control-Request-Method: GET\r\n",
	} {
		t.Run(head, func(t *testing.T) {
			t.Parallel()
			conn, from := raw(t, srv, head+"Content-Length: 100\r\n\r\nha")
			if got := within(t, "the answer", response(from)); got.err != nil {
				t.Error(got.err)
			}
			over := make(chan string, 1)
			go func() {
				rest, _ := io.ReadAll(from)
				over <- string(rest)
			}()
			select {
			case <-over:
			case <-time.After(3 * time.Second):
				t.Error("the connection stays open for the rest of the body")
			}
			_, _ = io.WriteString(conn, "GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
			if rest, _ := io.ReadAll(from); len(rest) > 0 {
				t.Errorf("the rest of a body was answered: %q", rest)
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
