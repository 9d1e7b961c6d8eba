package proxy_test

import (
	"io"
	"maps"
	"net/http"
	"net/netip"
	"slices"
	"strings"
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

// What a page at a path names by absolute paths comes to its app all the same.
func TestStrayRequestsFindTheirDoor(t *testing.T) {
	upgrader := websocket.Upgrader{}
	_, _, ways := doors(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "" {
			if conn, err := upgrader.Upgrade(w, r, nil); err == nil {
				// A lost one shows at the other end.
				_ = conn.WriteMessage(websocket.TextMessage, []byte(r.RequestURI+" "+r.Header.Get("Cookie")))
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
	for _, header := range []http.Header{
		{"Referer": {"http://" + w.host + w.prefix + "/page"}},
		{"Cookie": {last}, "Referer": {"http://" + w.host + "/about"}},
	} {
		res, _ = plain.ask(t, http.MethodGet, "/static/a%2Fb.js?v=1", header)
		if got := res.Header.Get("Location"); res.StatusCode != http.StatusTemporaryRedirect ||
			got != w.prefix+"/static/a%2Fb.js?v=1" {
			t.Errorf("%v: %d to %q", header, res.StatusCode, got)
		}
		res, _ = plain.ask(t, http.MethodPost, "/login", header)
		if got := res.Header.Get("Location"); res.StatusCode != http.StatusTemporaryRedirect || got != w.prefix+"/login" {
			t.Errorf("%v: a form: %d to %q", header, res.StatusCode, got)
		}
	}
	conn, _, err := websocket.DefaultDialer.DialContext(t.Context(), "ws://"+w.host+"/api/kernels?x=1",
		http.Header{
			"Cookie": {last + "; " + sid.Name + "=" + sid.Value + "; sandlot-app-8702-other-sid=8"},
			"Origin": {"http://" + w.host},
		})
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
