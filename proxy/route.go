package proxy

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/internal/logkey"
)

// toolboxPort is where toolboxd listens.
const toolboxPort = 2280

// secretHeader carries a sandbox's secret to its toolbox.
const secretHeader = "X-Sandlot-Secret"

// reserved ports belong to toolboxd or to the desktop: they need a credential on public sandboxes too. Those that are true are
// toolboxd's own and are given the secret.
var reserved = map[int]bool{toolboxPort: true, 22220: true, 22222: true, 33333: true, 5901: false, 6080: false}

// toolbox forwards /toolbox/{sandboxId}/{path}.
func (p *Proxy) toolbox(w http.ResponseWriter, r *http.Request) error {
	id, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.EscapedPath(), "/toolbox/"), "/")
	room, err := p.find(r.Context(), id)
	if err != nil {
		return hide(r, err)
	}
	if signed(r, room, "/"+rest) {
		r.URL.RawQuery = dropQuery(r.URL.RawQuery, "signature", "expires")
	} else if err := p.admit(r, room, toolboxPort); err != nil {
		return err
	}
	if rest == "init" { // the claim of a sandbox is its runner's
		return fault.Newf(fault.NotFound, "Cannot %s %s", r.Method, r.URL.Path)
	}
	return p.forward(w, r, room, toolboxPort, "/"+rest)
}

// preview forwards a request to {port}-{sandboxId}.{domain}.
func (p *Proxy) preview(w http.ResponseWriter, r *http.Request, label string) error {
	port, id, err := splitLabel(label)
	if err != nil {
		return err
	}
	room, err := p.find(r.Context(), id)
	if err != nil {
		return hide(r, err)
	}
	_, isReserved := reserved[port]
	if !room.Public || isReserved {
		inAddress := r.URL.Query().Has(tokenQuery)
		if err := p.admit(r, room, port); err != nil {
			return err
		}
		if inAddress {
			setCookie(w, r, room, port)
		}
	}
	stripCredentials(r)
	if port == toolboxPort && strings.TrimSuffix(r.URL.Path, "/") == "/init" {
		return fault.Newf(fault.NotFound, "Cannot %s %s", r.Method, r.URL.Path)
	}
	return p.forward(w, r, room, port, r.URL.EscapedPath())
}

// hide answers a stranger the same for a sandbox that is not there as for one that is not theirs.
func hide(r *http.Request, err error) error {
	if fault.KindOf(err) == fault.NotFound && len(credentials(r)) == 0 {
		return errNoCredential
	}
	return err
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
		return 0, "", fault.Newf(fault.NotFound, "%q is not the host of a preview; they look like 3000-{sandboxId}", label)
	}
	return port, id, nil
}

var buffers = bufferPool{sync.Pool{New: func() any { return new([64 << 10]byte) }}}

type bufferPool struct{ sync.Pool }

func (b *bufferPool) Get() []byte {
	buf, _ := b.Pool.Get().(*[64 << 10]byte)
	return buf[:]
}

func (b *bufferPool) Put(buf []byte) {
	if cap(buf) == 64<<10 {
		b.Pool.Put((*[64 << 10]byte)(buf[:64<<10]))
	}
}

// forward passes a request on to a port of a sandbox and the answer back.
func (p *Proxy) forward(w http.ResponseWriter, r *http.Request, room *room, port int, escapedPath string) error {
	if !room.Addr.IsValid() && room.State == "started" {
		return fault.Newf(fault.Unavailable, "sandbox %s cannot be reached: its runner has lost the container engine; try again", room.ID)
	} else if !room.Addr.IsValid() {
		return fault.Codef(fault.Conflict, "SANDBOX_NOT_STARTED", "sandbox %s is %s; start it first", room.ID, room.State)
	}
	if r.Header.Get("X-Daytona-Skip-Last-Activity-Update") != "true" {
		p.cfg.Locator.Touch(room.ID, +1)
		defer p.cfg.Locator.Touch(room.ID, -1)
	}
	path, err := url.PathUnescape(escapedPath)
	if err != nil {
		return fault.Newf(fault.Invalid, "the path is not percent-encoded correctly: %w", err)
	}
	var failed error
	rp := httputil.ReverseProxy{
		Rewrite: func(pr *httputil.ProxyRequest) {
			pr.Out.URL.Scheme, pr.Out.URL.Host = "http", netip.AddrPortFrom(room.Addr, uint16(port)).String()
			pr.Out.URL.Path, pr.Out.URL.RawPath = path, escapedPath
			pr.Out.URL.RawQuery = pr.In.URL.RawQuery // as it came: ReverseProxy would drop what it cannot parse
			pr.Out.Host = net.JoinHostPort("localhost", strconv.Itoa(port))
			pr.SetXForwarded()
			for _, name := range []string{"X-Daytona-Skip-Last-Activity-Update", "X-Daytona-Disable-CORS", secretHeader} {
				pr.Out.Header.Del(name)
			}
			if reserved[port] {
				pr.Out.Header.Set(secretHeader, room.Secret)
			}
		},
		Transport:    transport{room, port}, // a body of unknown length is flushed as it comes, one of known length as it fills
		BufferPool:   &buffers,
		ErrorHandler: func(_ http.ResponseWriter, _ *http.Request, err error) { failed = err },
		ErrorLog:     slog.NewLogLogger(p.cfg.Logger.Handler(), slog.LevelDebug),
	}
	// Without this the server closes the request's body when the answer begins, and the transport, which may not have seen the
	// body's end yet, takes that for a broken request and cuts the answer off.
	_ = http.NewResponseController(w).EnableFullDuplex() // HTTP/2 has it always
	rp.ServeHTTP(w, r)
	switch {
	case failed == nil:
		return nil
	case r.Context().Err() != nil:
		return nil // the caller is gone
	case errors.Is(failed, syscall.ECONNREFUSED) && !reserved[port]:
		return fault.Codef(fault.Upstream, "PORT_CLOSED", "nothing listens on port %d of sandbox %s", port, room.ID)
	}
	p.cfg.Logger.Info("sandbox not reached", logkey.Sandbox, room.ID, "port", port, logkey.Err, failed)
	return fault.Codef(fault.Upstream, "SANDBOX_UNREACHABLE", "sandbox %s did not answer: %v", room.ID, failed)
}

// transport reaches a port at the sandbox's own address, or, when an app listens on loopback only, through its toolbox.
type transport struct {
	room *room
	port int
}

func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if reserved[t.port] {
		return t.room.transport.RoundTrip(r)
	}
	body := r.Body
	if body != nil {
		r.Body = io.NopCloser(body) // a refused connection closes the body unread; it is still needed
	}
	res, err := t.room.transport.RoundTrip(r)
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return res, err
	}
	via := r.Clone(r.Context())
	via.Body = body
	prefix := "/proxy/" + strconv.Itoa(t.port)
	via.URL.Host = netip.AddrPortFrom(t.room.Addr, toolboxPort).String()
	via.URL.Path, via.URL.RawPath = prefix+r.URL.Path, prefix+r.URL.EscapedPath()
	via.Header.Set(secretHeader, t.room.Secret)
	return t.room.transport.RoundTrip(via)
}
