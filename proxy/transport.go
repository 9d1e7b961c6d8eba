package proxy

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"time"

	"github.com/sandlot-dev/sandlot/api"
	"github.com/sandlot-dev/sandlot/internal/serve"
	"github.com/sandlot-dev/sandlot/internal/upstream"
)

// dialWithin bounds how long a port of a sandbox may take to accept a connection. On the way there is nothing but a bridge of this machine.
const dialWithin = 5 * time.Second

// newTransport returns the connections to a sandbox: to its own address, or, when an app listens on loopback only, through its toolbox.
func newTransport(t Target) *upstream.Pool {
	dialer := net.Dialer{
		Timeout: dialWithin,
		// If the news of a sandbox's end is lost, its silence tells.
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 5 * time.Second, Interval: 5 * time.Second, Count: 3},
	}
	dial := func(ctx context.Context, port int) (net.Conn, error) {
		return dialer.DialContext(ctx, "tcp", netip.AddrPortFrom(t.Addr, uint16(port)).String())
	}
	return upstream.NewPool(func(ctx context.Context, port int) (net.Conn, error) {
		conn, err := dial(ctx, port)
		if !errors.Is(err, syscall.ECONNREFUSED) || isToolboxd(port) {
			return conn, err
		}
		if conn, err = dial(ctx, api.ToolboxPort); err != nil {
			return nil, err
		}
		if err := tunnel(ctx, conn, port, t.Secret); err != nil {
			_ = conn.Close() // it is of no use
			return nil, err
		}
		return conn, nil
	})
}

// tunnel makes a connection to a toolbox one to a port of the sandbox's loopback. syscall.ECONNREFUSED if nothing listens there.
func tunnel(ctx context.Context, conn net.Conn, port int, secret string) error {
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	if err := conn.SetDeadline(time.Now().Add(dialWithin)); err != nil {
		return err
	}
	_, err := fmt.Fprintf(conn, "GET /proxy/%d HTTP/1.1\r\nHost: toolbox\r\nConnection: Upgrade\r\nUpgrade: %s\r\n%s: %s\r\n\r\n",
		port, api.TunnelProtocol, api.SecretHeader, secret)
	if err != nil {
		return err
	}
	res, err := http.ReadResponse(bufio.NewReader(&byByte{conn, maxUpgrade}), nil)
	if err != nil {
		return fmt.Errorf("the toolbox, asked for port %d: %w", port, err)
	}
	defer res.Body.Close() // it is short, and not of interest
	switch res.StatusCode {
	case http.StatusSwitchingProtocols:
	case http.StatusBadGateway:
		return fmt.Errorf("port %d, behind the toolbox: %w", port, syscall.ECONNREFUSED)
	default:
		return fmt.Errorf("the toolbox, asked for port %d, answered %s", port, serve.Cut(res.Status, serve.MaxWords))
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		// The toolbox cannot tell a connection that was closed from one that is half-closed; one that was reset it can.
		if err := tcp.SetLinger(0); err != nil {
			return err
		}
	}
	return conn.SetDeadline(time.Time{})
}

// maxUpgrade bounds, in bytes, what a toolbox says before it passes on the bytes of a port.
const maxUpgrade = 8 << 10

// byByte gives out no more than was asked for: what follows belongs to whoever uses the connection next.
type byByte struct {
	from io.Reader
	left int
}

// Read implements io.Reader.
func (b *byByte) Read(p []byte) (int, error) {
	if b.left--; b.left < 0 {
		return 0, errors.New("the answer's header is too long")
	}
	return b.from.Read(p[:1])
}
