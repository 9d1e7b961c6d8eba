package proxy

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/sandlot-dev/sandlot/api"
	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/internal/logkey"
	"github.com/sandlot-dev/sandlot/internal/serve"
	"github.com/sandlot-dev/sandlot/internal/upstream"
)

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

// lostWithin bounds the wait, after a connection broke, for the report that the sandbox has ended.
const lostWithin = 800 * time.Millisecond

// forward sends a request to its sandbox and returns the answer: to the port of door d, to the toolbox if d is nil.
func (p *Proxy) forward(
	w http.ResponseWriter, r *http.Request, in *body, q *request, d *door, escapedPath string,
) error {
	if err := q.refused(); err != nil {
		return err
	}
	box, port := q.to, api.ToolboxPort
	if d != nil {
		port = d.port
	}
	if r.Header.Get("X-Daytona-Skip-Last-Activity-Update") != "true" {
		p.cfg.Locator.Touch(box.ID, +1)
		defer p.cfg.Locator.Touch(box.ID, -1)
	}
	path, err := url.PathUnescape(escapedPath)
	if err != nil {
		return fault.Newf(fault.Invalid, "the path is not percent-encoded correctly: %s",
			serve.Cut(err.Error(), serve.MaxWords))
	}
	x := &upstream.Exchange{Pool: box.transport, Port: port, W: w, Body: in}
	return x.Forward(r, httputil.ReverseProxy{
		Rewrite: func(pr *httputil.ProxyRequest) {
			pr.Out.URL.Scheme, pr.Out.URL.Host = "http", netip.AddrPortFrom(box.Addr, uint16(port)).String()
			pr.Out.URL.Path, pr.Out.URL.RawPath = path, escapedPath
			pr.Out.URL.RawQuery = pr.In.URL.RawQuery // unchanged: ReverseProxy would drop what it cannot parse
			pr.Out.Host = net.JoinHostPort("localhost", strconv.Itoa(port))
			pr.SetXForwarded()
			for _, name := range []string{"X-Daytona-Skip-Last-Activity-Update", "X-Daytona-Disable-CORS", api.SecretHeader} {
				pr.Out.Header.Del(name)
			}
			if d != nil {
				d.disguise(pr.Out)
			}
			if isToolboxd(port) {
				pr.Out.Header.Set(api.SecretHeader, box.Secret)
			}
		},
		BufferPool: &buffers,
		ModifyResponse: func(res *http.Response) error {
			if d != nil {
				d.reveal(res.Header, box.Addr)
			}
			if res.StatusCode == http.StatusSwitchingProtocols {
				return p.upgrade(r.Context(), q, res)
			}
			in.mark(res.Header)
			for name := range res.Header {
				if name != "Set-Cookie" && name != "Vary" {
					w.Header().Del(name) // the app's header replaces ours
				}
			}
			return nil
		},
		ErrorLog: p.log,
	}, func(err error) error { return p.notReached(w, r, in, q, port, err) })
}

// notReached explains why a sandbox gave no answer to a request.
func (p *Proxy) notReached(w http.ResponseWriter, r *http.Request, in *body, q *request, port int, err error) error {
	if why := p.lost(r.Context(), q); why != nil {
		w.Header().Set("Connection", "close") // cut has set deadlines on it
		return why
	}
	if r.Context().Err() != nil {
		panic(http.ErrAbortHandler) // the client has left, or the server is stopping: nobody is there to be told
	}
	if in.broken.Load() {
		return fault.Newf(fault.Invalid, "the request's body is not as its header says: %w", serve.Short(err))
	}
	id := q.to.ID
	if errors.Is(err, syscall.ECONNREFUSED) && !isToolboxd(port) {
		return fault.Codef(fault.Upstream, "PORT_CLOSED", "nothing listens on port %d of sandbox %s", port, id)
	}
	p.cfg.Logger.Info("sandbox not reached",
		logkey.Sandbox, id, "port", port, logkey.Err, serve.Cut(err.Error(), serve.MaxWords))
	return fault.Codef(fault.Upstream, "SANDBOX_UNREACHABLE", "sandbox %s did not answer: %w", id, serve.Short(err))
}

// lost returns why the sandbox of a request whose connection broke has ended. It returns nil if the toolbox still
// answers, if the caller has left, or if no report comes in time: the connection breaks some time before whoever
// watches the sandbox can tell.
func (p *Proxy) lost(ctx context.Context, q *request) error {
	if ctx.Err() == nil {
		wait, stop := context.WithTimeout(ctx, lostWithin)
		defer stop()
		if p.toolboxAnswers(wait, q.to) {
			return q.ended()
		}
		<-wait.Done()
		if ctx.Err() == nil {
			p.Forget(q.to.ID) // it does not answer where it was
		}
	}
	return q.ended()
}

// toolboxAnswers reports whether a toolbox answers before ctx ends. An accepted connection is no proof: the kernel
// accepts some for a process that is just being killed.
func (p *Proxy) toolboxAnswers(ctx context.Context, box *sandbox) bool {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", netip.AddrPortFrom(box.Addr, api.ToolboxPort).String())
	if err != nil {
		return false
	}
	defer conn.Close() // nothing more is asked
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	if _, err := io.WriteString(conn, "HEAD /version HTTP/1.1\r\nHost: toolbox\r\nConnection: close\r\n\r\n"); err != nil {
		return false
	}
	n, _ := conn.Read(make([]byte, 1))
	return n == 1
}

// upgrade takes charge of a connection that has switched to another protocol: a websocket will be told of its sandbox's
// end.
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
