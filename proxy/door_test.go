package proxy_test

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/sandlot-dev/sandlot/proxy"
)

const link = "abcdefghjkmnpqrs" // a link's token

// way is one of the forms of an address at which port 8702 is met, and what its visitors see of it.
type way struct {
	name, host, prefix string
	srv                string // where it is sent to
}

// doors starts an app on port 8702 of a sandbox, and opens it in every form.
func doors(t *testing.T, app http.Handler) (*fleet, *proxy.Proxy, []way) {
	t.Helper()
	f, p, srv := world(t, http.NotFoundHandler())
	f.set(func(f *fleet) {
		f.target.Public = true
		f.links = map[string]proxy.Link{link: {Sandbox: id, Port: 8702, Until: time.Now().Add(time.Hour)}}
	})
	listen(t, netip.AddrPortFrom(f.target.Addr, 8702), app)
	at, opened, err := p.Open(t.Context(), id, 8702)
	if err != nil || !opened {
		t.Fatal(opened, err)
	}
	main := strings.TrimPrefix(srv.URL, "http://")
	return f, p, []way{
		{"host", "8702-" + id + "." + domain, "", main},
		{"link by host", "8702-" + link + "." + domain, "", main},
		{"path", main, "/p/" + id + "/8702", main},
		{"link by path", main, "/p/" + link + "/8702", main},
		{"address", at.String(), "", at.String()},
	}
}

// ask sends a request through a way.
func (w way) ask(t *testing.T, method, path string, header http.Header) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://"+w.srv+w.prefix+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = w.host
	maps.Copy(req.Header, header)
	res, err := http.DefaultTransport.RoundTrip(req)
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

// An app that holds Origin against its host, against what a proxy says was its host, and against both, takes its own pages' requests and refuses others'.
func TestAppsTakeTheirOwnPagesRequests(t *testing.T) {
	app := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		origin := strings.TrimPrefix(r.Header.Get("Origin"), "http://")
		if origin != r.Host || origin != r.Header.Get("X-Forwarded-Host") || r.Header.Get("X-Forwarded-Proto") != "http" {
			http.Error(w, fmt.Sprintf("%q at %q, %v", origin, r.Host, r.Header), http.StatusForbidden)
		}
	})
	_, _, ways := doors(t, app)
	for _, w := range ways {
		for origin, want := range map[string]int{"http://" + w.host: 200, "https://" + w.host: 200, "http://" + strings.ToUpper(w.host): 200, "http://evil.test": 403, "null": 403, "http://localhost:8701": 403} {
			if res, body := w.ask(t, http.MethodPost, "/", http.Header{"Origin": {origin}}); res.StatusCode != want {
				t.Errorf("%s, origin %s: %d (%s), want %d", w.name, origin, res.StatusCode, body, want)
			}
		}
		for origin, want := range map[string]int{"http://" + w.host: 403, "https://" + w.host: 200, "https://evil.test": 403} {
			if res, body := w.ask(t, http.MethodPost, "/", http.Header{"Origin": {origin}, "X-Forwarded-Proto": {"https"}}); res.StatusCode != want {
				t.Errorf("%s by HTTPS, origin %s: %d (%s), want %d", w.name, origin, res.StatusCode, body, want)
			}
		}
	}
}

func TestWhatAppsAreToldOfTheirAddress(t *testing.T) {
	_, _, ways := doors(t, echo)
	for _, w := range ways {
		own, told, prefix := "http://"+w.host, w.host, w.prefix
		if strings.HasPrefix(w.name, "link") { // the address is a credential
			told, prefix = "localhost:8702", ""
		}
		for _, tc := range []struct{ name, give, want string }{
			{"Referer", own + w.prefix + "/a/b?c=d", "http://localhost:8702/a/b?c=d"},
			{"Referer", own + w.prefix + "/a?DAYTONA%5FSANDBOX_AUTH_KEY=x&c=d", "http://localhost:8702/a?c=d"},
			{"Referer", "http://evil.test/" + w.host, "http://evil.test/" + w.host},
			{"Origin", "http://evil.test", "http://evil.test"},
			{"X-Forwarded-Host", "", told},
			{"X-Forwarded-Prefix", "/forged", prefix},
			{"Forwarded", "host=evil.test", ""},
		} {
			header := http.Header{}
			if tc.give != "" {
				header.Set(tc.name, tc.give)
			}
			_, body := w.ask(t, http.MethodGet, "/x", header)
			if got := decode(t, body); got.Header.Get(tc.name) != tc.want || got.Host != "localhost:8702" || got.URI != "/x" {
				t.Errorf("%s, %s %q: the app saw %q at %s%s, want %q", w.name, tc.name, tc.give, got.Header.Get(tc.name), got.Host, got.URI, tc.want)
			}
		}
	}
}

func TestWhatAppsSayOfTheirAddressBecomesTheDoors(t *testing.T) {
	var header http.Header
	f, _, ways := doors(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for name, values := range header {
			w.Header()[name] = values
		}
		w.WriteHeader(http.StatusPermanentRedirect)
	}))
	for _, w := range ways {
		own := "http://" + w.host + w.prefix
		for given, want := range map[string]string{
			"http://localhost:8702/items/?a=%2F#x":                 own + "/items/?a=%2F#x",
			"http://127.0.0.1:8702/":                               own + "/",
			"https://localhost:8702/a":                             own + "/a",
			"http://[::1]:8702/a":                                  own + "/a",
			"http://0.0.0.0:8702/a%2Fb":                            own + "/a%2Fb",
			"http://" + f.target.Addr.String() + ":8702/a":         own + "/a",
			"//localhost:8702/a":                                   own + "/a",
			"http://" + w.host + "/a":                              own + "/a",
			"https://" + strings.ToUpper(w.host) + w.prefix + "/a": "",
			"/a/b":                                w.prefix + "/a/b",
			"a/b":                                 "a/b",
			"?x=1":                                "?x=1",
			"http://localhost:8701/a":             "http://localhost:8701/a",
			"http://example.com/a":                "http://example.com/a",
			"http://localhost.example.com:8702/a": "http://localhost.example.com:8702/a",
			"http://" + w.host + "/toolbox/x":     map[bool]string{true: "http://" + w.host + "/toolbox/x", false: own + "/toolbox/x"}[w.prefix != ""],
			"mailto:x@localhost":                  "mailto:x@localhost",
			"http://evil.test/?next=http://localhost:8702/": "http://evil.test/?next=http://localhost:8702/",
			"http://localhost:8702@evil.test/":              "http://localhost:8702@evil.test/",
		} {
			if want == "" {
				continue
			}
			header = http.Header{"Location": {given}, "Content-Location": {given}, "Refresh": {"5; url=" + given}}
			res, _ := w.ask(t, http.MethodGet, "/", nil)
			if got := res.Header.Get("Location"); got != want || res.Header.Get("Content-Location") != want || res.Header.Get("Refresh") != "5; url="+want {
				t.Errorf("%s, %s: leads to %q, %q, %q; want %q", w.name, given, got, res.Header.Get("Content-Location"), res.Header.Get("Refresh"), want)
			}
		}
		path := "; Path=" + w.prefix + "/"
		parent := strings.SplitN(w.host, ".", 2)[1]
		for given, want := range map[string]string{
			"a=b; Path=/; HttpOnly":                     "a=b" + path + "; HttpOnly",
			"a=b; Domain=localhost; Path=/":             "a=b" + path,
			"a=b; domain=.127.0.0.1; Path=/x":           "a=b" + path + "x",
			"a=b; Domain=." + parent + "; Path=/":       "a=b" + path,
			"a=b; Domain=elsewhere.test; Path=/":        "a=b; Domain=elsewhere.test" + path,
			"sandlot-preview-8702-" + id + "=x; Path=/": "",
			"__Host-sandlot-last=x; Path=/; Secure":     "",
			" SANDLOT-framed=1":                         "",
			"a=b; Path=" + w.prefix + "/x":              "a=b; Path=" + w.prefix + "/x",
			"__Host-a=b; Path=/; Secure":                "__Host-a=b; Path=/; Secure",
			"=sandlot-last=x/80; Path=/":                "",
			"a=b; Secure; SameSite=Lax":                 "a=b; Secure; SameSite=Lax",
		} {
			if strings.HasPrefix(w.host, "127.") && strings.Contains(given, "Domain=."+parent) {
				continue // an address has no parent
			}
			header = http.Header{"Set-Cookie": {given}}
			res, _ := w.ask(t, http.MethodGet, "/", nil)
			lines := slices.DeleteFunc(res.Header["Set-Cookie"], func(l string) bool { return strings.HasPrefix(l, "sandlot-app-8702-") })
			if got := strings.Join(lines, "|"); got != want {
				t.Errorf("%s, cookie %q became %q, want %q", w.name, given, got, want)
			}
		}
	}
}

// A frame in another site's page gets its app's cookies in the way that browsers keep them there.
func TestFramesKeepTheirAppsCookies(t *testing.T) {
	_, _, ways := doors(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Set-Cookie", "session=1; Path=/; SameSite=Strict")
	}))
	frame := http.Header{"Sec-Fetch-Dest": {"iframe"}, "Sec-Fetch-Site": {"cross-site"}, "Sec-Fetch-Mode": {"navigate"}}
	for _, w := range ways {
		if w.name == "link by path" {
			continue // its pages are led to the sandbox's own path
		}
		trusted := w.prefix != "" || w.name == "address" // the others are plain http and no localhost
		res, _ := w.ask(t, http.MethodGet, "/", frame)
		lines := res.Header["Set-Cookie"]
		if framed := slices.ContainsFunc(lines, func(l string) bool {
			return strings.HasPrefix(l, "session=1;") && strings.HasSuffix(l, "; Secure; SameSite=None; Partitioned") && !strings.Contains(l, "Strict")
		}); framed != trusted {
			t.Errorf("%s: the frame got %q", w.name, lines)
		}
		if !trusted {
			continue
		}
		mark := lines[slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(l, "sandlot-framed") })]
		pair, _, _ := strings.Cut(mark, ";")
		res, _ = w.ask(t, http.MethodPost, "/", http.Header{"Cookie": {pair}, "Sec-Fetch-Site": {"same-origin"}})
		if got := res.Header.Get("Set-Cookie"); !strings.HasSuffix(got, "; Secure; SameSite=None; Partitioned") {
			t.Errorf("%s: a later request of the frame got %q", w.name, got)
		}
	}
}

func TestNoCredentialOfOursReachesAnApp(t *testing.T) {
	f, p, ways := doors(t, echo)
	f.set(func(f *fleet) { f.key, f.othersKey = "key-from-the-settings", "dtn_others" })
	basic := func(user, password string) string {
		return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
	}
	const kept = "Bearer an-apps-own-token"
	for _, public := range []bool{true, false} {
		f.set(func(f *fleet) { f.target.Public = public })
		p.Forget(id)
		for _, w := range ways {
			for _, ours := range []string{"key-from-the-settings", "dtn_others", tok(8702), tok(2280), link} {
				header := http.Header{
					"Authorization":           {"Bearer " + ours, kept, basic("u", ours), basic(ours, ""), "bearer " + ours, "Token token=\"" + ours + "\"", basic("u", "own")},
					"X-Daytona-Preview-Token": {ours}, "Referer": {"http://" + w.host + w.prefix + "/?DAYTONA_SANDBOX_AUTH_KEY=" + ours},
					"Cookie": {"own=1; sandlot-preview-8702-" + id + "=" + ours + "; b=2", "__Host-sandlot-preview-8702-" + id + "=" + ours},
				}
				if !public { // let in by one more
					header["X-Daytona-Preview-Token"] = []string{tok(8702)}
				}
				res, body := w.ask(t, http.MethodGet, "/?a=1&DAYTONA%5fSANDBOX_AUTH%5FKEY="+ours+"&b=2", header)
				if res.StatusCode != http.StatusOK {
					t.Fatalf("%s: %d %s", w.name, res.StatusCode, body)
				}
				got := decode(t, body)
				if strings.Contains(body, ours) || strings.Contains(body, tok(8702)) || got.URI != "/?a=1&b=2" || got.Header.Get("Cookie") != "own=1; b=2" {
					t.Errorf("public %v, %s: the app saw %s", public, w.name, body)
				}
				if lines := got.Header["Authorization"]; !slices.Equal(lines, []string{kept, basic("u", "own")}) {
					t.Errorf("public %v, %s: Authorization %q", public, w.name, lines)
				}
			}
		}
	}
	f.set(func(f *fleet) { f.asked = 0 })
	for range 20 {
		ways[0].ask(t, http.MethodGet, "/", http.Header{"Authorization": {kept}, "X-Daytona-Preview-Token": {tok(8702)}})
	}
	f.set(func(f *fleet) {
		if f.asked > 0 {
			t.Errorf("an app's own token was asked about %d times", f.asked)
		}
	})
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
			if to := "http://" + w.host + w.prefix + "/a%2Fb?x=1"; res.StatusCode != http.StatusTemporaryRedirect || res.Header.Get("Location") != to {
				t.Fatalf("%s: the first visit answers %d and leads to %q, want %q", w.name, res.StatusCode, res.Header.Get("Location"), to)
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
				{"a link elsewhere", "GET", map[string]string{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}, 200},
				{"a frame elsewhere", "GET", map[string]string{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"}, 200},
				{"an image elsewhere", "GET", map[string]string{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}, 403},
				{"a script of a neighbour", "GET", map[string]string{"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors"}, 403},
				{"a form elsewhere", "POST", map[string]string{"Origin": "http://evil.test", "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}, 403},
				{"a form of an opaque page", "POST", map[string]string{"Origin": "null"}, 403},
				{"a form without Origin", "POST", map[string]string{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}, 403},
				{"a neighbour's fetch", "GET", map[string]string{"Origin": "http://8703-" + id + "." + domain}, 403},
				{"websocket of the own page", "GET", map[string]string{"Origin": own, "Connection": "Upgrade", "Upgrade": "websocket"}, 200},
				{"websocket elsewhere", "GET", map[string]string{"Origin": "http://evil.test", "Connection": "Upgrade", "Upgrade": "websocket"}, 403},
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
				if res, _ := w.ask(t, http.MethodGet, "/", http.Header{"Cookie": {cookie}}); res.StatusCode != http.StatusUnauthorized {
					t.Errorf("%s: the cookie of a revoked link: %d", w.name, res.StatusCode)
				}
				f.set(func(f *fleet) {
					f.links = map[string]proxy.Link{link: {Sandbox: id, Port: 8702, Until: time.Now().Add(time.Hour)}}
				})
			}
		}
	}
}

// Pages of byPath doors share an origin: one that asks in the name of a visitor of another is told by its page, and reserved ports let no cookie in.
func TestPagesOfOnePathDoorDoNotUseAnothers(t *testing.T) {
	f, p, ways := doors(t, echo)
	f.set(func(f *fleet) { f.target.Public = false })
	p.Forget(id)
	w := ways[2]
	res, _ := w.ask(t, http.MethodGet, "/?DAYTONA_SANDBOX_AUTH_KEY="+tok(8702), nil)
	cookie := res.Cookies()[0].Name + "=" + res.Cookies()[0].Value
	for from, want := range map[string]int{w.prefix + "/a": 200, "/p/" + id + "/8703/a": 403, "/p/other/8702/": 403, "/a": 200} {
		header := http.Header{"Cookie": {cookie}, "Referer": {"http://" + w.host + from}, "Sec-Fetch-Site": {"same-origin"}}
		if res, _ := w.ask(t, http.MethodGet, "/", header); res.StatusCode != want {
			t.Errorf("a page at %s: %d, want %d", from, res.StatusCode, want)
		}
	}
	w.prefix = "/p/" + id + "/22222"
	res, _ = w.ask(t, http.MethodGet, "/?DAYTONA_SANDBOX_AUTH_KEY="+tok(22222), nil)
	for _, c := range res.Cookies() {
		if res, _ := w.ask(t, http.MethodGet, "/", http.Header{"Cookie": {c.Name + "=" + c.Value}}); res.StatusCode != http.StatusUnauthorized {
			t.Errorf("the terminal's cookie at a path: %d, want 401", res.StatusCode)
		}
	}
}

// What a page at a path names by absolute paths comes to its app all the same.
func TestStrayRequestsFindTheirDoor(t *testing.T) {
	upgrader := websocket.Upgrader{}
	_, _, ways := doors(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "" {
			if conn, err := upgrader.Upgrade(w, r, nil); err == nil {
				_ = conn.WriteMessage(websocket.TextMessage, []byte(r.RequestURI+" "+r.Header.Get("Cookie"))) // a lost one shows at the other end
				_ = conn.Close()
			}
			return
		}
		w.Header().Set("Set-Cookie", "sid=7; Path=/; Max-Age=60")
		echo(w, r)
	}))
	w := ways[2]
	if res, _ := w.ask(t, http.MethodGet, "", nil); res.StatusCode != http.StatusOK {
		t.Errorf("a program without a slash: %d", res.StatusCode)
	}
	res, _ := w.ask(t, http.MethodGet, "", http.Header{"Sec-Fetch-Dest": {"document"}})
	if got := res.Header.Get("Location"); got != w.prefix+"/" {
		t.Errorf("without a slash it leads to %q", got)
	}
	res, _ = w.ask(t, http.MethodGet, "/", http.Header{"Sec-Fetch-Dest": {"document"}, "Sec-Fetch-Mode": {"navigate"}})
	last := res.Cookies()[0].Name + "=" + res.Cookies()[0].Value
	i := slices.IndexFunc(res.Cookies(), func(c *http.Cookie) bool { return strings.HasSuffix(c.Name, "-sid") })
	sid := res.Cookies()[max(i, 0)]
	if i < 0 || sid.Path != "/" || sid.MaxAge != 60 || !sid.HttpOnly {
		t.Errorf("cookies %v have no copy for stray websockets", res.Cookies())
	}
	plain := w
	plain.prefix = ""
	for _, header := range []http.Header{{"Referer": {"http://" + w.host + w.prefix + "/page"}}, {"Cookie": {last}, "Referer": {"http://" + w.host + "/about"}}} {
		res, _ = plain.ask(t, http.MethodGet, "/static/a%2Fb.js?v=1", header)
		if got := res.Header.Get("Location"); res.StatusCode != http.StatusTemporaryRedirect || got != w.prefix+"/static/a%2Fb.js?v=1" {
			t.Errorf("%v: %d to %q", header, res.StatusCode, got)
		}
		res, _ = plain.ask(t, http.MethodPost, "/login", header)
		if got := res.Header.Get("Location"); res.StatusCode != http.StatusTemporaryRedirect || got != w.prefix+"/login" {
			t.Errorf("%v: a form: %d to %q", header, res.StatusCode, got)
		}
	}
	conn, _, err := websocket.DefaultDialer.DialContext(t.Context(), "ws://"+w.host+"/api/kernels?x=1", http.Header{"Cookie": {last + "; " + sid.Name + "=" + sid.Value + "; sandlot-app-8702-other-sid=8"}, "Origin": {"http://" + w.host}})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close() // read whole
	if _, data, err := conn.ReadMessage(); err != nil || string(data) != "/api/kernels?x=1 sid=7" {
		t.Errorf("the websocket reached %q, %v", data, err)
	}
	for _, name := range []string{"sandlot-last-framed", "__Host-sandlot-last"} { // in a frame, and over HTTPS
		res, _ := plain.ask(t, http.MethodGet, "/a", http.Header{"Cookie": {name + "=" + id + "/8702; sandlot-last=other/1"}})
		if got := res.Header.Get("Location"); got != w.prefix+"/a" {
			t.Errorf("with %s it leads to %q", name, got)
		}
	}
	if res, _ := plain.ask(t, http.MethodGet, "/static/a.js", nil); res.StatusCode != http.StatusNotFound {
		t.Errorf("without any hint: %d", res.StatusCode)
	}
}

func TestLinks(t *testing.T) {
	f, p, ways := doors(t, echo)
	f.set(func(f *fleet) { f.target.Public = false })
	p.Forget(id)
	check := func(what string, want int) {
		t.Helper()
		for _, w := range ways {
			if strings.HasPrefix(w.name, "link") {
				if res, body := w.ask(t, http.MethodGet, "/", nil); res.StatusCode != want {
					t.Errorf("%s, %s: %d (%s), want %d", what, w.name, res.StatusCode, body, want)
				}
			} else if res, body := w.ask(t, http.MethodGet, "/?DAYTONA_SANDBOX_AUTH_KEY="+link, nil); res.StatusCode != want {
				t.Errorf("%s, %s with the link's token: %d (%s), want %d", what, w.name, res.StatusCode, body, want)
			}
		}
	}
	check("good", 200)
	f.set(func(f *fleet) { f.links[link] = proxy.Link{Sandbox: id, Port: 8703, Until: time.Now().Add(time.Hour)} })
	check("of another port", 401)
	f.set(func(f *fleet) {
		f.links[link] = proxy.Link{Sandbox: id, Port: 8702, Until: time.Now().Add(-time.Second)}
	})
	check("over", 401)
	f.set(func(f *fleet) {
		f.links[link] = proxy.Link{Sandbox: "another", Port: 8702, Until: time.Now().Add(time.Hour)}
	})
	check("of another sandbox", 401)
	f.set(func(f *fleet) { f.links = nil })
	check("revoked", 401)
}

func TestOwnAddresses(t *testing.T) {
	f, p, ways := doors(t, echo)
	w := ways[len(ways)-1]
	if res, _ := w.ask(t, http.MethodGet, "/", nil); res.StatusCode != http.StatusOK {
		t.Errorf("status %d", res.StatusCode)
	}
	if at, opened, err := p.Open(t.Context(), id, 8702); err != nil || opened || at.String() != w.host {
		t.Errorf("asked for again it is %v, %v", at, err)
	}
	named := w
	named.host = "evil.test:8702" // a name that leads to this address
	if res, _ := named.ask(t, http.MethodGet, "/", nil); res.StatusCode != http.StatusNotFound {
		t.Errorf("by a name: %d", res.StatusCode)
	}
	if _, _, err := p.Open(t.Context(), "other", 8702); err != nil {
		t.Errorf("another sandbox: %v", err)
	}
	f.set(func(f *fleet) { f.target.ID = "gone" })
	p.Forget(id)
	for deadline := time.Now().Add(10 * time.Second); ; {
		if _, err := http.Get("http://" + w.host); err != nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the address of a sandbox that is gone is still open")
		}
	}
}

func TestTheSecretGoesToToolboxdAlone(t *testing.T) {
	f, _, srv := world(t, echo)
	f.set(func(f *fleet) { f.target.Public = true })
	listen(t, netip.AddrPortFrom(f.target.Addr, 22222), echo) // the terminal is toolboxd's
	if _, body := send(t, srv, call{host: "22222-" + id + "." + domain, path: "/", header: map[string]string{"X-Daytona-Preview-Token": tok(22222)}}); !strings.Contains(body, "s3cret") {
		t.Errorf("the terminal is not given the secret: %s", body)
	}
	for _, port := range []int{22220, 33333, 5901, 6080, 8702} {
		listen(t, netip.AddrPortFrom(f.target.Addr, uint16(port)), echo)
		_, body := send(t, srv, call{host: fmt.Sprintf("%d-%s.%s", port, id, domain), path: "/", header: map[string]string{"X-Daytona-Preview-Token": tok(port)}})
		if strings.Contains(body, "s3cret") || !strings.Contains(body, "localhost") {
			t.Errorf("port %d: an app saw %s", port, body)
		}
	}
}

// Who has no credential for a sandbox is answered the same whether there is one or not.
func TestStrangersLearnNothing(t *testing.T) {
	f, p, ways := doors(t, echo)
	f.set(func(f *fleet) { f.target.Public = false })
	p.Forget(id)
	const other = "00000000-1111-2222-3333-444444444444"
	stamp := regexp.MustCompile(`"(timestamp|path)":"[^"]*"`)
	for _, header := range []http.Header{
		{},
		{"X-Daytona-Preview-Token": {"abcdefghjkmnpqrt"}},
		{"Authorization": {"Bearer abcdefghjkmnpqrt"}},
		{"X-Daytona-Preview-Token": {tok(8703)[:31] + "a"}},
		{"Cookie": {"sandlot-preview-8702-" + id + "=x"}},
		{"Cookie": {"sandlot-preview-8702-" + other + "=x"}},
		{"Cookie": {"sandlot-preview-8702-=x"}},
	} {
		for _, form := range []way{{host: "8702-%s." + domain}, {host: ways[2].host, prefix: "/p/%s/8702"}, {host: ways[2].host, prefix: "/toolbox/%s"}} {
			var said []string
			for _, ref := range []string{id, other} {
				w := way{srv: ways[2].srv, host: strings.Replace(form.host, "%s", ref, 1), prefix: strings.Replace(form.prefix, "%s", ref, 1)}
				mine := http.Header{}
				for name, values := range header {
					for _, v := range values { // each with the cookie of the sandbox that is asked for
						mine.Add(name, strings.NewReplacer(id, ref, other, map[string]string{id: other, other: id}[ref]).Replace(v))
					}
				}
				res, body := w.ask(t, http.MethodGet, "/", mine)
				said = append(said, fmt.Sprint(res.StatusCode, stamp.ReplaceAllString(strings.ReplaceAll(body, ref, "REF"), "")))
			}
			if said[0] != said[1] {
				t.Errorf("%v at %s%s: one that exists answers %s, another %s", header, form.host, form.prefix, said[0], said[1])
			}
		}
	}
}

// What a request says costs a bounded number of look-ups, and spellings of Authorization hide nothing.
func TestWordsOfARequestAreLookedUpFewTimes(t *testing.T) {
	f, _, ways := doors(t, echo)
	w := ways[0]
	many := make([]string, 0, 2000)
	for i := range cap(many) {
		many = append(many, fmt.Sprintf("abcdefghjkm%05d", i))
	}
	f.set(func(f *fleet) { f.asked, f.linked = 0, 0 })
	w.ask(t, http.MethodGet, "/", http.Header{"Authorization": {"X " + strings.Join(many, " ")}})
	lines := make([]string, 0, 1000)
	for _, word := range many[:cap(lines)] {
		lines = append(lines, "Bearer "+strings.NewReplacer("0", "a", "1", "b").Replace(word))
	}
	w.ask(t, http.MethodGet, "/", http.Header{"Authorization": lines})
	f.set(func(f *fleet) {
		if f.asked+f.linked > 100 {
			t.Errorf("two requests made %d and %d look-ups", f.asked, f.linked)
		}
	})
	ours := tok(8702)
	for _, line := range []string{
		"Bearer\t" + ours, "ApiKey u:" + ours, "token='" + ours + "'", "Basic " + base64.RawStdEncoding.EncodeToString([]byte("u:"+ours)),
		"Basic " + base64.URLEncoding.EncodeToString([]byte("ü?>"+ours+":")), "Digest username=\"u\", response=" + ours,
	} {
		if _, body := w.ask(t, http.MethodGet, "/", http.Header{"Authorization": {strings.ReplaceAll(line, "\\t", "\t")}}); decode(t, body).Header.Get("Authorization") != "" {
			t.Errorf("%q reached the app", line)
		}
	}
	const digest = `Digest username="u", realm="r", nonce="0123456789abcdef", uri="/", response="abcdef0123456789"`
	if _, body := w.ask(t, http.MethodGet, "/", http.Header{"Authorization": {digest}}); decode(t, body).Header.Get("Authorization") != digest {
		t.Errorf("an app's own credential did not pass: %s", body)
	}
}

// Addresses of links are credentials: other apps and pages do not come to know them.
func TestLinksAreNotGivenAway(t *testing.T) {
	_, _, ways := doors(t, echo)
	for _, w := range ways {
		for _, page := range []string{"http://8703-" + link + "." + domain, "http://" + ways[2].host + "/p/" + link + "/9000/a"} {
			_, body := w.ask(t, http.MethodPost, "/", http.Header{"Origin": {page}, "Referer": {page + "/secret"}})
			if strings.Contains(body, link) || strings.Contains(body, "secret") {
				t.Errorf("%s: from a page of a link the app saw %s", w.name, body)
			}
		}
		if !strings.HasPrefix(w.name, "link") {
			continue
		}
		res, _ := w.ask(t, http.MethodGet, "/", nil)
		if got := res.Header.Get("Referrer-Policy"); got != "same-origin" {
			t.Errorf("%s: Referrer-Policy %q", w.name, got)
		}
	}
	w := ways[3]
	res, _ := w.ask(t, http.MethodGet, "/a//b?x=1", http.Header{"Sec-Fetch-Dest": {"document"}})
	if got := res.Header.Get("Location"); got != "/p/"+id+"/8702/a//b?x=1" {
		t.Errorf("a page at a link's path leads to %q", got)
	}
	res, _ = ways[2].ask(t, http.MethodGet, "/", http.Header{"Cookie": {res.Cookies()[0].Name + "=" + res.Cookies()[0].Value}, "Sec-Fetch-Dest": {"document"}})
	for _, c := range res.Cookies() {
		if strings.Contains(c.Value, link) {
			t.Errorf("cookie %v tells of the link", c)
		}
	}
}

func TestAnswersDoNotReachOverTheirDoor(t *testing.T) {
	_, _, ways := doors(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Service-Worker-Allowed", "/")
		w.Header().Set("Clear-Site-Data", `"cookies"`)
	}))
	for _, w := range ways {
		res, _ := w.ask(t, http.MethodGet, "/", nil)
		if w.prefix != "" && res.Header.Get("Service-Worker-Allowed") != "" || w.name != "address" && res.Header.Get("Clear-Site-Data") != "" {
			t.Errorf("%s: %v", w.name, res.Header)
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

// TestAddressesEndWithTheProxy opens addresses while Run ends: none stays open.
func TestAddressesEndWithTheProxy(t *testing.T) {
	for range 50 {
		p, err := proxy.New(proxy.Config{Locator: &fleet{}, Domain: domain, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { _ = p.Run(ctx) })
		var opened netip.AddrPort
		running.Go(func() {
			if at, _, err := p.Open(t.Context(), rand.Text(), 8702); err == nil {
				opened = at
			}
		})
		running.Go(stop)
		running.Wait()
		if opened.IsValid() {
			if conn, err := net.Dial("tcp", opened.String()); err == nil {
				_ = conn.Close()
				t.Fatal("an address is open after the proxy's end")
			}
		}
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

func TestCookiesOfAWebsocketsHandshakeAreLookedAtToo(t *testing.T) {
	_, _, ways := doors(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if conn, err := (&websocket.Upgrader{}).Upgrade(w, r, http.Header{"Set-Cookie": {"sandlot-last=x/1", "a=b; Domain=localhost; Path=/"}}); err == nil {
			_ = conn.Close()
		}
	}))
	for _, w := range ways {
		dialer := websocket.Dialer{NetDialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", w.srv)
		}}
		conn, res, err := dialer.DialContext(t.Context(), "ws://"+w.host+w.prefix+"/", nil)
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.Close()
		if got := res.Header["Set-Cookie"]; len(got) == 0 || got[0] != "a=b; Path="+w.prefix+"/" {
			t.Errorf("%s: %q", w.name, got)
		}
	}
}
