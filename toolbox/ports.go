package toolbox

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/sandlot-dev/sandlot/api"
	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/internal/measure"
	"github.com/sandlot-dev/sandlot/internal/serve"
)

// listPorts handles GET /port.
func (s *Server) listPorts(c *gin.Context) error {
	ports, err := measure.Ports()
	if err != nil {
		return fault.Newf(fault.Internal, "%w", err)
	}
	c.JSON(http.StatusOK, api.PortList{Ports: ports})
	return nil
}

// portInUse handles GET /port/:port/in-use.
func (s *Server) portInUse(c *gin.Context) error {
	port, err := portParam(c, 3000, 9999)
	if err != nil {
		return err
	}
	used, err := measure.InUse(port)
	if err != nil {
		return fault.Newf(fault.Internal, "%w", err)
	}
	c.JSON(http.StatusOK, api.PortInUse{IsInUse: used})
	return nil
}

func portParam(c *gin.Context, least, most int) (int, error) {
	text := c.Param("port")
	port, err := strconv.Atoi(text)
	if err != nil || port < least || port > most || strconv.Itoa(port) != text { // one form of each port: what compares texts is not led astray
		return 0, fault.Newf(fault.Invalid, "port %q is not a whole number from %d to %d", text, least, most)
	}
	return port, nil
}

// newPortProxy returns the proxy behind /proxy/{port}. It dials this sandbox's loopback addresses and nothing else.
func newPortProxy() *httputil.ReverseProxy {
	dial := func(ctx context.Context, _, addr string) (net.Conn, error) {
		_, port, err := net.SplitHostPort(addr)
		if err != nil {
			return nil, err
		}
		d := net.Dialer{Timeout: 10 * time.Second}
		conn, err := d.DialContext(ctx, "tcp4", "127.0.0.1:"+port)
		if errors.Is(err, syscall.ECONNREFUSED) {
			if conn6, err6 := d.DialContext(ctx, "tcp6", "[::1]:"+port); err6 == nil {
				return conn6, nil
			}
		}
		return conn, err
	}
	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			port, path, _ := strings.Cut(strings.TrimPrefix(r.In.URL.EscapedPath(), "/proxy/"), "/")
			host := "localhost:" + port
			r.Out.URL = &url.URL{Scheme: "http", Host: host, RawPath: "/" + path, RawQuery: r.In.URL.RawQuery}
			r.Out.URL.Path, _ = url.PathUnescape(r.Out.URL.RawPath) // it was part of a URL that has been parsed
			r.Out.Host = host                                       // development servers refuse names they do not know
			if from := r.In.Header["X-Forwarded-For"]; from != nil {
				r.Out.Header["X-Forwarded-For"] = from
			}
			for _, h := range []string{"X-Forwarded-Host", "X-Forwarded-Proto"} {
				if v := r.In.Header.Get(h); v != "" {
					r.Out.Header.Set(h, v)
				}
			}
		},
		Transport: shortErrors{&http.Transport{
			DialContext: dial, DisableCompression: true, MaxIdleConnsPerHost: 16, IdleConnTimeout: 30 * time.Second,
			MaxResponseHeaderBytes: maxAppHeader,
		}},
		ModifyResponse: func(res *http.Response) error {
			if res.StatusCode < 200 && res.StatusCode != http.StatusSwitchingProtocols {
				return fmt.Errorf("status %03d is none", res.StatusCode)
			}
			return nil
		},
		FlushInterval: -1,
	}
}

// maxAppHeader bounds, in bytes, what an app may say before its answer's body.
const maxAppHeader = 64 << 10

// shortErrors is a transport whose errors, which may be an app's own words, can be told to anybody.
type shortErrors struct{ *http.Transport }

// RoundTrip implements http.RoundTripper.
func (t shortErrors) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := t.Transport.RoundTrip(r)
	if err != nil {
		err = serve.Short(err)
	}
	return res, err
}

// proxyPort handles /proxy/:port/…, any method, websockets too.
func (s *Server) proxyPort(c *gin.Context) error {
	port, err := portParam(c, 1, 65535)
	if err != nil {
		return err
	}
	var failed error
	_ = http.NewResponseController(c.Writer).EnableFullDuplex() // else an answer that begins early is cut off: see the proxy room
	p := *s.ports
	p.ErrorHandler = func(_ http.ResponseWriter, _ *http.Request, err error) { failed = err }
	p.ServeHTTP(c.Writer, c.Request)
	switch {
	case failed == nil:
		return nil
	case errors.Is(failed, context.Canceled):
		return failed
	case errors.Is(failed, syscall.ECONNREFUSED):
		return fault.Newf(fault.Upstream, "nothing answers on port %d of the sandbox: %w; start a server there first", port, failed)
	}
	if err := fault.System(fmt.Sprintf("reach port %d of the sandbox", port), failed); fault.KindOf(err) == fault.Unavailable {
		return err // descriptors or memory are wanting here
	}
	return fault.Newf(fault.Upstream, "the server on port %d of the sandbox did not answer as one should: %w", port, failed)
}
