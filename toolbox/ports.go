package toolbox

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"github.com/sandlot-dev/sandlot/api"
	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/internal/measure"
	"github.com/sandlot-dev/sandlot/internal/serve"
	"github.com/sandlot-dev/sandlot/internal/upstream"
)

// portAPI serves /port and /proxy/{port}.
type portAPI struct {
	face  *serve.Face
	admit func(*http.Request) error // of the Server
	pool  *upstream.Pool
	log   *log.Logger // takes the lines of net/http
}

var portRoutes = []serve.Route[*portAPI]{
	{Method: "GET", Path: "/port", Summary: "List ports that are listened on", Out: api.PortList{}, Do: (*portAPI).list},
	{
		Method: "GET", Path: "/port/:port/in-use",
		Summary: "Tell whether a port from 3000 to 9999 is listened on", Out: api.PortInUse{}, Do: (*portAPI).inUse,
	},
}

// list handles GET /port.
func (a *portAPI) list(c *gin.Context) error {
	ports, err := measure.Ports()
	if err != nil {
		return fault.Newf(fault.Internal, "%w", err)
	}
	c.JSON(http.StatusOK, api.PortList{Ports: ports})
	return nil
}

// inUse handles GET /port/:port/in-use.
func (a *portAPI) inUse(c *gin.Context) error {
	port, err := portOf(c.Param("port"), 3000, 9999)
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

// portOf reads a port, which has one form: 080 is refused.
func portOf(text string, least, most int) (int, error) {
	port, err := strconv.Atoi(text)
	if err != nil || port < least || port > most || strconv.Itoa(port) != text {
		return 0, fault.Newf(fault.Invalid, "port %q is not a whole number from %d to %d", text, least, most)
	}
	return port, nil
}

// dialPort connects to a port of this sandbox's loopback addresses, and to nothing else.
func dialPort(ctx context.Context, port int) (net.Conn, error) {
	d := net.Dialer{Timeout: 10 * time.Second}
	conn, err := d.DialContext(ctx, "tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if errors.Is(err, syscall.ECONNREFUSED) {
		if conn6, err6 := d.DialContext(ctx, "tcp6", net.JoinHostPort("::1", strconv.Itoa(port))); err6 == nil {
			return conn6, nil
		}
	}
	return conn, err
}

// proxy handles /proxy/{port} and all below it, any method, websockets too. It stands before the router, which knows
// nine methods and no interim answers.
func (a *portAPI) proxy(w http.ResponseWriter, r *http.Request) {
	w.Header().Set(requestID, uuid.NewString())
	err := a.admit(r)
	if err == nil {
		err = a.forward(w, r)
	}
	if err == nil {
		return
	}
	if errors.Is(err, context.Canceled) && r.Context().Err() != nil {
		panic(http.ErrAbortHandler) // the client has left, or the server is stopping: nobody reads an answer
	}
	a.face.Note(r, err)
	serve.Answer(w, serve.NewBody(Source, r, err))
}

// forward forwards a request to a port. An error has not been answered.
func (a *portAPI) forward(w http.ResponseWriter, r *http.Request) error {
	text, path, _ := strings.Cut(strings.TrimPrefix(r.URL.EscapedPath(), "/proxy/"), "/")
	port, err := portOf(text, 1, 65535)
	if err != nil {
		return err
	}
	if strings.EqualFold(r.Header.Get("Upgrade"), api.TunnelProtocol) {
		return tunnel(w, r, port)
	}
	_ = http.NewResponseController(w).EnableFullDuplex() // else an answer that begins early is cut off: see the proxy room
	x := &upstream.Exchange{Pool: a.pool, Port: port, W: w, Body: r.Body}
	return x.Forward(r, httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			host := "localhost:" + text
			r.Out.URL = &url.URL{Scheme: "http", Host: host, RawPath: "/" + path, RawQuery: r.In.URL.RawQuery}
			r.Out.URL.Path, _ = url.PathUnescape(r.Out.URL.RawPath) // it was part of a URL that has been parsed
			r.Out.Host = host                                       // development servers refuse names they do not know
			for _, h := range []string{"X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"} {
				if from := r.In.Header[h]; from != nil {
					r.Out.Header[h] = from
				}
			}
		},
		ModifyResponse: func(res *http.Response) error {
			if res.Header.Get(requestID) != "" {
				w.Header().Del(requestID) // the app has its own
			}
			return nil
		},
		ErrorLog: a.log,
	}, func(err error) error { return notReached(port, err) })
}

// notReached is the answer for a port that could not be reached, or whose server did not answer as one should.
func notReached(port int, err error) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	short := serve.Short(err)
	if errors.Is(err, syscall.ECONNREFUSED) {
		return fault.Newf(fault.Upstream,
			"nothing answers on port %d of the sandbox: %w; start a server there first", port, short)
	}
	system := fault.System(fmt.Sprintf("reach port %d of the sandbox", port), short)
	if fault.KindOf(system) == fault.Unavailable {
		return system // this process lacks descriptors or memory
	}
	return fault.Newf(fault.Upstream, "the server on port %d of the sandbox did not answer as one should: %w", port, short)
}
