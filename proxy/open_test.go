package proxy_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/sandlot-dev/sandlot/internal/lifecycle"
	"github.com/sandlot-dev/sandlot/proxy"
)

var update = flag.Bool("update", false, "write testdata anew")

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

// deafPort returns an address at whose port 2280 the kernel drops what would open a connection: the queue of those
// not accepted is full.
func deafPort(t *testing.T) netip.Addr {
	t.Helper()
	addr := address()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Close(fd) })
	if err := errors.Join(syscall.Bind(fd, &syscall.SockaddrInet4{Port: 2280, Addr: addr.As4()}),
		syscall.Listen(fd, 0)); err != nil {
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

// Each state has a sentence and an advice of its own, for who asks in it and for whose request it cuts off.
func TestEachStateHasItsOwnSentence(t *testing.T) {
	arrived := make(chan struct{}, 1)
	var told strings.Builder
	advice := map[string]string{}
	for _, state := range append(lifecycle.States, "archived", "restoring") {
		f, p, srv := world(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			arrived <- struct{}{}
			<-r.Context().Done()
		}))
		path := "/toolbox/" + id + "/execute"
		came := ask(t, srv, http.MethodPost, path, nil)
		<-arrived
		f.set(func(f *fleet) {
			f.target.State, f.target.Reason, f.target.Addr, f.target.Since = string(state), "", netip.Addr{}, time.Unix(1, 0)
			if state == lifecycle.Stopped || state == lifecycle.Error {
				f.target.Reason = killed
			}
		})
		p.Forget(id)
		cut := refusalOf(t, within(t, "the request in "+string(state), came).body)
		asked := refusalOf(t, within(t, "another", ask(t, srv, http.MethodPost, path, nil)).body)
		_, _ = fmt.Fprintf(&told, "%s\n  cut off: %s\n  asked:   %s\n", state, cut.Message, asked.Message)
		for _, message := range []string{cut.Message, asked.Message} {
			if strings.Contains(message, "EOF") || !strings.Contains(message, "; ") {
				t.Errorf("%s: %q", state, message)
			}
		}
		if other := advice[asked.Message]; other != "" {
			t.Errorf("%s and %s are answered alike: %s", state, other, asked.Message)
		}
		advice[asked.Message] = string(state)
	}
	const golden = "testdata/states.txt"
	if *update {
		if err := os.WriteFile(golden, []byte(told.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil || told.String() != string(want) {
		t.Errorf("%v; the states are told as\n%s\nwant\n%s", err, told.String(), want)
	}
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
		if got := refusalOf(t, r.body); r.status != http.StatusConflict || got.Code != "SANDBOX_NOT_STARTED" ||
			!strings.Contains(got.Message, "stopped: "+killed) {
			t.Errorf("answered %+v, want 409 SANDBOX_NOT_STARTED with state and reason", r)
		}
	}
	for name, open := range map[string]func(*testing.T, *httptest.Server) func(){
		"request": func(t *testing.T, srv *httptest.Server) func() {
			came := ask(t, srv, http.MethodPost, "/toolbox/"+id+"/execute", strings.NewReader("{}"))
			return func() { isRefusal(t, within(t, "the request", came)) }
		},
		"half-sent upload": func(t *testing.T, srv *httptest.Server) func() {
			_, from := raw(t, srv, "POST /toolbox/"+id+"/upload HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "+
				"dtn_good\r\nContent-Length: 100\r\n\r\nhalf")
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
			conn, _, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(srv.URL, "http")+"/toolbox/"+id+"/ws",
				http.Header{"Authorization": {"Bearer dtn_good"}})
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

// A sandbox is stopped and started again, over and over, while requests come: those sent to a run that is over end,
// all others stay open.
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

// Who is refused is told so without the rest of its body, which is not taken for another request later.
func TestRefusalsDoNotWaitForTheBody(t *testing.T) {
	f, p, srv := world(t, echo)
	end(f, p)
	for _, head := range []string{
		"POST /toolbox/none/execute HTTP/1.1\r\nHost: x\r\n",
		"POST /toolbox/" + id + "/execute HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer dtn_good\r\n",
		"POST /health HTTP/1.1\r\nHost: x\r\n",
		"POST /elsewhere HTTP/1.1\r\nHost: x\r\n",
		"OPTIONS /toolbox/none/execute HTTP/1.1\r\nHost: x\r\nOrigin: https://a.test\r\nAccess-Control-Request-Method: " +
			"GET\r\n",
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

func TestLookUpsAreKeptUntilAChange(t *testing.T) {
	f, p, srv := world(t, echo)
	get := func() int {
		res, _ := send(t, srv, call{
			path:   "/toolbox/" + id + "/version",
			header: map[string]string{"Authorization": "Bearer dtn_good"},
		})
		return res.StatusCode
	}
	for range 20 {
		if got := get(); got != http.StatusOK {
			t.Fatalf("status %d", got)
		}
	}
	if f.located != 1 || f.asked != 1 {
		t.Errorf("20 requests made %d look-ups and %d checks, want 1 of each", f.located, f.asked)
	}
	f.set(func(f *fleet) { f.key = "dtn_other" })
	p.Forget(id)
	if got := get(); got != http.StatusUnauthorized {
		t.Errorf("after the key was withdrawn: %d, want 401", got)
	}
	f.set(func(f *fleet) { f.key, f.target.State, f.target.Addr = "dtn_good", "stopped", netip.Addr{} })
	p.Forget("")
	if got := get(); got != http.StatusConflict {
		t.Errorf("stopped sandbox: %d, want 409", got)
	}
}

// What a link let in ends with it.
func TestOpenRequestsEndWithTheirLink(t *testing.T) {
	f, p, ways := doors(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := (&websocket.Upgrader{}).Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer conn.Close()          // the other end decides
		_, _, _ = conn.NextReader() // until it is closed
	}))
	for name, end := range map[string]func(){
		"revoked": func() {
			f.set(func(f *fleet) { f.links = nil })
			p.Forget(id)
		},
		"over": func() {},
	} {
		for _, w := range ways {
			until := time.Now().Add(time.Hour)
			if name == "over" {
				until = time.Now().Add(300 * time.Millisecond)
			}
			f.set(func(f *fleet) {
				f.target.Public = false
				f.links = map[string]proxy.Link{link: {Sandbox: id, Port: 8702, Until: until}}
			})
			p.Forget(id)
			dialer := websocket.Dialer{NetDialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return (&net.Dialer{}).DialContext(ctx, "tcp", w.srv)
			}}
			conn, _, err := dialer.DialContext(t.Context(), "ws://"+w.host+w.prefix+"/?DAYTONA_SANDBOX_AUTH_KEY="+link, nil)
			if err != nil {
				t.Fatalf("%s, %s: %v", name, w.name, err)
			}
			end()
			_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
			if _, _, err := conn.ReadMessage(); !websocket.IsCloseError(err, websocket.CloseGoingAway) {
				t.Errorf("%s, %s: %v", name, w.name, err)
			}
			_ = conn.Close()
		}
	}
}
