package proxy

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/sandlot-dev/sandlot/api"
	"github.com/sandlot-dev/sandlot/internal/auth"
	"github.com/sandlot-dev/sandlot/internal/fault"
)

const (
	// hostPrefix makes browsers refuse the cookie from another host, or without HTTPS.
	hostPrefix = "__Host-"
	// framedSuffix ends the name of the second cookie over plain HTTP: that one is for frames on pages of other sites, the
	// plain one for pages.
	framedSuffix = "-framed"
	// framedCookie marks requests of a frame on a page of another site. Browsers send it only there.
	framedCookie = ownCookies + "framed"
	// lastCookie has the byPath door whose page a browser loaded last, as {ref}/{port}.
	lastCookie = ownCookies + "last"
)

// cookieName returns the name of the cookie that admits a browser to one port of one sandbox. The name has both in it,
// because browsers send a cookie to all ports of a host, and paths do not separate cookies well.
func cookieName(id string, port int) string {
	return ownCookies + "preview-" + strconv.Itoa(port) + "-" + strings.ToLower(id)
}

// cookieValue returns the cookie's value for a browser that came with the token of a port. A browser that came with a
// link gets the link's token instead, which expires with the link.
func cookieValue(box *sandbox, port int) string {
	mac := hmac.New(sha256.New, []byte(auth.PortToken(box.PreviewToken, api.PreviewPort(port))))
	_, _ = mac.Write([]byte("cookie")) // a hash never fails to write
	return hex.EncodeToString(mac.Sum(nil))
}

// setCookie sets a cookie of ours for the door's host. Browsers send it in frames on pages of other sites only if it
// is secure and kept apart for each such site (Partitioned). A browser that does not keep secure cookies of a plain
// localhost gets a second cookie, without these attributes.
func (d door) setCookie(h http.Header, name, value string) {
	c := http.Cookie{Name: name, Value: value, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode}
	if d.secure {
		c.Name = hostPrefix + name
	} else {
		h.Add("Set-Cookie", c.String())
		c.Name += framedSuffix
	}
	if d.trusted() {
		c.Secure, c.SameSite, c.Partitioned = true, http.SameSiteNoneMode, true
		h.Add("Set-Cookie", c.String())
	}
}

// errForeignPage is the answer to a page that uses the cookie of another page: the visitor did not ask.
var errForeignPage = fault.Codef(fault.Forbidden, "FOREIGN_PAGE",
	"a page of another site, or of another port, asks in the name of a visitor of this preview, "+
		"which its own pages alone may; "+
		"have the app's server ask, with the preview token in the header "+tokenHeader+", or make the sandbox public")

// fromOwnPage refuses requests that a page of another site makes a browser send with our cookie. Such a page may show
// the door's pages, by link or in a frame. Every other request, above all one that changes something, must come from
// a page of the door. Programs send no headers about pages and pass.
func (d door) fromOwnPage(r *http.Request) error {
	h := r.Header
	origin, site := h.Get("Origin"), h.Get("Sec-Fetch-Site")
	if isHidden(r) {
		origin = d.origin()
	}
	safe := r.Method == http.MethodGet || r.Method == http.MethodHead
	socket := isUpgrade(r)
	switch {
	case origin != "" && !d.owns(origin), socket && origin == "":
		return errForeignPage
	case d.form == byPath && !d.owned(r, socket):
		return errForeignPage
	case origin != "", site == "", site == "same-origin", site == "none":
		return nil
	case safe && h.Get("Sec-Fetch-Mode") == "navigate":
		return nil
	}
	return errForeignPage
}

// owned reports whether a request at a byPath door can come from one of the door's own pages. All byPath doors share
// one origin, so the Referer decides. A websocket does not name its page.
func (d door) owned(r *http.Request, socket bool) bool {
	from := r.Referer()
	navigates := r.Header.Get("Sec-Fetch-Mode") == "navigate" && r.Method == http.MethodGet
	if socket || from == "" || !d.owns(from) || navigates {
		return true
	}
	page, err := url.Parse(from)
	if err != nil {
		return false
	}
	path := page.EscapedPath()
	return !strings.HasPrefix(path, pathPrefix) || strings.HasPrefix(path, d.prefix+"/")
}

// isHidden reports whether the browser sent Origin: null although the page is of the same origin, as Referrer-Policy:
// no-referrer makes it do for forms. A frame without an origin of its own is not same-origin.
func isHidden(r *http.Request) bool {
	return r.Header.Get("Origin") == "null" && r.Header.Get("Sec-Fetch-Site") == "same-origin"
}

// isUpgrade reports whether a request is the beginning of a websocket.
func isUpgrade(r *http.Request) bool { return strings.EqualFold(r.Header.Get("Upgrade"), "websocket") }

// isPage reports whether a browser loads a page, and whether that is in a frame. Over plain HTTP to another machine a
// browser does not say what it loads; frames then look like pages.
func isPage(r *http.Request) (page, inFrame bool) {
	if r.Method != http.MethodGet {
		return false, false
	}
	switch r.Header.Get("Sec-Fetch-Dest") {
	case "document":
		return true, false
	case "iframe", "frame", "embed", "object":
		return true, true
	case "":
		return r.Header.Get("Sec-Fetch-Mode") == "" && r.Header.Get("Upgrade-Insecure-Requests") != "", false
	}
	return false, false
}

// isFramed reports whether a request comes from a frame on a page of another site.
func isFramed(r *http.Request) bool {
	for _, name := range []string{hostPrefix + framedCookie, framedCookie + framedSuffix} {
		if len(r.CookiesNamed(name)) > 0 {
			return true
		}
	}
	return isForeignFrame(r)
}

// isForeignFrame reports whether a request loads a frame on a page of another site.
func isForeignFrame(r *http.Request) bool {
	_, inFrame := isPage(r)
	return inFrame && r.Header.Get("Sec-Fetch-Site") == "cross-site"
}

// setMarks sets the cookies by which later requests of the same browser are recognised: as coming from a frame, and
// from which door.
func (d door) setMarks(r *http.Request, h http.Header) {
	page, _ := isPage(r)
	if isForeignFrame(r) && d.trusted() {
		c := http.Cookie{
			Name: framedCookie + framedSuffix, Value: "1", Path: "/", HttpOnly: true,
			Secure: true, SameSite: http.SameSiteNoneMode, Partitioned: true,
		}
		if d.secure {
			c.Name = hostPrefix + framedCookie
		}
		h.Add("Set-Cookie", c.String())
	}
	if page && d.form == byPath {
		d.setCookie(h, lastCookie, d.ref+"/"+strconv.Itoa(d.port))
	}
}
