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

// admit lets a request to a port in, or returns why not, and takes the credential that did it off the request.
func (p *Proxy) admit(r *http.Request, room *room, port int) error {
	given := credentials(r)
	if len(given) == 0 {
		return errNoCredential
	}
	for _, c := range given {
		ok := false
		switch c.kind {
		case byCookie:
			ok = auth.Equal(c.value, cookieValue(room, port))
		default:
			ok = auth.Equal(c.value, room.PreviewToken)
		}
		if !ok && c.kind != byCookie {
			var err error
			if ok, err = p.byKey(r, room, c.value); err != nil {
				return err
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
	return errNotAdmitted
}

// byKey asks whether an API key may use a sandbox, once per key while nothing changes.
func (p *Proxy) byKey(r *http.Request, room *room, key string) (bool, error) {
	hash := sha256.Sum256([]byte(key))
	room.mu.Lock()
	until, known := room.admitted[hash]
	room.mu.Unlock()
	if known && (until.IsZero() || time.Now().Before(until)) {
		return true, nil
	}
	until, err := p.cfg.Locator.Admit(r.Context(), key, room.ID)
	switch kind := fault.KindOf(err); {
	case kind == fault.Unauthenticated || kind == fault.NotFound:
		return false, nil
	case err != nil:
		return false, err
	}
	room.mu.Lock()
	defer room.mu.Unlock()
	if len(room.admitted) < maxAdmitted {
		room.admitted[hash] = until
	}
	return true, nil
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
func setCookie(w http.ResponseWriter, r *http.Request, room *room, port int) {
	secure := r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https"
	http.SetCookie(w, &http.Cookie{
		Name: cookieName, Value: cookieValue(room, port), Path: "/", HttpOnly: true, Secure: secure, SameSite: http.SameSiteLaxMode,
	})
}

func cookieValue(room *room, port int) string {
	mac := hmac.New(sha256.New, []byte(room.PreviewToken))
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
func signed(r *http.Request, room *room, path string) bool {
	method, ok := signable[r.Method+" "+path]
	if !ok || room.SigningKey == "" || !strings.Contains(r.URL.RawQuery, "signature=") {
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
	mac := hmac.New(sha256.New, []byte(room.SigningKey))
	_, _ = mac.Write([]byte("v1:files:" + method + ":" + q.Get("path") + ":" + q.Get("expires"))) // a hash never fails to write
	return auth.Equal(q.Get("signature"), "v1_"+base64.RawURLEncoding.EncodeToString(mac.Sum(nil)))
}
