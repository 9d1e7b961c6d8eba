package proxy_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sandlot-dev/sandlot/proxy"
)

func TestToolboxPathIsForwardedWholeWithoutTheCallersCredentials(t *testing.T) {
	_, _, srv := world(t, echo)
	res, body := send(t, srv, call{
		method: http.MethodPost, path: "/toolbox/" + id + "/process/session/a%2Fb%20c/exec?x=1&DAYTONA_SANDBOX_AUTH_KEY=" +
			tok(2280) + "&y=%zz;&z", body: "payload",
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

func TestPagesOfAnyOriginMayCallToolboxes(t *testing.T) {
	_, _, srv := world(t, echo)
	res, _ := send(t, srv, call{method: http.MethodOptions, path: "/toolbox/" + id + "/files", header: map[string]string{
		"Origin": "https://app.test", "Access-Control-Request-Method": "GET",
		"Access-Control-Request-Headers": "authorization,x-a",
	}})
	if res.StatusCode != http.StatusNoContent || res.Header.Get("Access-Control-Allow-Origin") != "https://app.test" ||
		res.Header.Get("Access-Control-Allow-Headers") != "authorization,x-a" ||
		res.Header.Get("Access-Control-Allow-Credentials") != "" {
		t.Errorf("preflight: %d %v", res.StatusCode, res.Header)
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
