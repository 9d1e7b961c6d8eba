package proxy

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/sandlot-dev/sandlot/api"
	"github.com/sandlot-dev/sandlot/internal/auth"
	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/internal/serve"
)

var (
	errNoCredential = fault.New(fault.Unauthenticated,
		"no credential; send an API key as `Authorization: Bearer …`, "+
			"or the preview token of the port in the header "+tokenHeader)
	errNotAdmitted = fault.New(fault.Unauthenticated, "the credential is unknown, expired, or not for this sandbox")
)

// errNotFound is the answer to a caller with a key, both for an unknown sandbox and for one of another organisation.
func errNotFound(id string) error {
	return fault.Codef(fault.NotFound, "SANDBOX_NOT_FOUND", "sandbox %q not found", serve.Cut(id, serve.MaxWords))
}

// admit checks the credentials of a request to a port, and returns the one that admits it or the reason of the
// refusal. d is the door of the request, nil for the toolbox. For a sandbox that does not exist, box is p.stranger,
// which is checked the same way: a caller without a credential for a sandbox is not told whether it exists.
func (p *Proxy) admit(r *http.Request, box *sandbox, id string, port int, d *door) (by credential, err error) {
	cookie := ""
	if d != nil && (d.form != byPath || !isReserved(port)) { // browsers do not keep the pages of byPath doors apart
		cookie = cookieName(id, port)
	}
	given := credentials(r, cookie)
	if len(given) == 0 {
		return by, errNoCredential
	}
	given = given[:min(len(given), maxGiven)]
	refusal := errNotAdmitted
	for _, c := range given {
		link, err := p.try(r, box, id, port, c)
		c.link = link
		if err == nil && c.kind == byCookie {
			err = d.fromOwnPage(r)
		}
		switch kind := fault.KindOf(err); {
		case err == nil:
			return c, nil
		case kind == fault.NotFound: // a valid key of another organisation
			refusal = errNotFound(id)
		case kind != fault.Unauthenticated:
			return by, err
		case fault.CodeOf(err) != "":
			refusal = err
		}
	}
	return by, refusal
}

// maxGiven bounds the credentials of one request that are tried. Each may cost a look-up.
const maxGiven = 16

// try checks one credential against a port of a sandbox. l is the link whose token the credential is, if it is one.
// Errors: fault.Unauthenticated if the credential does not open the port, fault.NotFound for a key of another
// organisation.
func (p *Proxy) try(r *http.Request, box *sandbox, id string, port int, c credential) (l Link, err error) {
	if c.kind == byCookie && auth.Equal(c.value, cookieValue(box, port)) {
		return l, nil
	}
	if c.kind != byCookie {
		if of, ok := auth.PortOf(box.PreviewToken, c.value); ok && of == api.PreviewPort(port) {
			return l, nil
		} else if ok {
			return l, fault.Codef(fault.Unauthenticated, "TOKEN_OF_ANOTHER_PORT",
				"this token is for port %d, not for %d; each port has its own: ask for the preview link of this one", of, port)
		}
	}
	if auth.IsLink(c.value) {
		l, err = p.link(r.Context(), c.value)
		if err == nil && l.Sandbox == box.ID && l.Port == port || err != nil && fault.KindOf(err) != fault.Unauthenticated {
			return l, err
		}
	}
	if c.kind == byQuery || c.kind == byCookie { // a key in an address would be shown to others
		return Link{}, errNotAdmitted
	}
	return Link{}, p.byKey(r.Context(), box, id, c.value)
}

// byKey checks whether an API key may use a sandbox. It asks the Locator once per key, or word that is no key, until
// something changes. Errors: fault.Unauthenticated, fault.NotFound.
func (p *Proxy) byKey(ctx context.Context, box *sandbox, id, key string) error {
	hash := sha256.Sum256([]byte(key))
	box.mu.Lock()
	until, known := box.admitted[hash]
	_, foreign := box.foreign[hash]
	box.mu.Unlock()
	if known && (until.IsZero() || time.Now().Before(until)) {
		return nil
	} else if foreign {
		return errNotAdmitted
	}
	until, err := p.cfg.Locator.Admit(ctx, key, id)
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx) // the sandbox has ended, or the caller has left
	}
	if err == nil && box == p.stranger { // it was created in between
		err = errNotFound(id)
	}
	box.mu.Lock()
	defer box.mu.Unlock()
	switch {
	case err == nil && len(box.admitted) < maxAdmitted:
		box.admitted[hash] = until
	case fault.KindOf(err) == fault.Unauthenticated:
		if len(box.foreign) >= maxForeign {
			clear(box.foreign)
		}
		box.foreign[hash] = struct{}{}
	}
	return err
}

// signable are the toolbox operations that a signed address may call, with the method it is signed for.
var signable = map[string]string{
	"GET /files/download": "GET", "HEAD /files/download": "GET", "POST /files/upload-v2": "POST",
}

// signed reports whether the signature in the address of a request admits it (docs/wire.md, "Previews and the proxy").
func signed(r *http.Request, box *sandbox, path string) bool {
	method, ok := signable[r.Method+" "+path]
	if !ok || box.SigningKey == "" || !strings.Contains(r.URL.RawQuery, "signature=") {
		return false
	}
	q := r.URL.Query()
	if len(q["path"]) != 1 || len(q["expires"]) != 1 || len(q["signature"]) != 1 {
		return false // the toolbox must read what was signed
	}
	expires, err := strconv.ParseInt(q.Get("expires"), 10, 64)
	if err != nil || expires != 0 && time.Now().Unix() > expires {
		return false
	}
	mac := hmac.New(sha256.New, []byte(box.SigningKey))
	// A hash never fails to write.
	_, _ = mac.Write([]byte("v1:files:" + method + ":" + q.Get("path") + ":" + q.Get("expires")))
	return auth.Equal(q.Get("signature"), "v1_"+base64.RawURLEncoding.EncodeToString(mac.Sum(nil)))
}
