package proxy_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

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

// An app can say what it wants: neither the log nor who asks gets more of it than an error needs, and the proxy goes on.
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
		{"interim answers", strings.Repeat("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", 3) + "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200},
		{"another protocol that nobody asked for", "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: " + long[:60_000] + "\r\n\r\n", 502},
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
				if tc.want == 200 && strings.HasPrefix(c.path, "/toolbox") && res.Header.Get("Access-Control-Allow-Origin") != "https://a.test" {
					t.Errorf("our own header is lost: %v", res.Header)
				}
			}
			check(call{host: "3000-" + id + "." + domain, path: "/"})
			f.set(func(f *fleet) { f.target.Addr = toolbox })
			p.Forget(id)
			check(call{path: "/toolbox/" + id + "/version", header: map[string]string{"Authorization": "Bearer dtn_good", "Origin": "https://a.test"}})
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
			if res, body := send(t, srv, c); res.StatusCode != http.StatusBadGateway || strings.Contains(body, "127.") || strings.Contains(body, "->") {
				t.Errorf("answered %d %s", res.StatusCode, body)
			}
		}
	}
}

// What an end of a sandbox was due to is for those who may use it.
func TestStrangersAreToldNoReasons(t *testing.T) {
	f, p, srv := world(t, echo)
	f.set(func(f *fleet) { f.target.Public = true })
	end(f, p)
	host := "3000-" + id + "." + domain
	if res, body := send(t, srv, call{host: host, path: "/"}); res.StatusCode != http.StatusConflict || strings.Contains(body, killed) || !strings.Contains(body, "is stopped") {
		t.Errorf("a stranger: %d %s", res.StatusCode, body)
	}
	if res, body := send(t, srv, call{path: "/toolbox/" + id + "/version", header: map[string]string{"X-Daytona-Preview-Token": tok(2280)}}); res.StatusCode != http.StatusConflict || !strings.Contains(body, killed) {
		t.Errorf("who has the token: %d %s", res.StatusCode, body)
	}
}

// Who has no credential for a sandbox is not told whether there is one.
func TestUnknownAndForeignSandboxesAreAnsweredAlike(t *testing.T) {
	f, _, srv := world(t, echo)
	f.set(func(f *fleet) { f.othersKey = "dtn_others" })
	const unknown = "00000000-1111-2222-3333-444444444444"
	for name, c := range map[string]struct {
		header map[string]string
		query  string
		want   int
	}{
		"nothing":                 {nil, "", 401},
		"no key":                  {map[string]string{"Authorization": "Bearer dtn_bad"}, "", 401},
		"no bearer":               {map[string]string{"Authorization": "Basic YTpi"}, "", 401},
		"no token":                {map[string]string{"X-Daytona-Preview-Token": "bad"}, "", 401},
		"no token in the address": {nil, "?DAYTONA_SANDBOX_AUTH_KEY=bad", 401},
		"no cookie":               {map[string]string{"Cookie": "sandlot-preview=bad"}, "", 401},
		"no signature":            {nil, "?path=/a&expires=0&signature=v1_bad", 401},
		"another's key":           {map[string]string{"Authorization": "Bearer dtn_others"}, "", 404},
		"another's key as token":  {map[string]string{"X-Daytona-Preview-Token": "dtn_others"}, "", 404},
	} {
		t.Run(name, func(t *testing.T) {
			for _, path := range []string{"/toolbox/ID/files/download", "/toolbox/ID/init", "/toolbox/ID", "3000-ID", "2280-ID", "6080-ID"} {
				answers := map[string]string{}
				for _, ref := range []string{id, unknown} {
					ask := call{path: strings.Replace(path, "ID", ref, 1) + c.query, header: c.header}
					if !strings.HasPrefix(path, "/") {
						ask.host, ask.path = strings.Replace(path, "ID", ref, 1)+"."+domain, "/"+c.query
					}
					res, body := send(t, srv, ask)
					if res.StatusCode != c.want {
						t.Errorf("%s of %s: %d %s, want %d", path, ref, res.StatusCode, body, c.want)
					}
					res.Header.Del("Date")
					res.Header.Del("Content-Length") // of a time stamp with more or fewer digits
					text := res.Status
					for _, name := range slices.Sorted(maps.Keys(res.Header)) {
						text += "\n" + name + ": " + strings.Join(res.Header[name], ", ")
					}
					text += "\n" + regexp.MustCompile(`"timestamp":"[^"]*"`).ReplaceAllString(body, "")
					answers[ref] = strings.ReplaceAll(text, ref, "ID")
				}
				if answers[id] != answers[unknown] {
					t.Errorf("%s: a sandbox that is there answers\n%s\nand one that is not\n%s", path, answers[id], answers[unknown])
				}
			}
		})
	}
}

// A sandbox without a token, as it is before its first start, is not entered by what anybody can compute.
func TestCookieOfNoTokenLetsNobodyIn(t *testing.T) {
	f, p, srv := world(t, echo)
	listen(t, netip.AddrPortFrom(f.target.Addr, 3000), echo)
	host := "3000-" + id + "." + domain
	f.set(func(f *fleet) { f.target.PreviewToken = "" })
	p.Forget(id)
	mac := hmac.New(sha256.New, nil)
	_, _ = mac.Write([]byte("cookie:3000")) // a hash never fails to write
	header := map[string]string{"Cookie": "sandlot-preview=" + hex.EncodeToString(mac.Sum(nil))}
	if res, _ := send(t, srv, call{host: host, path: "/", header: header}); res.StatusCode != http.StatusUnauthorized {
		t.Errorf("let in with %d", res.StatusCode)
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
		if res, _ := send(t, srv, call{path: "/toolbox/" + id + "/version", header: header}); res.StatusCode != http.StatusOK {
			t.Fatal(res.Status)
		}
		res, body := send(t, srv, call{method: http.MethodPost, path: "/toolbox/" + id + "/execute", body: c.body, header: header})
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
	_, from := raw(t, srv, "POST /toolbox/"+id+"/execute HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer dtn_good\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")
	if got := within(t, "the answer", response(from)); got.status != http.StatusBadRequest || !strings.Contains(got.body, "body") {
		t.Errorf("answered %+v", got)
	}
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
		if got := refusalOf(t, w.Body.String()); w.Code != http.StatusNotFound || len(got.Message) > 400 || !strings.Contains(got.Message, "…") {
			t.Errorf("answered %d, %d bytes: %.300s", w.Code, len(got.Message), got.Message)
		}
	}
}
