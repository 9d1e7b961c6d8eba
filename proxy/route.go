package proxy

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/sandlot-dev/sandlot/api"
	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/internal/serve"
)

// isToolboxd reports whether toolboxd itself answers on a port. It alone is given the sandbox's secret.
func isToolboxd(port int) bool { return port == api.ToolboxPort || port == api.TerminalPort }

// isReserved reports whether a port belongs to toolboxd or to the desktop. Reserved ports need a credential on public
// sandboxes too.
func isReserved(port int) bool {
	switch port {
	case 1, api.ToolboxPort, 22220, api.TerminalPort, 33333, 5901, 6080:
		return true
	}
	return false
}

// toolbox forwards /toolbox/{sandboxId}/{path}.
func (p *Proxy) toolbox(w http.ResponseWriter, r *http.Request, in *body) error {
	id, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.EscapedPath(), "/toolbox/"), "/")
	if len(credentials(r, "")) == 0 && !strings.Contains(r.URL.RawQuery, "signature=") {
		return errNoCredential
	}
	return p.enter(w, r, in, id, func(r *http.Request, box *sandbox, q *request) error {
		if signed(r, box, "/"+rest) {
			r.URL.RawQuery = dropQuery(r.URL.RawQuery, "signature", "expires")
		} else if _, err := p.admit(r, box, id, api.ToolboxPort, nil); err != nil {
			return err
		} else {
			q.admitted()
		}
		p.strip(r, box, nil)
		if isClaim(rest) {
			return fault.Newf(fault.NotFound, "Cannot %s %s", r.Method, serve.Cut(r.URL.Path, serve.MaxWords))
		}
		return p.forward(w, r, in, q, nil, "/"+rest)
	})
}

// isClaim reports whether a path of the toolbox is the one by which its runner claims it for a sandbox.
func isClaim(escapedPath string) bool {
	path, err := url.PathUnescape(escapedPath)
	return err == nil && strings.Trim(path, "/") == "init"
}

// preview forwards a request that came to a door.
func (p *Proxy) preview(w http.ResponseWriter, r *http.Request, in *body, d door) error {
	path := r.URL.EscapedPath()
	if d.form == byPath {
		if page, _ := isPage(r); page && path == d.prefix { // relative addresses on the page need the slash
			to := d.prefix + "/"
			if r.URL.RawQuery != "" {
				to += "?" + r.URL.RawQuery
			}
			return redirect(w, in, to)
		}
		if path == d.prefix {
			path += "/"
		}
		if under, ok := strings.CutPrefix(path, d.prefix+"/"); ok {
			path = "/" + under
		}
	}
	if isLinkRef(d.ref) {
		return p.linked(w, r, in, d, path)
	}
	reserved := isReserved(d.port)
	if reserved && len(credentials(r, "")) == 0 && !strings.Contains(r.Header.Get("Cookie"), ownCookies) {
		return errNoCredential
	}
	return p.enter(w, r, in, d.ref, func(r *http.Request, box *sandbox, q *request) error {
		if !box.Public || reserved {
			by, err := p.admit(r, box, d.ref, d.port, &d)
			if err != nil {
				return err
			}
			q.admitted()
			if by.link.Sandbox != "" {
				defer q.admittedBy(by.value, by.link)()
			}
			if by.kind == byQuery {
				value := by.value // the token of a link
				if !isLinkRef(value) {
					value = cookieValue(box, d.port)
				}
				d.setCookie(w.Header(), cookieName(box.ID, d.port), value)
			}
		}
		if page, inFrame := isPage(r); page && !inFrame && dropQuery(r.URL.RawQuery, tokenQuery) != r.URL.RawQuery {
			// The token must not stay in the address, which browsers show and keep.
			to := d.origin() + r.URL.EscapedPath()
			if query := dropQuery(r.URL.RawQuery, tokenQuery); query != "" {
				to += "?" + query
			}
			return redirect(w, in, to)
		}
		return p.pass(w, r, in, q, d, path)
	})
}

// linked forwards a request that came by a signed link. The address is the credential.
func (p *Proxy) linked(w http.ResponseWriter, r *http.Request, in *body, d door, path string) error {
	l, err := p.link(r.Context(), d.ref)
	if err == nil && l.Port != d.port {
		err = errNotAdmitted
	}
	if err != nil {
		return err
	}
	return p.enter(w, r, in, l.Sandbox, func(r *http.Request, box *sandbox, q *request) error {
		if box == p.stranger {
			return errNotAdmitted
		}
		defer q.admittedBy(d.ref, l)()
		// Pages of other sandboxes on this origin could find the link.
		if page, _ := isPage(r); page && d.form == byPath && !isReserved(d.port) {
			d.setCookie(w.Header(), cookieName(box.ID, d.port), d.ref)
			to := pathPrefix + box.ID + "/" + strconv.Itoa(d.port) + path
			if r.URL.RawQuery != "" {
				to += "?" + r.URL.RawQuery
			}
			return redirect(w, in, to)
		}
		return p.pass(w, r, in, q, d, path)
	})
}

// pass forwards a request that was admitted at a door.
func (p *Proxy) pass(w http.ResponseWriter, r *http.Request, in *body, q *request, d door, path string) error {
	d.framed = isFramed(r)
	var cookies []*http.Cookie
	if d.stray {
		cookies = d.copies(r)
	}
	p.strip(r, q.to, &d)
	for _, c := range cookies {
		r.AddCookie(c)
	}
	if d.port == api.ToolboxPort && isClaim(path) {
		return fault.Newf(fault.NotFound, "Cannot %s %s", r.Method, serve.Cut(r.URL.Path, serve.MaxWords))
	}
	d.setMarks(r, w.Header())
	return p.forward(w, r, in, q, &d, path)
}

// strayed serves a request that lacks the prefix of its byPath door. It redirects browsers to the door, so that
// relative addresses on the page found there are right and its cookies are sent. Websockets cannot be redirected.
func (p *Proxy) strayed(w http.ResponseWriter, r *http.Request, in *body, d door) error {
	if isUpgrade(r) {
		d.stray = true
		return p.preview(w, r, in, d)
	}
	to := d.prefix + r.URL.EscapedPath()
	if r.URL.RawQuery != "" {
		to += "?" + r.URL.RawQuery
	}
	return redirect(w, in, to)
}

func redirect(w http.ResponseWriter, in *body, to string) error {
	in.mark(w.Header())
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Referrer-Policy", "same-origin")
	w.Header().Set("Location", to) // http.Redirect would clean the path
	w.WriteHeader(http.StatusTemporaryRedirect)
	return nil
}

// linkLength is the length of a link's token: a sandbox's id is longer.
const linkLength = 16

func isLinkRef(ref string) bool { return len(ref) == linkLength && !strings.Contains(ref, "-") }

var errNoLink = fault.Codef(fault.Unauthenticated, "LINK_EXPIRED",
	"this link is unknown or has expired; ask for a new one")

// link finds what a signed link opens. fault.Unauthenticated for one that is unknown, revoked or over.
func (p *Proxy) link(ctx context.Context, token string) (Link, error) {
	l, err := p.cfg.Locator.Link(ctx, token)
	switch {
	case fault.KindOf(err) == fault.NotFound, err == nil && !time.Now().Before(l.Until):
		return Link{}, errNoLink
	case err != nil:
		return Link{}, err
	}
	return l, nil
}

// enter registers a request to a sandbox while do runs. For a sandbox that does not exist do gets p.stranger, which
// admits nobody.
func (p *Proxy) enter(
	w http.ResponseWriter, r *http.Request, in *body, id string, do func(*http.Request, *sandbox, *request) error,
) error {
	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	r = r.WithContext(ctx)
	if !in.whole.Load() {
		r.Body = in
	}
	q := &request{in: in, cancel: cancel, client: http.NewResponseController(w)}
	err := p.open.begin(ctx, id, q)
	if fault.KindOf(err) == fault.NotFound {
		return do(r, p.stranger, nil)
	} else if err != nil {
		return err
	}
	defer p.open.end(q)
	return do(r, q.to, q)
}
