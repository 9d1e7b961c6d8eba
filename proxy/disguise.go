package proxy

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// An app in a sandbox sees itself at http://localhost:PORT, as it would on a developer's machine: development servers
// refuse other host names, and many apps refuse requests whose Origin is not their own. disguise rewrites the
// requests, and reveal rewrites that address in the answers to the door's.

// local returns the host that the app sees itself at.
func (d door) local() string { return "localhost:" + strconv.Itoa(d.port) }

// disguise rewrites a request to the door into one to the app's own address. It changes Host, and Origin and Referer
// where they name the door; those of other sites stay. X-Forwarded-Host and -Proto name the door, for apps that write
// their address into pages. Where the Origin was rewritten they name the app's own address too, since apps compare
// the two.
func (d door) disguise(out *http.Request) {
	h := out.Header
	out.Host = d.local()
	seen, scheme, prefix := d.host, d.scheme(), d.prefix
	if isLinkRef(d.ref) { // the address is a credential
		seen, scheme, prefix = d.local(), "http", ""
	}
	if origin := h.Get("Origin"); origin != "" && (d.owns(origin) || isHidden(out)) {
		h.Set("Origin", "http://"+d.local())
		seen, scheme = d.local(), "http"
	}
	if from := h.Get("Referer"); from != "" && d.owns(from) {
		h.Set("Referer", "http://"+d.local()+d.below(from))
	}
	h.Set("X-Forwarded-Host", seen)
	h.Set("X-Forwarded-Proto", scheme)
	h.Del("X-Forwarded-Prefix")
	if prefix != "" {
		h.Set("X-Forwarded-Prefix", prefix)
	}
	for _, name := range []string{ // a visitor could have written them
		"Forwarded", "X-Forwarded-Port", "X-Forwarded-Server", "X-Forwarded-Ssl", "X-Forwarded-Scheme", "X-Real-Ip",
		"X-Original-Url",
	} {
		h.Del(name)
	}
}

// below returns path and query of a page of the door as the app knows them, and "/" for a page of another byPath
// door, which has the same host.
func (d door) below(page string) string {
	u, err := url.Parse(page)
	if err != nil {
		return "/"
	}
	path := u.EscapedPath()
	if under, ok := strings.CutPrefix(path, d.prefix+"/"); ok {
		path = "/" + under
	} else if d.prefix != "" && strings.HasPrefix(path, pathPrefix) {
		return "/"
	}
	if u.RawQuery != "" {
		path += "?" + u.RawQuery
	}
	return path
}

// reveal rewrites an answer's mentions of the app's address to the door's: in redirects, and in the domains and paths
// of cookies. addr is the sandbox's address. In a frame on a page of another site browsers keep only cookies that ask
// for it, so reveal adds the attributes.
func (d door) reveal(h http.Header, addr netip.Addr) {
	for _, name := range []string{"Location", "Content-Location"} {
		if v := h.Get(name); v != "" {
			h.Set(name, d.public(v, addr))
		}
	}
	if v := refresh.FindStringSubmatch(h.Get("Refresh")); v != nil {
		h.Set("Refresh", v[1]+d.public(v[2], addr))
	}
	if d.form == byPath {
		h.Del("Service-Worker-Allowed") // a worker for all paths would see requests to other sandboxes
	}
	if d.form != byAddress {
		h.Del("Clear-Site-Data") // it would clear the data of other sandboxes too
	}
	if isLinkRef(d.ref) {
		h.Set("Referrer-Policy", "same-origin") // the address is a credential
	}
	if h.Get("Access-Control-Allow-Origin") == "http://"+d.local() {
		h.Set("Access-Control-Allow-Origin", d.origin())
	}
	if lines := h["Set-Cookie"]; len(lines) > 0 {
		var kept []string
		for _, line := range lines {
			name, value, _ := strings.Cut(line, "=")
			// With a cookie of our name, an app could lock the visitor out.
			if !isOwnCookie(name) && (strings.TrimSpace(name) != "" || !isOwnCookie(value)) {
				line = d.cookie(line, addr)
				kept = append(kept, line)
				if d.prefix != "" {
					kept = append(kept, d.copy(line)...)
				}
			}
		}
		h["Set-Cookie"] = kept
	}
}

// refresh matches the Refresh header of an answer: a time, and an address with or without its name.
var refresh = regexp.MustCompile(`(?i)^(\s*[\d.]*\s*[;,]\s*(?:url\s*=\s*)?)["']?([^"']+)["']?\s*$`)

// public translates an address that an app gave for the door's visitors. Addresses that are not the app's own are
// returned unchanged.
func (d door) public(given string, addr netip.Addr) string {
	u, err := url.Parse(given)
	named := false // the address has the proxy's own host
	switch {
	case err != nil || u.Scheme != "" && u.Scheme != "http" && u.Scheme != "https" || u.Opaque != "":
		return given
	case u.Host == "":
		if !strings.HasPrefix(given, "/") {
			return given // relative to the page's own path
		}
	case d.isLocal(u, addr):
		u.Scheme, u.Host = d.scheme(), d.host
	case sameHost(withPort(d.scheme(), u.Host), withPort(d.scheme(), d.host)):
		named = true
		u.Scheme, u.Host = d.scheme(), d.host
	default:
		return given
	}
	if path := u.EscapedPath(); d.prefix != "" && path != d.prefix && !strings.HasPrefix(path, d.prefix+"/") &&
		!(named && (strings.HasPrefix(path, pathPrefix) || strings.HasPrefix(path, "/toolbox/"))) {
		u.RawPath = d.prefix + "/" + strings.TrimPrefix(path, "/")
		u.Path, _ = url.PathUnescape(u.RawPath) // it was part of a URL that has been parsed
	}
	return u.String()
}

// isLocal reports whether a URL names the app by an address that it has inside the sandbox.
func (d door) isLocal(u *url.URL, addr netip.Addr) bool {
	port := u.Port()
	if port == "" {
		port = map[bool]string{true: "443", false: "80"}[u.Scheme == "https"]
	}
	return port == strconv.Itoa(d.port) && isLocalName(u.Hostname(), addr)
}

func isLocalName(name string, addr netip.Addr) bool {
	if strings.EqualFold(name, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(name)
	return err == nil && (ip.IsLoopback() || ip.IsUnspecified() || ip == addr)
}

// cookie translates a cookie that an app sets for the door's visitors. The result is never valid for more hosts than
// the door's.
func (d door) cookie(line string, addr netip.Addr) string {
	host := d.host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	parts := strings.Split(line, ";")
	parts = append(parts[:1], slices.DeleteFunc(parts[1:], func(part string) bool {
		name, value, _ := strings.Cut(part, "=")
		switch name = strings.ToLower(strings.TrimSpace(name)); name {
		case "domain":
			domain := strings.ToLower(strings.TrimPrefix(strings.TrimSpace(value), "."))
			return isLocalName(domain, addr) || strings.HasSuffix("."+strings.ToLower(host), "."+domain)
		case "samesite", "secure", "partitioned":
			return d.framed && d.trusted()
		}
		return false
	})...)
	for i, part := range parts[1:] {
		name, value, _ := strings.Cut(part, "=")
		value = strings.TrimSpace(value)
		if d.prefix != "" && strings.EqualFold(strings.TrimSpace(name), "path") &&
			value != d.prefix && !strings.HasPrefix(value, d.prefix+"/") &&
			!strings.HasPrefix(strings.ToLower(strings.TrimSpace(line)), "__host-") {
			parts[i+1] = " Path=" + d.prefix + "/" + strings.TrimPrefix(value, "/")
		}
	}
	if d.framed && d.trusted() {
		parts = append(parts, " Secure", " SameSite=None", " Partitioned")
	}
	return strings.Join(parts, ";")
}

// copy returns a copy, valid for all paths of the proxy, of a cookie that is valid for all of a byPath door. line is
// as d.cookie returned it. Websockets that lack the door's prefix carry no other cookie. The copy has a name of ours,
// so that it reaches no other door.
func (d door) copy(line string) []string {
	pair, rest, _ := strings.Cut(line, ";")
	everywhere := strings.Replace(rest+";", " Path="+d.prefix+"/;", " Path=/;", 1)
	if everywhere == rest+";" {
		return nil
	}
	return []string{d.copyPrefix() + strings.TrimSpace(pair) + ";" + everywhere + " HttpOnly"}
}

func (d door) copyPrefix() string {
	return ownCookies + "app-" + strconv.Itoa(d.port) + "-" + d.ref + "-"
}

// copies returns the cookies of which a request has only the copies.
func (d door) copies(r *http.Request) (cookies []*http.Cookie) {
	for _, c := range r.Cookies() {
		if name, ok := strings.CutPrefix(c.Name, d.copyPrefix()); ok && len(r.CookiesNamed(name)) == 0 {
			cookies = append(cookies, &http.Cookie{Name: name, Value: c.Value, Quoted: c.Quoted})
		}
	}
	return cookies
}
