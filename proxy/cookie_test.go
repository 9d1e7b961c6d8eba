package proxy_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/sandlot-dev/sandlot/proxy"
)

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

func TestBrowserGetsACookieForThisPortAlone(t *testing.T) {
	f, _, srv := world(t, echo)
	listen(t, netip.AddrPortFrom(f.target.Addr, 3000), echo)
	listen(t, netip.AddrPortFrom(f.target.Addr, 3001), echo)
	res, body := send(t, srv, call{
		host: "3000-" + id + "." + domain,
		path: "/?DAYTONA_SANDBOX_AUTH_KEY=" + tok(3000) + "&a=1",
	})
	cookies := res.Cookies()
	if res.StatusCode != http.StatusOK || len(cookies) != 1 || !cookies[0].HttpOnly || cookies[0].Domain != "" ||
		strings.Contains(cookies[0].Value, tok(3000)) {
		t.Fatalf("status %d, cookies %v", res.StatusCode, cookies)
	}
	if got := decode(t, body); got.URI != "/?a=1" {
		t.Errorf("the app saw %q", got.URI)
	}
	for port, want := range map[string]int{"3000": 200, "3001": 401, "2280": 401, "22222": 401} {
		res, _ := send(t, srv, call{
			host: port + "-" + id + "." + domain, path: "/",
			header: map[string]string{"Cookie": cookies[0].Name + "=" + cookies[0].Value},
		})
		if res.StatusCode != want {
			t.Errorf("the cookie of port 3000 at port %s: %d, want %d", port, res.StatusCode, want)
		}
	}
}

// TestWhomACookieLetsIn visits a private port as a browser does, and then lets other pages use the visitor's cookie.
func TestWhomACookieLetsIn(t *testing.T) {
	f, p, ways := doors(t, echo)
	f.set(func(f *fleet) { f.target.Public = false })
	p.Forget(id)
	document := http.Header{"Sec-Fetch-Dest": {"document"}, "Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Site": {"none"}}
	for _, w := range ways {
		if strings.HasPrefix(w.name, "link") {
			continue // the address lets in
		}
		for _, token := range []string{tok(8702), link} {
			res, _ := w.ask(t, http.MethodGet, "/a%2Fb?x=1&DAYTONA_SANDBOX_AUTH_KEY="+token, document)
			if to := "http://" + w.host + w.prefix + "/a%2Fb?x=1"; res.StatusCode != http.StatusTemporaryRedirect ||
				res.Header.Get("Location") != to {
				t.Fatalf("%s: the first visit answers %d and leads to %q, want %q", w.name, res.StatusCode,
					res.Header.Get("Location"), to)
			}
			var cookie string
			for _, c := range res.Cookies() {
				if c.Domain != "" || !c.HttpOnly || c.Path != "/" {
					t.Errorf("%s: cookie %v", w.name, c)
				}
				if strings.HasPrefix(c.Name, "sandlot-preview") && !c.Secure {
					cookie = c.Name + "=" + c.Value
				}
			}
			shadowed := strings.Split(cookie, "=")[0] + "=set-by-an-app; " + cookie
			own := "http://" + w.host
			for _, tc := range []struct {
				name, method string
				header       map[string]string
				want         int
			}{
				{"own page", "GET", map[string]string{"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors"}, 200},
				{"own page writes", "POST", map[string]string{"Origin": own, "Sec-Fetch-Site": "same-origin"}, 200},
				{"a program", "POST", nil, 200},
				{"a link elsewhere", "GET", map[string]string{
					"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate",
					"Sec-Fetch-Dest": "document",
				}, 200},
				{"a frame elsewhere", "GET", map[string]string{
					"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate",
					"Sec-Fetch-Dest": "iframe",
				}, 200},
				{"an image elsewhere", "GET", map[string]string{
					"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors",
					"Sec-Fetch-Dest": "image",
				}, 403},
				{
					"a script of a neighbour", "GET",
					map[string]string{"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors"},
					403,
				},
				{"a form elsewhere", "POST", map[string]string{
					"Origin": "http://evil.test", "Sec-Fetch-Site": "cross-site",
					"Sec-Fetch-Mode": "navigate",
				}, 403},
				{"a form of an opaque page", "POST", map[string]string{"Origin": "null"}, 403},
				{"a form without Origin", "POST", map[string]string{
					"Sec-Fetch-Site": "cross-site",
					"Sec-Fetch-Mode": "navigate",
				}, 403},
				{"a neighbour's fetch", "GET", map[string]string{"Origin": "http://8703-" + id + "." + domain}, 403},
				{"websocket of the own page", "GET", map[string]string{
					"Origin": own, "Connection": "Upgrade",
					"Upgrade": "websocket",
				}, 200},
				{"websocket elsewhere", "GET", map[string]string{
					"Origin": "http://evil.test", "Connection": "Upgrade",
					"Upgrade": "websocket",
				}, 403},
				{"websocket without Origin", "GET", map[string]string{"Connection": "Upgrade", "Upgrade": "websocket"}, 403},
			} {
				for _, line := range []string{cookie, shadowed} {
					header := http.Header{"Cookie": {line}}
					for name, value := range tc.header {
						header.Set(name, value)
					}
					if res, body := w.ask(t, tc.method, "/", header); res.StatusCode != tc.want {
						t.Errorf("%s, %s: %d (%s), want %d", w.name, tc.name, res.StatusCode, body, tc.want)
					}
				}
			}
			if token == link { // the cookie ends with the link
				f.set(func(f *fleet) { f.links = nil })
				if res, _ := w.ask(t, http.MethodGet, "/",
					http.Header{"Cookie": {cookie}}); res.StatusCode != http.StatusUnauthorized {
					t.Errorf("%s: the cookie of a revoked link: %d", w.name, res.StatusCode)
				}
				f.set(func(f *fleet) {
					f.links = map[string]proxy.Link{link: {Sandbox: id, Port: 8702, Until: time.Now().Add(time.Hour)}}
				})
			}
		}
	}
}

// Pages of byPath doors share an origin: one that asks in the name of a visitor of another is told by its page, and
// reserved ports let no cookie in.
func TestPagesOfOnePathDoorDoNotUseAnothers(t *testing.T) {
	f, p, ways := doors(t, echo)
	f.set(func(f *fleet) { f.target.Public = false })
	p.Forget(id)
	w := ways[2]
	res, _ := w.ask(t, http.MethodGet, "/?DAYTONA_SANDBOX_AUTH_KEY="+tok(8702), nil)
	cookie := res.Cookies()[0].Name + "=" + res.Cookies()[0].Value
	for from, want := range map[string]int{
		w.prefix + "/a": 200, "/p/" + id + "/8703/a": 403, "/p/other/8702/": 403,
		"/a": 200,
	} {
		header := http.Header{"Cookie": {cookie}, "Referer": {"http://" + w.host + from}, "Sec-Fetch-Site": {"same-origin"}}
		if res, _ := w.ask(t, http.MethodGet, "/", header); res.StatusCode != want {
			t.Errorf("a page at %s: %d, want %d", from, res.StatusCode, want)
		}
	}
	w.prefix = "/p/" + id + "/22222"
	res, _ = w.ask(t, http.MethodGet, "/?DAYTONA_SANDBOX_AUTH_KEY="+tok(22222), nil)
	for _, c := range res.Cookies() {
		if res, _ := w.ask(t, http.MethodGet, "/",
			http.Header{"Cookie": {c.Name + "=" + c.Value}}); res.StatusCode != http.StatusUnauthorized {
			t.Errorf("the terminal's cookie at a path: %d, want 401", res.StatusCode)
		}
	}
}

func TestAPageThatHidesItsOriginIsStillItsOwn(t *testing.T) {
	_, _, ways := doors(t, echo)
	w := ways[0]
	_, body := w.ask(t, http.MethodPost, "/", http.Header{"Origin": {"null"}, "Sec-Fetch-Site": {"same-origin"}})
	if got := decode(t, body).Header.Get("Origin"); got != "http://localhost:8702" {
		t.Errorf("the app saw Origin %q", got)
	}
	_, body = w.ask(t, http.MethodPost, "/", http.Header{"Origin": {"null"}, "Sec-Fetch-Site": {"cross-site"}})
	if got := decode(t, body).Header.Get("Origin"); got != "null" {
		t.Errorf("from a page elsewhere the app saw Origin %q", got)
	}
}
