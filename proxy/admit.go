package proxy

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sandlot-dev/sandlot/internal/auth"
	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/internal/serve"
)

const (
	tokenHeader = "X-Daytona-Preview-Token"
	tokenQuery  = "DAYTONA_SANDBOX_AUTH_KEY"
	cookieName  = "sandlot-preview"
)

var (
	errNoCredential = fault.New(fault.Unauthenticated,
		"no credential; send an API key as `Authorization: Bearer …`, or the preview token in the header "+tokenHeader)
	errNotAdmitted = fault.New(fault.Unauthenticated, "the credential is unknown, expired, or not for this sandbox")
)

// errNotFound answers those who have a key, for an unknown sandbox and for another organisation's alike.
func errNotFound(id string) error {
	return fault.Codef(fault.NotFound, "SANDBOX_NOT_FOUND", "sandbox %q not found", serve.Cut(id, serve.MaxWords))
}

// admit lets a request to a port in, or returns why not, and takes the credential that did it off the request. A sandbox that does not exist
// goes through the same as p.stranger: who has no credential for a sandbox is not told whether there is one.
func (p *Proxy) admit(r *http.Request, box *sandbox, id string, port int) error {
	given := credentials(r)
	if len(given) == 0 {
		return errNoCredential
	}
	refusal := errNotAdmitted
	for _, c := range given {
		ok := false
		switch c.kind {
		case byCookie:
			ok = box.PreviewToken != "" && auth.Equal(c.value, cookieValue(box, port))
		default:
			ok = auth.Equal(c.value, box.PreviewToken) // which c.value is not when there is none: it is never empty
		}
		if !ok && c.kind != byCookie {
			err := p.byKey(r, box, id, c.value)
			switch fault.KindOf(err) {
			case fault.Unauthenticated:
			case fault.NotFound: // a good key, but of others
				refusal = errNotFound(id)
			default:
				if err != nil {
					return err
				}
				ok = true
			}
		}
		if ok {
			if c.kind == byBearer {
				r.Header.Del("Authorization")
			}
			stripCredentials(r)
			return nil
		}
	}
	return refusal
}

// byKey asks whether an API key may use a sandbox, once per key while nothing changes. fault.Unauthenticated, fault.NotFound.
func (p *Proxy) byKey(r *http.Request, box *sandbox, id, key string) error {
	hash := sha256.Sum256([]byte(key))
	box.mu.Lock()
	until, known := box.admitted[hash]
	box.mu.Unlock()
	if known && (until.IsZero() || time.Now().Before(until)) {
		return nil
	}
	until, err := p.cfg.Locator.Admit(r.Context(), key, id)
	if err != nil {
		return err
	}
	if box == p.stranger { // it has just come to be
		return errNotFound(id)
	}
	box.mu.Lock()
	defer box.mu.Unlock()
	if len(box.admitted) < maxAdmitted {
		box.admitted[hash] = until
	}
	return nil
}

type kind int

const (
	byBearer kind = iota
	byToken
	byCookie
)

type credential struct {
	kind  kind
	value string
}

// credentials lists what a request shows, in the order it is tried.
func credentials(r *http.Request) []credential {
	var given []credential
	add := func(k kind, v string) {
		if v != "" {
			given = append(given, credential{k, v})
		}
	}
	bearer, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	add(byBearer, strings.TrimSpace(bearer))
	add(byToken, r.Header.Get(tokenHeader))
	if strings.Contains(r.URL.RawQuery, tokenQuery) {
		add(byToken, r.URL.Query().Get(tokenQuery))
	}
	if c, err := r.Cookie(cookieName); err == nil {
		add(byCookie, c.Value)
	}
	return given
}

// isStranger reports whether a request shows no credential.
func isStranger(r *http.Request) bool { return len(credentials(r)) == 0 }

// stripCredentials takes off all that is ours: the app behind must see none of it.
func stripCredentials(r *http.Request) {
	r.Header.Del(tokenHeader)
	if strings.Contains(r.URL.RawQuery, tokenQuery) {
		r.URL.RawQuery = dropQuery(r.URL.RawQuery, tokenQuery)
	}
	if _, err := r.Cookie(cookieName); err == nil {
		cookies := r.Cookies()
		r.Header.Del("Cookie")
		for _, c := range cookies {
			if c.Name != cookieName {
				r.AddCookie(c)
			}
		}
	}
}

// setCookie lets a browser that came with the token in its address fetch what the page needs. The cookie holds for this host, so
// for one port of one sandbox, and until the token changes.
func setCookie(w http.ResponseWriter, r *http.Request, box *sandbox, port int) {
	secure := r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https"
	http.SetCookie(w, &http.Cookie{
		Name: cookieName, Value: cookieValue(box, port), Path: "/", HttpOnly: true, Secure: secure, SameSite: http.SameSiteLaxMode,
	})
}

func cookieValue(box *sandbox, port int) string {
	mac := hmac.New(sha256.New, []byte(box.PreviewToken))
	_, _ = mac.Write([]byte("cookie:" + strconv.Itoa(port))) // a hash never fails to write
	return hex.EncodeToString(mac.Sum(nil))
}

// dropQuery takes parameters out of a query and leaves the rest as it was, byte for byte.
func dropQuery(raw string, names ...string) string {
	var kept []string
	for pair := range strings.SplitSeq(raw, "&") {
		if name, _, _ := strings.Cut(pair, "="); !slices.Contains(names, name) {
			kept = append(kept, pair)
		}
	}
	return strings.Join(kept, "&")
}

// signable are the toolbox operations that a signed address may call, with the method it is signed for.
var signable = map[string]string{
	"GET /files/download": "GET", "HEAD /files/download": "GET", "POST /files/upload-v2": "POST",
}

// signed reports whether a request is let in by its signature: "v1_" and the unpadded base64url of the HMAC-SHA256 of
// "v1:files:<METHOD>:<path>:<expires>" under the sandbox's signing key; expires is in Unix seconds, 0 for never (api.md 1.8).
func signed(r *http.Request, box *sandbox, path string) bool {
	method, ok := signable[r.Method+" "+path]
	if !ok || box.SigningKey == "" || !strings.Contains(r.URL.RawQuery, "signature=") {
		return false
	}
	q := r.URL.Query()
	if len(q["path"]) != 1 || len(q["expires"]) != 1 || len(q["signature"]) != 1 {
		return false // what is signed and what the toolbox reads must be the same
	}
	expires, err := strconv.ParseInt(q.Get("expires"), 10, 64)
	if err != nil || expires != 0 && time.Now().Unix() > expires {
		return false
	}
	mac := hmac.New(sha256.New, []byte(box.SigningKey))
	_, _ = mac.Write([]byte("v1:files:" + method + ":" + q.Get("path") + ":" + q.Get("expires"))) // a hash never fails to write
	return auth.Equal(q.Get("signature"), "v1_"+base64.RawURLEncoding.EncodeToString(mac.Sum(nil)))
}
