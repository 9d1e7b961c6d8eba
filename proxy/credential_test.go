package proxy_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

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
					"Authorization": {
						"Bearer " + ours, kept, basic("u", ours), basic(ours, ""), "bearer " + ours,
						"Token token=\"" + ours + "\"", basic("u", "own"),
					},
					"X-Daytona-Preview-Token": {ours},
					"Referer":                 {"http://" + w.host + w.prefix + "/?DAYTONA_SANDBOX_AUTH_KEY=" + ours},
					"Cookie": {
						"own=1; sandlot-preview-8702-" + id + "=" + ours + "; b=2",
						"__Host-sandlot-preview-8702-" + id + "=" + ours,
					},
				}
				if !public { // let in by one more
					header["X-Daytona-Preview-Token"] = []string{tok(8702)}
				}
				res, body := w.ask(t, http.MethodGet, "/?a=1&DAYTONA%5fSANDBOX_AUTH%5FKEY="+ours+"&b=2", header)
				if res.StatusCode != http.StatusOK {
					t.Fatalf("%s: %d %s", w.name, res.StatusCode, body)
				}
				got := decode(t, body)
				if strings.Contains(body, ours) || strings.Contains(body, tok(8702)) || got.URI != "/?a=1&b=2" ||
					got.Header.Get("Cookie") != "own=1; b=2" {
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
		"Bearer\t" + ours, "ApiKey u:" + ours, "token='" + ours + "'",
		"Basic " + base64.RawStdEncoding.EncodeToString([]byte("u:"+ours)),
		"Basic " + base64.URLEncoding.EncodeToString([]byte("ü?>"+ours+":")), "Digest username=\"u\", response=" + ours,
	} {
		_, body := w.ask(t, http.MethodGet, "/", http.Header{"Authorization": {strings.ReplaceAll(line, "\\t", "\t")}})
		if decode(t, body).Header.Get("Authorization") != "" {
			t.Errorf("%q reached the app", line)
		}
	}
	const digest = `Digest username="u", realm="r", nonce="0123456789abcdef", uri="/", response="abcdef0123456789"`
	_, body := w.ask(t, http.MethodGet, "/", http.Header{"Authorization": {digest}})
	if decode(t, body).Header.Get("Authorization") != digest {
		t.Errorf("an app's own credential did not pass: %s", body)
	}
}

// Addresses of links are credentials: other apps and pages do not come to know them.
func TestLinksAreNotGivenAway(t *testing.T) {
	_, _, ways := doors(t, echo)
	for _, w := range ways {
		for _, page := range []string{
			"http://8703-" + link + "." + domain,
			"http://" + ways[2].host + "/p/" + link + "/9000/a",
		} {
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
	res, _ = ways[2].ask(t, http.MethodGet, "/",
		http.Header{"Cookie": {res.Cookies()[0].Name + "=" + res.Cookies()[0].Value}, "Sec-Fetch-Dest": {"document"}})
	for _, c := range res.Cookies() {
		if strings.Contains(c.Value, link) {
			t.Errorf("cookie %v tells of the link", c)
		}
	}
}
