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
	"net/netip"
	"net/textproto"
	"strconv"
	"sync"
	"syscall"
	"time"
)

const (
	// dialWithin bounds how long a port of a sandbox may take to accept a connection. On the way there is nothing but a bridge of this machine.
	dialWithin = 5 * time.Second
	// maxResponseHeader bounds, in bytes, what an app may say before its answer's body.
	maxResponseHeader = 64 << 10
)

func newTransport() *http.Transport {
	dialer := net.Dialer{
		Timeout: dialWithin,
		// If the news of a sandbox's end is lost, its silence tells.
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 5 * time.Second, Interval: 5 * time.Second, Count: 3},
	}
	return &http.Transport{
		DialContext:            dialer.DialContext,
		DisableCompression:     true,
		MaxIdleConnsPerHost:    64,
		IdleConnTimeout:        time.Minute, // less than toolboxd keeps them
		MaxResponseHeaderBytes: maxResponseHeader,
		ReadBufferSize:         64 << 10,
		WriteBufferSize:        64 << 10,
	}
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
	if isToolboxd(t.port) {
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
