package proxy

import (
	"context"
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/sandlot-dev/sandlot/internal/auth"
	"github.com/sandlot-dev/sandlot/internal/fault"
)

// TokenQuery names the parameter of an address that holds a token.
const TokenQuery = "DAYTONA_SANDBOX_AUTH_KEY"

const (
	tokenHeader = "X-Daytona-Preview-Token"
	tokenQuery  = TokenQuery
	// ownCookies begins the names of all cookies of ours.
	ownCookies = "sandlot-"
)

type kind int

const (
	byBearer kind = iota // may be an API key
	byToken
	byQuery
	byCookie
)

type credential struct {
	kind  kind
	value string
}

// credentials lists what a request shows, in the order it is tried. Cookies count at doors alone: those of name, and there may be several,
// since an app can set one of the same name for a part of its paths.
func credentials(r *http.Request, cookie string) []credential {
	var given []credential
	add := func(k kind, v string) {
		if v != "" {
			given = append(given, credential{k, v})
		}
	}
	for _, line := range r.Header["Authorization"] {
		if scheme, value, _ := strings.Cut(line, " "); strings.EqualFold(scheme, "Bearer") {
			add(byBearer, strings.TrimSpace(value))
		}
	}
	add(byToken, r.Header.Get(tokenHeader))
	if r.URL.RawQuery != "" {
		for _, v := range r.URL.Query()[tokenQuery] {
			add(byQuery, v)
		}
	}
	if cookie != "" {
		for _, name := range []string{hostPrefix + cookie, cookie, cookie + framedSuffix} {
			for _, c := range r.CookiesNamed(name) {
				add(byCookie, c.Value)
			}
		}
	}
	return given
}

// strip takes every credential of ours off a request, wherever it stands and whatever it opens: apps are others' code and see none. An app's
// own credentials pass.
func (p *Proxy) strip(r *http.Request, box *sandbox) {
	h := r.Header
	h.Del(tokenHeader)
	h.Del("X-Daytona-Authorization")
	if lines := h["Authorization"]; len(lines) > 0 {
		h["Authorization"] = slices.DeleteFunc(slices.Clone(lines), func(line string) bool { return p.holdsOurs(r.Context(), box, line) })
	}
	r.URL.RawQuery = dropQuery(r.URL.RawQuery, tokenQuery)
	if from, err := url.Parse(h.Get("Referer")); err == nil && from.RawQuery != "" {
		if kept := dropQuery(from.RawQuery, tokenQuery); kept != from.RawQuery {
			from.RawQuery = kept
			h.Set("Referer", from.String())
		}
	}
	if lines := h["Cookie"]; len(lines) > 0 {
		var kept []string
		for _, line := range lines {
			if line = dropCookies(line); line != "" {
				kept = append(kept, line)
			}
		}
		h["Cookie"] = kept
	}
}

// holdsOurs reports whether a line of Authorization, of whatever scheme, holds a credential of ours.
func (p *Proxy) holdsOurs(ctx context.Context, box *sandbox, line string) bool {
	scheme, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
	words := append(strings.FieldsFunc(rest, func(r rune) bool { return strings.ContainsRune(" ,=\"", r) }), strings.TrimSpace(rest), scheme)
	if plain, err := base64.StdEncoding.DecodeString(strings.TrimSpace(rest)); err == nil && strings.EqualFold(scheme, "Basic") {
		user, password, _ := strings.Cut(string(plain), ":")
		words = append(words, user, password)
	}
	return slices.ContainsFunc(words, func(w string) bool { return p.isOurs(ctx, box, w) })
}

// isOurs reports whether a text is an API key, or a token of this sandbox. What cannot be found out counts as ours.
func (p *Proxy) isOurs(ctx context.Context, box *sandbox, text string) bool {
	if len(text) < shortest {
		return false
	}
	if _, ok := auth.PortOf(box.PreviewToken, text); ok || strings.HasPrefix(text, "dtn_") {
		return true
	}
	if auth.IsLink(text) {
		if _, err := p.cfg.Locator.Link(ctx, text); fault.KindOf(err) != fault.NotFound {
			return true
		}
	}
	return fault.KindOf(p.byKey(ctx, box, box.ID, text)) != fault.Unauthenticated
}

const (
	// shortest is the length of the shortest credential of ours that is looked for, but for keys that the settings give, which may be of any.
	shortest = 8
	// maxForeign bounds the words that are none of ours, such as an app's own tokens, remembered per sandbox.
	maxForeign = 1024
)

// dropQuery takes parameters out of a query, however their names are encoded, and leaves the rest as it was, byte for byte.
func dropQuery(raw string, names ...string) string {
	if raw == "" {
		return raw
	}
	var kept []string
	for pair := range strings.SplitSeq(raw, "&") {
		name, _, _ := strings.Cut(pair, "=")
		if plain, err := url.QueryUnescape(name); err == nil {
			name = plain
		}
		if !slices.Contains(names, name) {
			kept = append(kept, pair)
		}
	}
	return strings.Join(kept, "&")
}

// dropCookies takes our cookies out of a line of the Cookie header, and leaves the others as they are.
func dropCookies(line string) string {
	if !strings.Contains(strings.ToLower(line), ownCookies) {
		return line
	}
	var kept []string
	for pair := range strings.SplitSeq(line, ";") {
		if name, _, _ := strings.Cut(pair, "="); !isOwnCookie(name) {
			kept = append(kept, strings.TrimSpace(pair))
		}
	}
	return strings.Join(kept, "; ")
}

// isOwnCookie reports whether a cookie's name is one of ours. Browsers tell names apart by case, and prefixes without.
func isOwnCookie(name string) bool {
	name = strings.ToLower(strings.TrimSpace(name))
	for _, prefix := range []string{"__host-", "__secure-"} {
		name = strings.TrimPrefix(name, prefix)
	}
	return strings.HasPrefix(name, ownCookies)
}
