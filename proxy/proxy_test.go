package proxy_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

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
	f := &fleet{key: "dtn_good", target: proxy.Target{
		ID: id, State: "started", Addr: addr, Secret: "s3cret",
		PreviewToken: "tok",
	}}
	p, err := proxy.New(proxy.Config{
		Locator: f, Domain: domain, Key: "key-from-the-settings", Paths: true,
		Logger: slog.New(log),
	})
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
		if w.Code == http.StatusConflict && (rest != id || strings.HasPrefix(port, "0") ||
			strings.ContainsAny(port, "+ ") || port == "2280" || port == "22222") {
			t.Errorf("host %q reached the sandbox without a credential", label)
		}
	})
}

// A name that is far too long, or an odd path, comes back cut.
func TestOwnWordsComeBackCut(t *testing.T) {
	p, err := proxy.New(proxy.Config{Locator: &fleet{key: "k"}, Domain: domain, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range []*http.Request{
		httptest.NewRequest(http.MethodGet, "/toolbox/"+strings.Repeat("é", 20_000)+"/version", nil),
		httptest.NewRequest(http.MethodGet, "/"+strings.Repeat("é", 20_000), nil),
	} {
		r.Header.Set("Authorization", "Bearer k")
		w := httptest.NewRecorder()
		p.ServeHTTP(w, r)
		if got := refusalOf(t, w.Body.String()); w.Code != http.StatusNotFound || len(got.Message) > 400 ||
			!strings.Contains(got.Message, "…") {
			t.Errorf("answered %d, %d bytes: %.300s", w.Code, len(got.Message), got.Message)
		}
	}
}

// A POST whose long answer begins before its body's end was seen is whole: the server must not close the body under
// the transport.
func TestLongAnswersToPostsAreWhole(t *testing.T) {
	const size = 1 << 20
	_, _, srv := world(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.CopyN(io.Discard, r.Body, 2) // not to its end
		w.WriteHeader(http.StatusOK)
		_, _ = w.Write(make([]byte, size)) // a short answer shows at the other end
	}))
	for i := range 500 {
		_, body := send(t, srv, call{
			method: http.MethodPost, path: "/toolbox/" + id + "/files/bulk-download", body: "{}",
			header: map[string]string{"Authorization": "Bearer dtn_good"},
		})
		if len(body) != size {
			t.Fatalf("answer %d has %d bytes, want %d", i, len(body), size)
		}
	}
}
