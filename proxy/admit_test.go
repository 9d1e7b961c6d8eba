package proxy_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sandlot-dev/sandlot/proxy"
)

// What an end of a sandbox was due to is for those who may use it.
func TestStrangersAreToldNoReasons(t *testing.T) {
	f, p, srv := world(t, echo)
	f.set(func(f *fleet) { f.target.Public = true })
	end(f, p)
	host := "3000-" + id + "." + domain
	if res, body := send(t, srv, call{host: host, path: "/"}); res.StatusCode != http.StatusConflict ||
		strings.Contains(body, killed) || !strings.Contains(body, "is stopped") {
		t.Errorf("a stranger: %d %s", res.StatusCode, body)
	}
	if res, body := send(t, srv, call{
		path:   "/toolbox/" + id + "/version",
		header: map[string]string{"X-Daytona-Preview-Token": tok(2280)},
	}); res.StatusCode != http.StatusConflict ||
		!strings.Contains(body, killed) {
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
			for _, path := range []string{
				"/toolbox/ID/files/download", "/toolbox/ID/init", "/toolbox/ID", "3000-ID",
				"2280-ID", "6080-ID",
			} {
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
		{"another key", false, call{
			path:   "/toolbox/" + id + "/version",
			header: map[string]string{"Authorization": "Bearer dtn_bad"},
		}, 401},
		{"token in header", false, call{
			path:   "/toolbox/" + id + "/version",
			header: map[string]string{"X-Daytona-Preview-Token": tok(2280)},
		}, 200},
		{"token in query", false, call{path: "/toolbox/" + id + "/version?DAYTONA_SANDBOX_AUTH_KEY=" + tok(2280)}, 200},
		{"token as bearer", false, call{
			path:   "/toolbox/" + id + "/version",
			header: map[string]string{"Authorization": "bearer " + tok(2280)},
		}, 200},
		{"token of port 1", false, call{path: "/toolbox/" + id + "/version?DAYTONA_SANDBOX_AUTH_KEY=" + tok(1)}, 200},
		{"what tokens come from", false, call{path: "/toolbox/" + id + "/version?DAYTONA_SANDBOX_AUTH_KEY=tok"}, 401},
		{
			"token of a port at the toolbox", false,
			call{path: "/toolbox/" + id + "/version?DAYTONA_SANDBOX_AUTH_KEY=" + tok(3000)},
			401,
		},
		{"token of a port at the terminal", true, call{
			host: preview("22222"),
			path: "/?DAYTONA_SANDBOX_AUTH_KEY=" + tok(3000),
		}, 401},
		{
			"token of a port at another", false,
			call{host: preview("3001"), path: "/?DAYTONA_SANDBOX_AUTH_KEY=" + tok(3000)},
			401,
		},
		{"token of the toolbox at a port", false, call{
			host: preview("3000"),
			path: "/?DAYTONA_SANDBOX_AUTH_KEY=" + tok(2280),
		}, 401},
		{"API key in an address", false, call{host: preview("3000"), path: "/?DAYTONA_SANDBOX_AUTH_KEY=dtn_good"}, 401},
		{"second line of Authorization", false, call{
			path:  "/toolbox/" + id + "/version",
			lines: []string{"Basic eDp5", "Bearer dtn_good"},
		}, 200},
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
				if err := json.Unmarshal([]byte(body), &e); err != nil || e.StatusCode != tc.want || e.Message == "" ||
					e.Code == "" || e.Source != "DAYTONA_PROXY" {
					t.Errorf("error body %s: %v", body, err)
				}
			}
		})
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
	twice := "/toolbox/" + id + "/files/download?path=/etc/shadow&path=/a&expires=0&signature=" +
		sign("sk_a", "GET", "/etc/shadow", "0")
	if res, _ := send(t, srv, call{path: twice}); res.StatusCode != http.StatusUnauthorized {
		t.Errorf("two paths: %d, want 401", res.StatusCode)
	}
	f.set(func(f *fleet) { f.target.SigningKey = "sk_new" })
	p.Forget(id)
	q := url.Values{"path": {"/a"}, "expires": {later}, "signature": {sign("sk_a", "GET", "/a", later)}}
	if res, _ := send(t, srv,
		call{path: "/toolbox/" + id + "/files/download?" + q.Encode()}); res.StatusCode != http.StatusUnauthorized {
		t.Errorf("after rotation: %d, want 401", res.StatusCode)
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
		for _, form := range []way{
			{host: "8702-%s." + domain},
			{host: ways[2].host, prefix: "/p/%s/8702"},
			{host: ways[2].host, prefix: "/toolbox/%s"},
		} {
			var said []string
			for _, ref := range []string{id, other} {
				w := way{
					srv: ways[2].srv, host: strings.Replace(form.host, "%s", ref, 1),
					prefix: strings.Replace(form.prefix, "%s", ref, 1),
				}
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
