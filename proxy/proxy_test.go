package proxy_test

import (
	"bufio"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/sandlot-dev/sandlot/api"
	"github.com/sandlot-dev/sandlot/internal/auth"
	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/proxy"
)

const (
	id     = "5a0c3a52-6c0e-4d43-9a35-0c6f3c7f7a10"
	domain = "preview.test"
)

// fleet is a Locator of one sandbox.
type fleet struct {
	mu             sync.Mutex
	target         proxy.Target
	key            string // that is let in
	othersKey      string // good, but of another organisation
	fail           error  // of look-ups
	located, asked int
	open, mostOpen int
	touched        int
	links          map[string]proxy.Link
	linked         int
}

func (f *fleet) Locate(_ context.Context, ref string) (proxy.Target, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.located++
	if f.fail != nil {
		return proxy.Target{}, f.fail
	}
	if ref != f.target.ID {
		return proxy.Target{}, fault.Newf(fault.NotFound, "sandbox %q not found", ref)
	}
	return f.target, nil
}

func (f *fleet) Admit(_ context.Context, key, ref string) (time.Time, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked++
	switch {
	case key == f.othersKey && key != "", key == f.key && ref != f.target.ID:
		return time.Time{}, fault.Newf(fault.NotFound, "sandbox %q not found", ref)
	case key != f.key:
		return time.Time{}, fault.New(fault.Unauthenticated, "unknown key")
	}
	return time.Time{}, nil
}

func (f *fleet) Link(_ context.Context, token string) (proxy.Link, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.linked++
	l, ok := f.links[token]
	if !ok {
		return proxy.Link{}, fault.New(fault.NotFound, "no such link")
	}
	return l, nil
}

func (f *fleet) Touch(_ string, opened int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.touched++
	f.open += opened
	f.mostOpen = max(f.mostOpen, f.open)
}

func (f *fleet) set(change func(*fleet)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(f)
}

var lastAddr atomic.Uint32

// address returns a loopback address that no other test uses, of another process neither.
func address() netip.Addr {
	pid := os.Getpid()
	return netip.AddrFrom4([4]byte{127, 64 + byte(pid>>8)&127, byte(pid), 1 + byte(lastAddr.Add(1)%250)})
}

// world starts a proxy in front of a sandbox whose toolbox is handler, at a loopback address of its own.
func world(t testing.TB, handler http.Handler) (*fleet, *proxy.Proxy, *httptest.Server) {
	t.Helper()
	return worldOf(t, handler, slog.DiscardHandler)
}

func worldOf(t testing.TB, handler http.Handler, log slog.Handler) (*fleet, *proxy.Proxy, *httptest.Server) {
	t.Helper()
	addr := address()
	listen(t, netip.AddrPortFrom(addr, 2280), handler)
	f := &fleet{key: "dtn_good", target: proxy.Target{ID: id, State: "started", Addr: addr, Secret: "s3cret", PreviewToken: "tok"}}
	p, err := proxy.New(proxy.Config{Locator: f, Domain: domain, Key: "key-from-the-settings", Paths: true, Logger: slog.New(log)})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(p)
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	var running sync.WaitGroup
	running.Go(func() {
		if err := p.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		srv.Close()
		stop()
		running.Wait()
	})
	return f, p, srv
}

func listen(t testing.TB, at netip.AddrPort, handler http.Handler) {
	t.Helper()
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", at.String())
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewUnstartedServer(handler)
	_ = srv.Listener.Close() // its own is not needed
	srv.Listener = ln
	srv.Start()
	t.Cleanup(srv.Close)
}

type call struct {
	method, host, path, body string
	header                   map[string]string
	lines                    []string // of Authorization
}

// tok is the token of a port.
func tok(port int) string { return auth.PortToken("tok", api.PreviewPort(port)) }

func send(t *testing.T, srv *httptest.Server, c call) (*http.Response, string) {
	t.Helper()
	if c.method == "" {
		c.method = http.MethodGet
	}
	req, err := http.NewRequestWithContext(t.Context(), c.method, srv.URL+c.path, strings.NewReader(c.body))
	if err != nil {
		t.Fatal(err)
	}
	if c.host != "" {
		req.Host = c.host
	}
	for k, v := range c.header {
		req.Header.Set(k, v)
	}
	if c.lines != nil {
		req.Header["Authorization"] = c.lines
	}
	res, err := srv.Client().Transport.RoundTrip(req) // redirects are answers
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close() // read whole
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(body)
}

// echo answers what it was asked, as JSON.
var echo = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body) // a short body shows in the answer
	_ = json.NewEncoder(w).Encode(map[string]any{
		"method": r.Method, "uri": r.RequestURI, "host": r.Host, "header": r.Header, "body": string(body),
	})
})

type echoed struct {
	Method, URI, Host, Body string
	Header                  http.Header
}

func decode(t *testing.T, body string) echoed {
	t.Helper()
	var e echoed
	if err := json.Unmarshal([]byte(body), &e); err != nil {
		t.Fatalf("%v in %q", err, body)
	}
	return e
}

func TestToolboxPathIsForwardedWholeWithoutTheCallersCredentials(t *testing.T) {
	_, _, srv := world(t, echo)
	res, body := send(t, srv, call{
		method: http.MethodPost, path: "/toolbox/" + id + "/process/session/a%2Fb%20c/exec?x=1&DAYTONA_SANDBOX_AUTH_KEY=" + tok(2280) + "&y=%zz;&z", body: "payload",
		header: map[string]string{
			"Authorization": "Bearer dtn_good", "X-Daytona-Preview-Token": tok(2280), "Cookie": "sandlot-preview=zz; own=1",
			"X-Sandlot-Secret": "forged", "X-Daytona-SDK-Version": "0.1", "X-Forwarded-For": "6.6.6.6",
		},
	})
	got := decode(t, body)
	if res.StatusCode != http.StatusOK || got.Method != http.MethodPost || got.Body != "payload" ||
		got.URI != "/process/session/a%2Fb%20c/exec?x=1&y=%zz;&z" {
		t.Errorf("forwarded %d %+v", res.StatusCode, got)
	}
	for name, want := range map[string]string{
		"Authorization": "", "X-Daytona-Preview-Token": "", "Cookie": "own=1", "X-Sandlot-Secret": "s3cret",
		"X-Daytona-Sdk-Version": "0.1", "X-Forwarded-For": "127.0.0.1",
	} {
		if got := got.Header.Get(name); got != want {
			t.Errorf("header %s = %q, want %q", name, got, want)
		}
	}
}

func TestWhoIsLetIn(t *testing.T) {
	f, _, srv := world(t, echo)
	listen(t, netip.AddrPortFrom(f.target.Addr, 3000), echo)
	preview := func(port string) string { return port + "-" + id + "." + domain }
	bearer := map[string]string{"Authorization": "Bearer dtn_good"}
	for _, tc := range []struct {
		name   string
		public bool
		call   call
		want   int
	}{
		{"no credential", false, call{path: "/toolbox/" + id + "/version"}, 401},
		{"API key", false, call{path: "/toolbox/" + id + "/version", header: bearer}, 200},
		{"another key", false, call{path: "/toolbox/" + id + "/version", header: map[string]string{"Authorization": "Bearer dtn_bad"}}, 401},
		{"token in header", false, call{path: "/toolbox/" + id + "/version", header: map[string]string{"X-Daytona-Preview-Token": tok(2280)}}, 200},
		{"token in query", false, call{path: "/toolbox/" + id + "/version?DAYTONA_SANDBOX_AUTH_KEY=" + tok(2280)}, 200},
		{"token as bearer", false, call{path: "/toolbox/" + id + "/version", header: map[string]string{"Authorization": "bearer " + tok(2280)}}, 200},
		{"token of port 1", false, call{path: "/toolbox/" + id + "/version?DAYTONA_SANDBOX_AUTH_KEY=" + tok(1)}, 200},
		{"what tokens come from", false, call{path: "/toolbox/" + id + "/version?DAYTONA_SANDBOX_AUTH_KEY=tok"}, 401},
		{"token of a port at the toolbox", false, call{path: "/toolbox/" + id + "/version?DAYTONA_SANDBOX_AUTH_KEY=" + tok(3000)}, 401},
		{"token of a port at the terminal", true, call{host: preview("22222"), path: "/?DAYTONA_SANDBOX_AUTH_KEY=" + tok(3000)}, 401},
		{"token of a port at another", false, call{host: preview("3001"), path: "/?DAYTONA_SANDBOX_AUTH_KEY=" + tok(3000)}, 401},
		{"token of the toolbox at a port", false, call{host: preview("3000"), path: "/?DAYTONA_SANDBOX_AUTH_KEY=" + tok(2280)}, 401},
		{"API key in an address", false, call{host: preview("3000"), path: "/?DAYTONA_SANDBOX_AUTH_KEY=dtn_good"}, 401},
		{"second line of Authorization", false, call{path: "/toolbox/" + id + "/version", lines: []string{"Basic eDp5", "Bearer dtn_good"}}, 200},
		{"wrong token", false, call{path: "/toolbox/" + id + "/version?DAYTONA_SANDBOX_AUTH_KEY=tox" + tok(2280)}, 401},
		{"unknown sandbox", false, call{path: "/toolbox/none/version", header: bearer}, 404},
		{"unknown sandbox and no credential", false, call{path: "/toolbox/none/version"}, 401},
		{"claim is the runner's", false, call{method: "POST", path: "/toolbox/" + id + "/init", header: bearer}, 404},
		{"claim on the preview host", false, call{method: "POST", host: preview("2280"), path: "/init", header: bearer}, 404},
		{"public sandbox's toolbox", true, call{path: "/toolbox/" + id + "/version"}, 401},
		{"private port", false, call{host: preview("3000"), path: "/"}, 401},
		{"private port with token", false, call{host: preview("3000"), path: "/?DAYTONA_SANDBOX_AUTH_KEY=" + tok(3000)}, 200},
		{"public port", true, call{host: preview("3000"), path: "/"}, 200},
		{"reserved port of a public sandbox", true, call{host: preview("2280"), path: "/version"}, 401},
		{"desktop of a public sandbox", true, call{host: preview("6080"), path: "/"}, 401},
		{"reserved port, second spelling", true, call{host: preview("02280"), path: "/version"}, 404},
		{"reserved port with sign", true, call{host: preview("+2280"), path: "/version"}, 404},
		{"port too large", true, call{host: preview("67816"), path: "/version"}, 404},
		{"port zero", true, call{host: preview("0"), path: "/"}, 404},
		{"unicode digits", true, call{host: "٢٢٨٠-" + id + "." + domain, path: "/version"}, 404},
		{"no port", true, call{host: id + "." + domain, path: "/"}, 404},
		{"another domain", true, call{host: "3000-" + id + ".elsewhere.test", path: "/"}, 404},
		{"closed port", true, call{host: preview("3999"), path: "/"}, 502},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f.set(func(f *fleet) { f.target.Public = tc.public })
			p, _ := srv.Config.Handler.(*proxy.Proxy)
			p.Forget(id)
			res, body := send(t, srv, tc.call)
			if res.StatusCode != tc.want {
				t.Fatalf("status %d (%s), want %d", res.StatusCode, body, tc.want)
			}
			if tc.want >= 401 {
				var e struct {
					StatusCode            int
					Message, Code, Source string
				}
				if err := json.Unmarshal([]byte(body), &e); err != nil || e.StatusCode != tc.want || e.Message == "" || e.Code == "" || e.Source != "DAYTONA_PROXY" {
					t.Errorf("error body %s: %v", body, err)
				}
			}
		})
	}
}

func TestLookUpsAreKeptUntilAChange(t *testing.T) {
	f, p, srv := world(t, echo)
	get := func() int {
		res, _ := send(t, srv, call{path: "/toolbox/" + id + "/version", header: map[string]string{"Authorization": "Bearer dtn_good"}})
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

func TestTokenIsGoneWithTheNextChange(t *testing.T) {
	f, p, srv := world(t, echo)
	c := call{path: "/toolbox/" + id + "/version", header: map[string]string{"X-Daytona-Preview-Token": tok(2280)}}
	if res, _ := send(t, srv, c); res.StatusCode != http.StatusOK {
		t.Fatalf("status %d", res.StatusCode)
	}
	f.set(func(f *fleet) { f.target.PreviewToken = "new" })
	p.Forget(id)
	if res, _ := send(t, srv, c); res.StatusCode != http.StatusUnauthorized {
		t.Errorf("the old token answers %d, want 401", res.StatusCode)
	}
}

func TestBrowserGetsACookieForThisPortAlone(t *testing.T) {
	f, _, srv := world(t, echo)
	listen(t, netip.AddrPortFrom(f.target.Addr, 3000), echo)
	listen(t, netip.AddrPortFrom(f.target.Addr, 3001), echo)
	res, body := send(t, srv, call{host: "3000-" + id + "." + domain, path: "/?DAYTONA_SANDBOX_AUTH_KEY=" + tok(3000) + "&a=1"})
	cookies := res.Cookies()
	if res.StatusCode != http.StatusOK || len(cookies) != 1 || !cookies[0].HttpOnly || cookies[0].Domain != "" || strings.Contains(cookies[0].Value, tok(3000)) {
		t.Fatalf("status %d, cookies %v", res.StatusCode, cookies)
	}
	if got := decode(t, body); got.URI != "/?a=1" {
		t.Errorf("the app saw %q", got.URI)
	}
	for port, want := range map[string]int{"3000": 200, "3001": 401, "2280": 401, "22222": 401} {
		res, _ := send(t, srv, call{host: port + "-" + id + "." + domain, path: "/", header: map[string]string{"Cookie": cookies[0].Name + "=" + cookies[0].Value}})
		if res.StatusCode != want {
			t.Errorf("the cookie of port 3000 at port %s: %d, want %d", port, res.StatusCode, want)
		}
	}
}

func TestAppNeverSeesTheSecret(t *testing.T) {
	f, _, srv := world(t, echo)
	listen(t, netip.AddrPortFrom(f.target.Addr, 3000), echo)
	_, body := send(t, srv, call{
		host: "3000-" + id + "." + domain, path: "/?DAYTONA_SANDBOX_AUTH_KEY=" + tok(3000),
		header: map[string]string{"Authorization": "Bearer dtn_good", "X-Sandlot-Secret": "guess"},
	})
	for _, secret := range []string{"s3cret", "dtn_good", tok(3000), "guess"} {
		if strings.Contains(body, secret) {
			t.Errorf("the app saw %q in %s", secret, body)
		}
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

func TestWebsocketPasses(t *testing.T) {
	up := websocket.Upgrader{Subprotocols: []string{"one", "two"}}
	_, _, srv := world(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := up.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer conn.Close() // the other end decides
		for {
			kind, data, err := conn.ReadMessage()
			if err != nil {
				return
			}
			if err := conn.WriteMessage(kind, data); err != nil {
				return
			}
		}
	}))
	dialer := websocket.Dialer{Subprotocols: []string{"two"}}
	url := "ws" + strings.TrimPrefix(srv.URL, "http") + "/toolbox/" + id + "/ws?DAYTONA_SANDBOX_AUTH_KEY=" + tok(2280)
	conn, res, err := dialer.DialContext(t.Context(), url, nil)
	if err != nil {
		t.Fatalf("%v (%v)", err, res)
	}
	defer conn.Close() // done with it
	if conn.Subprotocol() != "two" {
		t.Errorf("subprotocol %q, want two", conn.Subprotocol())
	}
	for _, want := range []string{"hello", strings.Repeat("x", 1<<20), ""} {
		if err := conn.WriteMessage(websocket.BinaryMessage, []byte(want)); err != nil {
			t.Fatal(err)
		}
		if _, got, err := conn.ReadMessage(); err != nil || string(got) != want {
			t.Fatalf("echo of %d bytes: %d bytes, %v", len(want), len(got), err)
		}
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
		method: http.MethodPost, path: "/toolbox/" + id + "/process/execute", body: "{}", header: map[string]string{"Authorization": "Bearer dtn_good"},
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

func TestSignedFileAddresses(t *testing.T) {
	f, p, srv := world(t, echo)
	f.set(func(f *fleet) { f.target.SigningKey = "sk_a" })
	sign := func(key, method, path, expires string) string {
		mac := hmac.New(sha256.New, []byte(key))
		_, _ = mac.Write([]byte("v1:files:" + method + ":" + path + ":" + expires)) // a hash never fails to write
		return "v1_" + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
	}
	later, earlier := fmt.Sprint(time.Now().Add(time.Hour).Unix()), fmt.Sprint(time.Now().Add(-time.Hour).Unix())
	for _, tc := range []struct {
		name, method, route, path, expires, signature string
		want                                          int
	}{
		{"download", "GET", "/files/download", "/a b/ü", later, sign("sk_a", "GET", "/a b/ü", later), 200},
		{"headers of a download", "HEAD", "/files/download", "/a", later, sign("sk_a", "GET", "/a", later), 200},
		{"never ends", "GET", "/files/download", "/a", "0", sign("sk_a", "GET", "/a", "0"), 200},
		{"upload", "POST", "/files/upload-v2", "/a", later, sign("sk_a", "POST", "/a", later), 200},
		{"ended", "GET", "/files/download", "/a", earlier, sign("sk_a", "GET", "/a", earlier), 401},
		{"another path", "GET", "/files/download", "/b", later, sign("sk_a", "GET", "/a", later), 401},
		{"another end", "GET", "/files/download", "/a", "0", sign("sk_a", "GET", "/a", later), 401},
		{"download signature for an upload", "POST", "/files/upload-v2", "/a", later, sign("sk_a", "GET", "/a", later), 401},
		{"another key", "GET", "/files/download", "/a", later, sign("sk_b", "GET", "/a", later), 401},
		{"no other operation", "GET", "/files", "/a", later, sign("sk_a", "GET", "/a", later), 401},
		{"no signature", "GET", "/files/download", "/a", later, "", 401},
	} {
		t.Run(tc.name, func(t *testing.T) {
			q := url.Values{"path": {tc.path}, "expires": {tc.expires}, "signature": {tc.signature}}
			res, body := send(t, srv, call{method: tc.method, path: "/toolbox/" + id + tc.route + "?" + q.Encode()})
			if res.StatusCode != tc.want {
				t.Errorf("status %d (%s), want %d", res.StatusCode, body, tc.want)
			}
		})
	}
	twice := "/toolbox/" + id + "/files/download?path=/etc/shadow&path=/a&expires=0&signature=" + sign("sk_a", "GET", "/etc/shadow", "0")
	if res, _ := send(t, srv, call{path: twice}); res.StatusCode != http.StatusUnauthorized {
		t.Errorf("two paths: %d, want 401", res.StatusCode)
	}
	f.set(func(f *fleet) { f.target.SigningKey = "sk_new" })
	p.Forget(id)
	q := url.Values{"path": {"/a"}, "expires": {later}, "signature": {sign("sk_a", "GET", "/a", later)}}
	if res, _ := send(t, srv, call{path: "/toolbox/" + id + "/files/download?" + q.Encode()}); res.StatusCode != http.StatusUnauthorized {
		t.Errorf("after rotation: %d, want 401", res.StatusCode)
	}
}

func TestPagesOfAnyOriginMayCallToolboxes(t *testing.T) {
	_, _, srv := world(t, echo)
	res, _ := send(t, srv, call{method: http.MethodOptions, path: "/toolbox/" + id + "/files", header: map[string]string{
		"Origin": "https://app.test", "Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "authorization,x-a",
	}})
	if res.StatusCode != http.StatusNoContent || res.Header.Get("Access-Control-Allow-Origin") != "https://app.test" ||
		res.Header.Get("Access-Control-Allow-Headers") != "authorization,x-a" || res.Header.Get("Access-Control-Allow-Credentials") != "" {
		t.Errorf("preflight: %d %v", res.StatusCode, res.Header)
	}
}

func FuzzHosts(f *testing.F) {
	for _, host := range []string{"3000-" + id, "02280-x", "+1-x", "-", "1-", "65536-a", "1-a-b"} {
		f.Add(host)
	}
	where := &fleet{key: "k", target: proxy.Target{ID: id, Public: true, State: "stopped"}}
	p, err := proxy.New(proxy.Config{Locator: where, Domain: domain, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, label string) {
		r := httptest.NewRequest(http.MethodGet, "/version", nil)
		r.Host = label + "." + domain
		w := httptest.NewRecorder()
		p.ServeHTTP(w, r)
		port, rest, _ := strings.Cut(strings.ToLower(label), "-")
		if w.Code == http.StatusConflict && (rest != id || strings.HasPrefix(port, "0") || strings.ContainsAny(port, "+ ") || port == "2280" || port == "22222") {
			t.Errorf("host %q reached the sandbox without a credential", label)
		}
	})
}

// A POST whose long answer begins before its body's end was seen is whole: the server must not close the body under the transport.
func TestLongAnswersToPostsAreWhole(t *testing.T) {
	const size = 1 << 20
	_, _, srv := world(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.CopyN(io.Discard, r.Body, 2) // not to its end
		w.WriteHeader(http.StatusOK)
		_, _ = w.Write(make([]byte, size)) // a short answer shows at the other end
	}))
	for i := range 500 {
		_, body := send(t, srv, call{
			method: http.MethodPost, path: "/toolbox/" + id + "/files/bulk-download", body: "{}", header: map[string]string{"Authorization": "Bearer dtn_good"},
		})
		if len(body) != size {
			t.Fatalf("answer %d has %d bytes, want %d", i, len(body), size)
		}
	}
}
