package proxy

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/internal/serve"
)

// form says where an address has sandbox and port.
type form int

const (
	byHost    form = iota // {port}-{ref}.{domain}
	byPath                // /p/{ref}/{port}/
	byAddress             // a loopback address of the sandbox's own, with the app's own port
)

// door is an address at which visitors reach a port of a sandbox.
type door struct {
	form   form
	ref    string // the sandbox's id, or a link's token
	port   int
	prefix string // of paths, in front of the app's own; "" unless byPath
	host   string // as visitors see it, with its port if it has one
	secure bool   // visitors come by HTTPS
	stray  bool   // the request came without prefix
	framed bool   // the request comes from a frame on a page of another site
}

const pathPrefix = "/p/"

// door finds the door that a request came to; is reports whether there is one. Error: fault.NotFound for a malformed
// address of a door.
func (p *Proxy) door(r *http.Request) (d door, is bool, err error) {
	d.host, d.secure = r.Host, isSecure(r)
	if v := first(r.Header.Get("X-Forwarded-Host")); v != "" && isHost(v) { // set by a proxy in front of this one
		d.host = v
	}
	if own, ok := p.doors.at(r); ok {
		if !sameHost(withPort("http", r.Host), own.at.String()) { // somebody made this name resolve to the address
			return d, true, fault.Newf(fault.NotFound, "this is http://%s, not %q", own.at, serve.Cut(r.Host, serve.MaxWords))
		}
		d.form, d.ref, d.port = byAddress, own.sandbox, int(own.at.Port())
		return d, true, nil
	}
	if label, ok := p.previewLabel(r.Host); ok {
		d.port, d.ref, err = splitLabel(label)
		return d, true, err
	}
	if p.cfg.Paths && strings.HasPrefix(r.URL.EscapedPath(), pathPrefix) {
		d.form = byPath
		d.ref, d.port, d.prefix, err = splitPath(r.URL.EscapedPath())
		return d, true, err
	}
	return d, false, nil
}

// stray finds the door of a request that lacks the door's prefix, as when a page of a byPath door refers to its parts
// by absolute paths. The page that the request comes from decides, else, as for websockets, the page that this
// browser loaded last.
func (p *Proxy) stray(r *http.Request, d door) (door, bool) {
	if !p.cfg.Paths {
		return d, false
	}
	d.form = byPath
	var err error
	from, bad := url.Parse(r.Referer())
	if bad == nil && sameHost(from.Host, d.host) && strings.HasPrefix(from.EscapedPath(), pathPrefix) {
		d.ref, d.port, d.prefix, err = splitPath(from.EscapedPath())
		return d, err == nil
	}
	// Frames have one of their own.
	for _, name := range []string{hostPrefix + lastCookie, lastCookie + framedSuffix, lastCookie} {
		for _, c := range r.CookiesNamed(name) {
			if d.ref, d.port, d.prefix, err = splitPath(pathPrefix + c.Value); err == nil {
				return d, true
			}
		}
	}
	return d, false
}

// previewLabel returns the first label of a preview host.
func (p *Proxy) previewLabel(host string) (string, bool) {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	label, ok := strings.CutSuffix(strings.ToLower(host), "."+p.cfg.Domain)
	return label, ok && !strings.Contains(label, ".")
}

// splitLabel reads {port}-{ref}.
func splitLabel(label string) (port int, ref string, err error) {
	digits, ref, _ := strings.Cut(label, "-")
	port, ok := portOf(digits)
	if !ok || ref == "" {
		return 0, "", fault.Newf(fault.NotFound, "%q is not the host of a preview; they look like 3000-{sandboxId}",
			serve.Cut(label, serve.MaxWords))
	}
	return port, ref, nil
}

// splitPath reads /p/{ref}/{port} and ignores what follows; prefix is the part that was read.
func splitPath(escaped string) (ref string, port int, prefix string, err error) {
	ref, rest, _ := strings.Cut(strings.TrimPrefix(escaped, pathPrefix), "/")
	digits, _, _ := strings.Cut(rest, "/")
	port, ok := portOf(digits)
	if !ok || ref == "" || strings.ContainsAny(ref, "%;\"") {
		return "", 0, "", fault.Newf(fault.NotFound,
			"%q is not the path of a preview; they look like /p/{sandboxId}/3000/", serve.Cut(escaped, serve.MaxWords))
	}
	return strings.ToLower(ref), port, pathPrefix + ref + "/" + digits, nil
}

// portOf reads a port in plain digits without a leading zero, so that no reserved port has a second spelling.
func portOf(digits string) (port int, ok bool) {
	port, err := strconv.Atoi(digits)
	return port, err == nil && port >= 1 && port <= 65535 && strconv.Itoa(port) == digits
}

// origin returns the door as a browser writes it in Origin.
func (d door) origin() string { return d.scheme() + "://" + d.host }

func (d door) scheme() string {
	if d.secure {
		return "https"
	}
	return "http"
}

// owns reports whether a page or origin belongs to this door. Where visitors come by HTTPS, a page of plain HTTP does
// not. Where they seem to come by HTTP, both do: a proxy in front of this one may not have told.
func (d door) owns(page string) bool {
	u, err := url.Parse(page)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http" && !d.secure) &&
		sameHost(withPort(u.Scheme, u.Host), withPort(u.Scheme, d.host))
}

// trusted reports whether browsers consider the door secure, and so keep a cookie with the attribute Secure.
func (d door) trusted() bool {
	name := d.host
	if h, _, err := net.SplitHostPort(name); err == nil {
		name = h
	}
	ip, err := netip.ParseAddr(strings.Trim(name, "[]"))
	return d.secure || err == nil && ip.IsLoopback() ||
		strings.EqualFold(name, "localhost") || strings.HasSuffix(strings.ToLower(name), ".localhost")
}

// isSecure reports whether a visitor came by HTTPS: to this server, or to a proxy before it.
func isSecure(r *http.Request) bool {
	return r.TLS != nil || strings.EqualFold(first(r.Header.Get("X-Forwarded-Proto")), "https")
}

// first returns the first entry of a list in a header.
func first(list string) string {
	one, _, _ := strings.Cut(list, ",")
	return strings.TrimSpace(one)
}

// isHost reports whether a text is a host, with or without a port, and nothing else.
func isHost(text string) bool {
	u, err := url.Parse("http://" + text)
	return err == nil && u.Host == text && u.User == nil
}

func sameHost(a, b string) bool { return a != "" && strings.EqualFold(a, b) }

// withPort adds the scheme's default port to a host that has none.
func withPort(scheme, host string) string {
	if _, _, err := net.SplitHostPort(host); err == nil {
		return host
	}
	if scheme == "https" {
		return host + ":443"
	}
	return host + ":80"
}
