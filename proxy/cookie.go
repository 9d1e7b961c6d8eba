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
	// hostPrefix has browsers keep a cookie from being set by another host, or without HTTPS.
	hostPrefix = "__Host-"
	// framedSuffix tells the cookie that is kept for frames of other sites' pages where the plain one is kept for the page alone.
	framedSuffix = "-framed"
	// framedCookie marks the requests of a frame in another site's page: browsers send it nowhere else.
	framedCookie = ownCookies + "framed"
	// lastCookie tells the byPath door that a browser loaded a page of last, as {ref}/{port}.
	lastCookie = ownCookies + "last"
)

// cookieName is that of the cookie which lets a browser in to one port of one sandbox. Browsers do not tell ports apart, nor paths well.
func cookieName(id string, port int) string {
	return ownCookies + "preview-" + strconv.Itoa(port) + "-" + strings.ToLower(id)
}

// cookieValue is that of a browser which came with the token of a port; one that came with a link has the link's token, and ends with it.
func cookieValue(box *sandbox, port int) string {
	mac := hmac.New(sha256.New, []byte(auth.PortToken(box.PreviewToken, api.PreviewPort(port))))
	_, _ = mac.Write([]byte("cookie")) // a hash never fails to write
	return hex.EncodeToString(mac.Sum(nil))
}

// setCookie sets a cookie of ours for the door's host. It has to be sent in frames of other sites' pages too, for which browsers want it to
// be secure, and keep it apart for each such site (Partitioned). Those that do not keep secure cookies of a plain localhost have the other one.
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

// errForeignPage answers a page that uses the cookie of another: it is not the visitor who asks.
var errForeignPage = fault.Codef(fault.Forbidden, "FOREIGN_PAGE",
	"a page of another site, or of another port, asks in the name of a visitor of this preview, which its own pages alone may; "+
		"have the app's server ask, with the preview token in the header "+tokenHeader+", or make the sandbox public")

// fromOwnPage refuses what other pages make a browser ask with its cookie. They may show a door's pages, by link or in a frame; to ask
// for anything else, above all what changes something, takes a page of the door. Programs, which are not led by pages, say nothing of theirs.
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

// owned reports whether a request at a byPath door, whose pages share their origin with those of other doors, can be one of its own pages.
// A websocket does not tell its page.
func (d door) owned(r *http.Request, socket bool) bool {
	from := r.Referer()
	if socket || from == "" || !d.owns(from) || r.Header.Get("Sec-Fetch-Mode") == "navigate" && r.Method == http.MethodGet {
		return true
	}
	page, err := url.Parse(from)
	if err != nil {
		return false
	}
	path := page.EscapedPath()
	return !strings.HasPrefix(path, pathPrefix) || strings.HasPrefix(path, d.prefix+"/")
}

// isHidden reports whether a page has its browser hide its origin from itself, as Referrer-Policy: no-referrer does for forms. Frames without an
// origin of their own are not of the same one.
func isHidden(r *http.Request) bool {
	return r.Header.Get("Origin") == "null" && r.Header.Get("Sec-Fetch-Site") == "same-origin"
}

// isUpgrade reports whether a request is the beginning of a websocket.
func isUpgrade(r *http.Request) bool { return strings.EqualFold(r.Header.Get("Upgrade"), "websocket") }

// isPage reports whether a browser loads a page, and in a frame. Where it does not say what for, as at plain http elsewhere than on this
// machine, frames are not told from pages.
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

// isFramed reports whether a request comes from a frame in another site's page.
func isFramed(r *http.Request) bool {
	for _, name := range []string{hostPrefix + framedCookie, framedCookie + framedSuffix} {
		if len(r.CookiesNamed(name)) > 0 {
			return true
		}
	}
	return isForeignFrame(r)
}

// isForeignFrame reports whether a request loads a frame in another site's page.
func isForeignFrame(r *http.Request) bool {
	_, inFrame := isPage(r)
	return inFrame && r.Header.Get("Sec-Fetch-Site") == "cross-site"
}

// setMarks sets what later requests of the same browser are told by: that they come from a frame, and from which door.
func (d door) setMarks(r *http.Request, h http.Header) {
	page, _ := isPage(r)
	if isForeignFrame(r) && d.trusted() {
		c := http.Cookie{Name: framedCookie + framedSuffix, Value: "1", Path: "/", HttpOnly: true, Secure: true, SameSite: http.SameSiteNoneMode, Partitioned: true}
		if d.secure {
			c.Name = hostPrefix + framedCookie
		}
		h.Add("Set-Cookie", c.String())
	}
	if page && d.form == byPath {
		d.setCookie(h, lastCookie, d.ref+"/"+strconv.Itoa(d.port))
	}
}
