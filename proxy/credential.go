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
	// ownCookies is the prefix of the names of our cookies.
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
	link  Link // the link whose token it is; zero if it is none
}

// credentials lists the credentials that a request shows, in the order they are tried. Only the cookie of that name
// counts; "" means none. There may be several of one name, since an app can set one for a part of its paths.
func credentials(r *http.Request, cookie string) []credential {
	var given []credential
	add := func(k kind, v string) {
		if v != "" {
			given = append(given, credential{kind: k, value: v})
		}
	}
	for _, line := range r.Header["Authorization"] {
		if scheme, value, _ := strings.Cut(strings.ReplaceAll(line, "\t", " "), " "); strings.EqualFold(scheme, "Bearer") {
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

// strip removes every credential of ours from a request, wherever it stands and whatever it opens: apps are others'
// code and must see none. An app's own credentials stay.
func (p *Proxy) strip(r *http.Request, box *sandbox, d *door) {
	h := r.Header
	h.Del(tokenHeader)
	h.Del("X-Daytona-Authorization")
	if lines := h["Authorization"]; len(lines) > 0 {
		lines = slices.Clone(lines[:min(len(lines), maxGiven)])
		h["Authorization"] = slices.DeleteFunc(lines, func(line string) bool { return p.holdsOurs(r.Context(), box, line) })
	}
	r.URL.RawQuery = dropQuery(r.URL.RawQuery, tokenQuery)
	p.stripPages(h, d)
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

// stripPages removes credentials from the headers that name pages: tokens in addresses, and addresses of links.
// Addresses of the door's own pages stay, because disguise rewrites them.
func (p *Proxy) stripPages(h http.Header, d *door) {
	if from := h.Get("Referer"); from != "" {
		page, err := url.Parse(from)
		isOwn := err == nil && d != nil && d.owns(from) && strings.HasPrefix(page.EscapedPath(), d.prefix+"/")
		switch {
		case err != nil, p.isLink(page) && !isOwn:
			h.Del("Referer")
		case page.RawQuery != "":
			if kept := dropQuery(page.RawQuery, tokenQuery); kept != page.RawQuery {
				page.RawQuery = kept
				h.Set("Referer", page.String())
			}
		}
	}
	origin := h.Get("Origin")
	if page, err := url.Parse(origin); err == nil && p.isLink(page) && (d == nil || !d.owns(origin)) {
		h.Set("Origin", "null")
	}
}

// isLink reports whether a page belongs to the door of a signed link.
func (p *Proxy) isLink(page *url.URL) bool {
	if label, ok := p.previewLabel(page.Host); ok {
		_, ref, _ := strings.Cut(label, "-")
		return isLinkRef(ref)
	}
	ref, _, _, err := splitPath(page.EscapedPath())
	return err == nil && strings.HasPrefix(page.EscapedPath(), pathPrefix) && isLinkRef(ref)
}

// holdsOurs reports whether a line of Authorization, of any scheme, holds a credential of ours.
func (p *Proxy) holdsOurs(ctx context.Context, box *sandbox, line string) bool {
	texts := []string{line}
	scheme, rest, _ := strings.Cut(strings.TrimSpace(strings.ReplaceAll(line, "\t", " ")), " ")
	if rest = strings.TrimSpace(rest); strings.EqualFold(scheme, "Basic") {
		bare := strings.TrimRight(rest, "=")
		for _, coding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			if plain, err := coding.DecodeString(bare); err == nil {
				texts = append(texts, string(plain))
			}
		}
	}
	return slices.ContainsFunc(texts, func(text string) bool {
		if p.cfg.Key != "" && strings.Contains(text, p.cfg.Key) {
			return true
		}
		words := strings.FieldsFunc(text, func(r rune) bool { // these characters occur in none of our tokens
			return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '_'
		})
		if slices.ContainsFunc(words, func(w string) bool {
			_, ok := auth.PortOf(box.PreviewToken, w)
			return ok || strings.HasPrefix(w, "dtn_")
		}) {
			return true
		}
		links := slices.DeleteFunc(words, func(w string) bool { return !auth.IsLink(w) })
		return slices.ContainsFunc(links[:min(len(links), maxLinks)], func(w string) bool {
			_, err := p.cfg.Locator.Link(ctx, w)
			return fault.KindOf(err) != fault.NotFound // a failed look-up counts as ours
		})
	})
}

const (
	// maxLinks bounds the look-ups of words of one line as tokens of links.
	maxLinks = 2
	// maxForeign bounds the foreign words, such as an app's own tokens, that are remembered per sandbox.
	maxForeign = 1024
)

// dropQuery removes parameters from a query, however their names are encoded, and keeps the rest byte for byte.
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

// dropCookies removes our cookies from a line of the Cookie header and keeps the others unchanged.
func dropCookies(line string) string {
	if !strings.Contains(strings.ToLower(line), ownCookies) {
		return line
	}
	var kept []string
	for pair := range strings.SplitSeq(line, ";") {
		name, value, _ := strings.Cut(pair, "=")
		// Browsers send a cookie without a name as its value alone.
		if !isOwnCookie(name) && (strings.TrimSpace(name) != "" || !isOwnCookie(value)) {
			kept = append(kept, strings.TrimSpace(pair))
		}
	}
	return strings.Join(kept, "; ")
}

// isOwnCookie reports whether a cookie's name is one of ours. Browsers compare names with case, and the prefixes
// without.
func isOwnCookie(name string) bool {
	name = strings.ToLower(strings.TrimSpace(name))
	for _, prefix := range []string{"__host-", "__secure-"} {
		name = strings.TrimPrefix(name, prefix)
	}
	return strings.HasPrefix(name, ownCookies)
}
