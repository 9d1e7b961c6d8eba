package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/http/httputil"
	"net/netip"
	"net/textproto"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/internal/logkey"
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

// newsWithin bounds the wait for the news of a sandbox's end by a request that has met its end.
const newsWithin = 800 * time.Millisecond

// forward passes a request on to a port of its sandbox and the answer back.
func (p *Proxy) forward(w http.ResponseWriter, r *http.Request, in *body, q *request, port int, escapedPath string) error {
	if err := q.refused(); err != nil {
		return err
	}
	box := q.to
	if r.Header.Get("X-Daytona-Skip-Last-Activity-Update") != "true" {
		p.cfg.Locator.Touch(box.ID, +1)
		defer p.cfg.Locator.Touch(box.ID, -1)
	}
	path, err := url.PathUnescape(escapedPath)
	if err != nil {
		return fault.Newf(fault.Invalid, "the path is not percent-encoded correctly: %s", serve.Cut(err.Error(), serve.MaxWords))
	}
	var failed error
	rp := httputil.ReverseProxy{
		Rewrite: func(pr *httputil.ProxyRequest) {
			pr.Out.URL.Scheme, pr.Out.URL.Host = "http", netip.AddrPortFrom(box.Addr, uint16(port)).String()
			pr.Out.URL.Path, pr.Out.URL.RawPath = path, escapedPath
			pr.Out.URL.RawQuery = pr.In.URL.RawQuery // as it came: ReverseProxy would drop what it cannot parse
			pr.Out.Host = net.JoinHostPort("localhost", strconv.Itoa(port))
			pr.SetXForwarded()
			for _, name := range []string{"X-Daytona-Skip-Last-Activity-Update", "X-Daytona-Disable-CORS", secretHeader} {
				pr.Out.Header.Del(name)
			}
			if reserved[port] {
				pr.Out.Header.Set(secretHeader, box.Secret)
			}
		},
		Transport:  &transport{box: box, port: port, ctx: r.Context(), w: w}, // a body of unknown length is flushed as it comes, one of known length as it fills
		BufferPool: &buffers,
		ModifyResponse: func(res *http.Response) error {
			if res.StatusCode == http.StatusSwitchingProtocols {
				return p.upgrade(r.Context(), q, res)
			}
			if res.StatusCode < 200 {
				return fmt.Errorf("status %03d is none", res.StatusCode)
			}
			in.mark(res.Header)
			return nil
		},
		ErrorHandler: func(_ http.ResponseWriter, _ *http.Request, err error) { failed = err },
		ErrorLog:     p.log,
	}
	rp.ServeHTTP(w, r)
	if failed == nil {
		return nil
	}
	if why := p.lost(r.Context(), q); why != nil {
		w.Header().Set("Connection", "close") // it has deadlines now
		return why
	}
	if r.Context().Err() != nil {
		panic(http.ErrAbortHandler) // the caller has left, or the server is stopping: nobody is there to be told
	}
	if in.broken.Load() {
		return fault.Newf(fault.Invalid, "the request's body is not as its header says: %w", serve.Short(failed))
	}
	if errors.Is(failed, syscall.ECONNREFUSED) && !reserved[port] {
		return fault.Codef(fault.Upstream, "PORT_CLOSED", "nothing listens on port %d of sandbox %s", port, box.ID)
	}
	p.cfg.Logger.Info("sandbox not reached", logkey.Sandbox, box.ID, "port", port, logkey.Err, serve.Cut(failed.Error(), serve.MaxWords))
	return fault.Codef(fault.Upstream, "SANDBOX_UNREACHABLE", "sandbox %s did not answer: %w", box.ID, serve.Short(failed))
}

// lost returns why the sandbox of a request whose connection broke is gone; nil if its toolbox still takes connections, if the caller has left,
// or if no news comes in time. A connection breaks some time before whoever watches the sandbox can tell.
func (p *Proxy) lost(ctx context.Context, q *request) error {
	if ctx.Err() == nil {
		wait, stop := context.WithTimeout(ctx, newsWithin)
		defer stop()
		conn, err := (&net.Dialer{}).DialContext(wait, "tcp", netip.AddrPortFrom(q.to.Addr, toolboxPort).String())
		if err == nil {
			_ = conn.Close() // nothing was sent
			return q.ended()
		}
		<-wait.Done()
		if ctx.Err() == nil {
			p.Forget(q.to.ID) // whatever happened, it is not where it was
		}
	}
	return q.ended()
}

// upgrade makes a connection that has become another protocol's end with its sandbox.
func (p *Proxy) upgrade(ctx context.Context, q *request, res *http.Response) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.why != nil {
		return q.why
	}
	q.upgraded = true
	if back, ok := res.Body.(io.ReadWriteCloser); ok && strings.EqualFold(res.Header.Get("Upgrade"), "websocket") {
		res.Body = &socket{ReadWriteCloser: back, q: q, lost: func() error { return p.lost(ctx, q) }}
	}
	return nil
}

// transport carries one request to a port at the sandbox's own address, or, when an app listens on loopback only, through its toolbox.
type transport struct {
	box  *sandbox
	port int
	ctx  context.Context //nolint:containedctx // of the request: without ReverseProxy's way to pass interim answers on, which has no bound
	w    http.ResponseWriter

	mu       sync.Mutex
	interims int
	over     bool
}

// RoundTrip implements http.RoundTripper.
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	defer func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.over = true
	}()
	r = r.WithContext(httptrace.WithClientTrace(t.ctx, &httptrace.ClientTrace{Got1xxResponse: t.interim}))
	if reserved[t.port] {
		return t.box.transport.RoundTrip(r)
	}
	body := r.Body
	if body != nil {
		r.Body = io.NopCloser(body) // a refused connection closes the body unread; it is still needed
	}
	res, err := t.box.transport.RoundTrip(r)
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return res, err
	}
	via := r.Clone(r.Context())
	via.Body = body
	prefix := "/proxy/" + strconv.Itoa(t.port)
	via.URL.Host = netip.AddrPortFrom(t.box.Addr, toolboxPort).String()
	via.URL.Path, via.URL.RawPath = prefix+r.URL.Path, prefix+r.URL.EscapedPath()
	via.Header.Set(secretHeader, t.box.Secret)
	return t.box.transport.RoundTrip(via)
}

// maxInterims bounds the interim answers (status 100 to 199) to one request.
const maxInterims = 16

// interim passes an interim answer on. The header of the answer itself, which may have been begun, is left as it is.
func (t *transport) interim(code int, header textproto.MIMEHeader) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.over {
		return nil
	}
	if t.interims++; t.interims > maxInterims {
		return fmt.Errorf("more than %d interim answers", maxInterims)
	}
	h := t.w.Header()
	own := maps.Clone(h)
	clear(h)
	maps.Copy(h, http.Header(header))
	t.w.WriteHeader(code)
	clear(h)
	maps.Copy(h, own)
	return nil
}
