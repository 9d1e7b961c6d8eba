package toolbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/sandlot-dev/sandlot/api"
	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/internal/measure"
	"github.com/sandlot-dev/sandlot/internal/serve"
	"github.com/sandlot-dev/sandlot/internal/upstream"
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
	return portOf(c.Param("port"), least, most)
}

func portOf(text string, least, most int) (int, error) {
	port, err := strconv.Atoi(text)
	if err != nil || port < least || port > most || strconv.Itoa(port) != text { // one form of each port: what compares texts is not led astray
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

// tunnelProtocol is what /proxy/{port} upgrades to: the bytes of a connection to that port.
const tunnelProtocol = "sandlot-tcp"

// proxyPort handles /proxy/{port} and all below it, any method, websockets too. It stands before the router, which knows nine methods and no
// interim answers.
func (s *Server) proxyPort(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Request-Id", newRequestID())
	err := s.checkSecret(r)
	if err == nil {
		s.cfg.Process.Observe()
		err = s.toPort(w, r)
	}
	if err == nil {
		return
	}
	if errors.Is(err, context.Canceled) && r.Context().Err() != nil {
		panic(http.ErrAbortHandler) // the client has left, or the server is stopping: nobody is there to be told
	}
	s.face.Note(r, err)
	serve.Answer(w, serve.NewBody(Source, r, err))
}

// toPort forwards a request to a port. An error has not been answered.
func (s *Server) toPort(w http.ResponseWriter, r *http.Request) error {
	text, path, _ := strings.Cut(strings.TrimPrefix(r.URL.EscapedPath(), "/proxy/"), "/")
	port, err := portOf(text, 1, 65535)
	if err != nil {
		return err
	}
	if strings.EqualFold(r.Header.Get("Upgrade"), tunnelProtocol) {
		return tunnel(w, r, port)
	}
	_ = http.NewResponseController(w).EnableFullDuplex() // else an answer that begins early is cut off: see the proxy room
	x := &upstream.Exchange{Pool: s.ports, Port: port, W: w, Body: r.Body}
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
			if res.Header.Get("X-Request-Id") != "" {
				w.Header().Del("X-Request-Id") // the app has its own
			}
			return nil
		},
		ErrorLog: s.log,
	}, func(err error) error { return notReached(port, err) })
}

// notReached is the answer for a port that could not be reached, or whose server did not answer as one should.
func notReached(port int, err error) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	short := serve.Short(err)
	if errors.Is(err, syscall.ECONNREFUSED) {
		return fault.Newf(fault.Upstream, "nothing answers on port %d of the sandbox: %w; start a server there first", port, short)
	}
	if err := fault.System(fmt.Sprintf("reach port %d of the sandbox", port), short); fault.KindOf(err) == fault.Unavailable {
		return err // descriptors or memory are wanting here
	}
	return fault.Newf(fault.Upstream, "the server on port %d of the sandbox did not answer as one should: %w", port, short)
}

// tunnel makes the client's connection one to a port, for as long as both ends want, and returns when that is over.
func tunnel(w http.ResponseWriter, r *http.Request, port int) error {
	to, err := dialPort(r.Context(), port)
	if err != nil {
		return notReached(port, err)
	}
	defer to.Close() // both ends have said all
	from, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return fault.Newf(fault.Invalid, "a tunnel needs a connection of HTTP/1.1: %w", err)
	}
	defer from.Close() // likewise
	stop := context.AfterFunc(r.Context(), func() { _, _ = from.Close(), to.Close() })
	defer stop()
	client, ok1 := from.(*net.TCPConn)
	app, ok2 := to.(*net.TCPConn)
	if !ok1 || !ok2 {
		return nil // never so: both were made by TCP listeners and dialers
	}
	if _, err := io.WriteString(client, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: "+tunnelProtocol+"\r\n\r\n"); err != nil {
		return nil //nolint:nilerr // the client has left
	}
	if early, _ := buffered.Reader.Peek(buffered.Reader.Buffered()); len(early) > 0 {
		_, _ = app.Write(early) // what comes next fails too
	}
	relay(client, app)
	return nil
}

// relay passes bytes on between a client and an app until both have ended. An end of one is passed on to the other; a client whose connection
// was reset has left, and the app's is closed. The client hears of an app's reset as of its end, because what the app said before comes first.
func relay(client, app *net.TCPConn) {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if upwards(app, client) != nil {
			_ = app.Close() // ends the other direction, too
		} else {
			_ = app.CloseWrite() // it may have left
		}
	}()
	if downwards(client, app) != nil {
		_ = app.Close() // what it still says goes nowhere
	}
	_ = client.CloseWrite() // likewise
	<-ended
}

const (
	// quietBuffer is what a quiet direction of a tunnel holds in memory, in bytes.
	quietBuffer = 4 << 10
	// straightPiece is in what pieces the bytes of a busy app go from socket to socket, without a copy here. The kernel holds a pipe meanwhile.
	straightPiece = 1 << 20
)

var busyBuffers = sync.Pool{New: func() any { return new([64 << 10]byte) }}

// upwards copies from a client to an app until the client ends, and returns why if that was no ordinary end. When the app takes no more, the
// rest is dropped: what it has said before is on its way, and the client has to come to it.
func upwards(app, client *net.TCPConn) error {
	quiet := make([]byte, quietBuffer)
	var busy *[64 << 10]byte // nil while it is quiet
	broken := false
	for {
		b := quiet
		if busy != nil {
			b = busy[:]
		}
		n, err := client.Read(b)
		if n > 0 && !broken {
			_, failed := app.Write(b[:n])
			broken = failed != nil
		}
		switch isFull := n == len(b); {
		case isFull && busy == nil:
			busy, _ = busyBuffers.Get().(*[64 << 10]byte)
		case !isFull && busy != nil:
			busyBuffers.Put(busy)
			busy = nil
		}
		if errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// downwards copies from an app to a client until the app ends. Error: the client takes no more.
func downwards(client, app *net.TCPConn) error {
	quiet := make([]byte, quietBuffer)
	for {
		n, err := app.Read(quiet)
		if n > 0 {
			if _, err := client.Write(quiet[:n]); err != nil {
				return err
			}
		}
		if err != nil {
			return nil //nolint:nilerr // that is its end
		}
		if n == len(quiet) {
			_, _ = io.CopyN(client, app, straightPiece) // the next read or write tells what has failed
		}
	}
}
