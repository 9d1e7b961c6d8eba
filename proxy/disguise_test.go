package proxy_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/gorilla/websocket"
)

// An app that holds Origin against its host, against what a proxy says was its host, and against both, takes its own
// pages' requests and refuses others'.
func TestAppsTakeTheirOwnPagesRequests(t *testing.T) {
	app := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		origin := strings.TrimPrefix(r.Header.Get("Origin"), "http://")
		if origin != r.Host || origin != r.Header.Get("X-Forwarded-Host") || r.Header.Get("X-Forwarded-Proto") != "http" {
			http.Error(w, fmt.Sprintf("%q at %q, %v", origin, r.Host, r.Header), http.StatusForbidden)
		}
	})
	_, _, ways := doors(t, app)
	for _, w := range ways {
		for origin, want := range map[string]int{
			"http://" + w.host: 200, "https://" + w.host: 200,
			"http://" + strings.ToUpper(w.host): 200, "http://evil.test": 403, "null": 403, "http://localhost:8701": 403,
		} {
			if res, body := w.ask(t, http.MethodPost, "/", http.Header{"Origin": {origin}}); res.StatusCode != want {
				t.Errorf("%s, origin %s: %d (%s), want %d", w.name, origin, res.StatusCode, body, want)
			}
		}
		for origin, want := range map[string]int{
			"http://" + w.host: 403, "https://" + w.host: 200,
			"https://evil.test": 403,
		} {
			if res, body := w.ask(t, http.MethodPost, "/", http.Header{
				"Origin":            {origin},
				"X-Forwarded-Proto": {"https"},
			}); res.StatusCode != want {
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
				t.Errorf("%s, %s %q: the app saw %q at %s%s, want %q", w.name, tc.name, tc.give, got.Header.Get(tc.name),
					got.Host, got.URI, tc.want)
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
			"http://" + w.host + "/toolbox/x": map[bool]string{
				true:  "http://" + w.host + "/toolbox/x",
				false: own + "/toolbox/x",
			}[w.prefix != ""],
			"mailto:x@localhost":                            "mailto:x@localhost",
			"http://evil.test/?next=http://localhost:8702/": "http://evil.test/?next=http://localhost:8702/",
			"http://localhost:8702@evil.test/":              "http://localhost:8702@evil.test/",
		} {
			if want == "" {
				continue
			}
			header = http.Header{"Location": {given}, "Content-Location": {given}, "Refresh": {"5; url=" + given}}
			res, _ := w.ask(t, http.MethodGet, "/", nil)
			if got := res.Header.Get("Location"); got != want || res.Header.Get("Content-Location") != want ||
				res.Header.Get("Refresh") != "5; url="+want {
				t.Errorf("%s, %s: leads to %q, %q, %q; want %q", w.name, given, got, res.Header.Get("Content-Location"),
					res.Header.Get("Refresh"), want)
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
			lines := slices.DeleteFunc(res.Header["Set-Cookie"],
				func(l string) bool { return strings.HasPrefix(l, "sandlot-app-8702-") })
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
			return strings.HasPrefix(l, "session=1;") && strings.HasSuffix(l, "; Secure; SameSite=None; Partitioned") &&
				!strings.Contains(l, "Strict")
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

func TestAnswersDoNotReachOverTheirDoor(t *testing.T) {
	_, _, ways := doors(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Service-Worker-Allowed", "/")
		w.Header().Set("Clear-Site-Data", `"cookies"`)
	}))
	for _, w := range ways {
		res, _ := w.ask(t, http.MethodGet, "/", nil)
		if w.prefix != "" && res.Header.Get("Service-Worker-Allowed") != "" ||
			w.name != "address" && res.Header.Get("Clear-Site-Data") != "" {
			t.Errorf("%s: %v", w.name, res.Header)
		}
	}
}

func TestCookiesOfAWebsocketsHandshakeAreLookedAtToo(t *testing.T) {
	_, _, ways := doors(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if conn, err := (&websocket.Upgrader{}).Upgrade(w, r,
			http.Header{"Set-Cookie": {"sandlot-last=x/1", "a=b; Domain=localhost; Path=/"}}); err == nil {
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
