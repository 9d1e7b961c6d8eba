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

// An app in a sandbox is told that it is at http://localhost:PORT, as it would be on the machine of whoever wrote it: development servers
// refuse other names, and many apps refuse requests whose Origin is not their own. What it says of that address becomes the door's.

// local is the app's host as it is told.
func (d door) local() string { return "localhost:" + strconv.Itoa(d.port) }

// disguise makes a request that came to the door one to the app's own address: Host, and Origin and Referer where they are the door's. Those of
// others stay as they are. X-Forwarded-Host and -Proto tell the door, for apps that write their address into pages; with an Origin that has become
// the app's own they tell that, since apps hold the two against each other.
func (d door) disguise(out *http.Request) {
	h := out.Header
	out.Host = d.local()
	seen, scheme, prefix := d.host, d.scheme(), d.prefix
	if isLinkRef(d.ref) { // whose address is a credential
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
	for _, name := range []string{"Forwarded", "X-Forwarded-Port", "X-Forwarded-Server", "X-Forwarded-Ssl", "X-Forwarded-Scheme", "X-Real-Ip", "X-Original-Url"} {
		h.Del(name) // a visitor's own words
	}
}

// below returns path and query of a page of the door as the app knows them; of another byPath door's, which has the same host, nothing.
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

// reveal makes what an answer says of the app's address say the door's: where it leads to, and whom its cookies are for. addr is the
// sandbox's. Browsers keep no cookie in a frame of another site's page that does not ask for it.
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
		h.Del("Service-Worker-Allowed") // one for all paths would see what comes to other sandboxes
	}
	if d.form != byAddress {
		h.Del("Clear-Site-Data") // it would hold for the pages of other sandboxes too
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
			if !isOwnCookie(name) && (strings.TrimSpace(name) != "" || !isOwnCookie(value)) { // an app could have the visitor shut out
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

// refresh is an answer's Refresh: a time, and an address with or without its name.
var refresh = regexp.MustCompile(`(?i)^(\s*[\d.]*\s*[;,]\s*(?:url\s*=\s*)?)["']?([^"']+)["']?\s*$`)

// public returns what an address that an app gave is for the door's visitors. Addresses that are not the app's own stay as they are.
func (d door) public(given string, addr netip.Addr) string {
	u, err := url.Parse(given)
	named := false // by the proxy's own host
	switch {
	case err != nil || u.Scheme != "" && u.Scheme != "http" && u.Scheme != "https" || u.Opaque != "":
		return given
	case u.Host == "":
		if !strings.HasPrefix(given, "/") {
			return given // from the page's own path on
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

// cookie returns what a cookie that an app sets is for the door's visitors: never for more hosts than the door's.
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
		if d.prefix != "" && strings.EqualFold(strings.TrimSpace(name), "path") && value != d.prefix && !strings.HasPrefix(value, d.prefix+"/") &&
			!strings.HasPrefix(strings.ToLower(strings.TrimSpace(line)), "__host-") {
			parts[i+1] = " Path=" + d.prefix + "/" + strings.TrimPrefix(value, "/")
		}
	}
	if d.framed && d.trusted() {
		parts = append(parts, " Secure", " SameSite=None", " Partitioned")
	}
	return strings.Join(parts, ";")
}

// copy returns a copy of a cookie for all of a byPath door, as d.cookie made it, which is for all paths of the proxy: stray websockets have nothing else.
// It is one of ours, so that it reaches no other door.
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

// copies returns the cookies whose copies a request has, but for those that it has themselves.
func (d door) copies(r *http.Request) (cookies []*http.Cookie) {
	for _, c := range r.Cookies() {
		if name, ok := strings.CutPrefix(c.Name, d.copyPrefix()); ok && len(r.CookiesNamed(name)) == 0 {
			cookies = append(cookies, &http.Cookie{Name: name, Value: c.Value, Quoted: c.Quoted})
		}
	}
	return cookies
}
