package proxy

import (
	"context"
	"net"
	"net/http"
	"strconv"
	"strings"

	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/internal/serve"
)

// toolboxPort is where toolboxd listens.
const toolboxPort = 2280

// secretHeader carries a sandbox's secret to its toolbox.
const secretHeader = "X-Sandlot-Secret"

// reserved ports belong to toolboxd or to the desktop: they need a credential on public sandboxes too. Those that are true are
// toolboxd's own and are given the secret.
var reserved = map[int]bool{toolboxPort: true, 22220: true, 22222: true, 33333: true, 5901: false, 6080: false}

// toolbox forwards /toolbox/{sandboxId}/{path}.
func (p *Proxy) toolbox(w http.ResponseWriter, r *http.Request, in *body) error {
	id, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.EscapedPath(), "/toolbox/"), "/")
	if isStranger(r) && !strings.Contains(r.URL.RawQuery, "signature=") {
		return errNoCredential
	}
	return p.enter(w, r, in, id, func(r *http.Request, box *sandbox, q *request) error {
		if signed(r, box, "/"+rest) {
			r.URL.RawQuery = dropQuery(r.URL.RawQuery, "signature", "expires")
		} else if err := p.admit(r, box, id, toolboxPort); err != nil {
			return err
		} else {
			q.admitted()
		}
		if rest == "init" { // the claim of a sandbox is its runner's
			return fault.Newf(fault.NotFound, "Cannot %s %s", r.Method, serve.Cut(r.URL.Path, serve.MaxWords))
		}
		return p.forward(w, r, in, q, toolboxPort, "/"+rest)
	})
}

// preview forwards a request to {port}-{sandboxId}.{domain}.
func (p *Proxy) preview(w http.ResponseWriter, r *http.Request, in *body, label string) error {
	port, id, err := splitLabel(label)
	if err != nil {
		return err
	}
	_, isReserved := reserved[port]
	if isReserved && isStranger(r) {
		return errNoCredential
	}
	return p.enter(w, r, in, id, func(r *http.Request, box *sandbox, q *request) error {
		if !box.Public || isReserved {
			inAddress := r.URL.Query().Has(tokenQuery)
			if err := p.admit(r, box, id, port); err != nil {
				return err
			}
			q.admitted()
			if inAddress {
				setCookie(w, r, box, port)
			}
		}
		stripCredentials(r)
		if port == toolboxPort && strings.TrimSuffix(r.URL.Path, "/") == "/init" {
			return fault.Newf(fault.NotFound, "Cannot %s %s", r.Method, serve.Cut(r.URL.Path, serve.MaxWords))
		}
		return p.forward(w, r, in, q, port, r.URL.EscapedPath())
	})
}

// enter registers a request to a sandbox for as long as do lasts. A sandbox that is not there is p.stranger to do, which admits nobody to it.
func (p *Proxy) enter(w http.ResponseWriter, r *http.Request, in *body, id string, do func(*http.Request, *sandbox, *request) error) error {
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

// previewLabel returns the first label of a preview host.
func (p *Proxy) previewLabel(host string) (string, bool) {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	label, ok := strings.CutSuffix(strings.ToLower(host), "."+p.cfg.Domain)
	return label, ok && !strings.Contains(label, ".")
}

// splitLabel reads {port}-{id}: the port in plain digits without a leading zero, so that no reserved port has a second spelling.
func splitLabel(label string) (port int, id string, err error) {
	digits, id, ok := strings.Cut(label, "-")
	port, convErr := strconv.Atoi(digits)
	if !ok || id == "" || convErr != nil || port < 1 || port > 65535 || strconv.Itoa(port) != digits {
		return 0, "", fault.Newf(fault.NotFound, "%q is not the host of a preview; they look like 3000-{sandboxId}", serve.Cut(label, serve.MaxWords))
	}
	return port, id, nil
}
