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

// dialWithin bounds the time a port of a sandbox may take to accept a connection. Only a bridge of this machine lies in
// between.
const dialWithin = 5 * time.Second

// newTransport returns the connections to a sandbox: to its own address or, where an app listens on loopback only,
// through its toolbox.
func newTransport(t Target) *upstream.Pool {
	dialer := net.Dialer{
		Timeout: dialWithin,
		// If the report of a sandbox's end is lost, the missing acknowledgements show it.
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
			_ = conn.Close() // it cannot be used
			return nil, err
		}
		return conn, nil
	})
}

// tunnel turns a connection to a toolbox into one to a port of the sandbox's loopback. Error: syscall.ECONNREFUSED if
// nothing listens there.
func tunnel(ctx context.Context, conn net.Conn, port int, secret string) error {
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	if err := conn.SetDeadline(time.Now().Add(dialWithin)); err != nil {
		return err
	}
	_, err := fmt.Fprintf(conn,
		"GET /proxy/%d HTTP/1.1\r\nHost: toolbox\r\nConnection: Upgrade\r\nUpgrade: %s\r\n%s: %s\r\n\r\n",
		port, api.TunnelProtocol, api.SecretHeader, secret)
	if err != nil {
		return err
	}
	res, err := http.ReadResponse(bufio.NewReader(&byByte{conn, maxUpgrade}), nil)
	if err != nil {
		return fmt.Errorf("the toolbox, asked for port %d: %w", port, err)
	}
	defer res.Body.Close() // it is short, and nobody reads it
	switch res.StatusCode {
	case http.StatusSwitchingProtocols:
	case http.StatusBadGateway:
		return fmt.Errorf("port %d, behind the toolbox: %w", port, syscall.ECONNREFUSED)
	default:
		return fmt.Errorf("the toolbox, asked for port %d, answered %s", port, serve.Cut(res.Status, serve.MaxWords))
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		// The toolbox cannot tell a closed connection from a half-closed one, but it sees a reset.
		if err := tcp.SetLinger(0); err != nil {
			return err
		}
	}
	return conn.SetDeadline(time.Time{})
}

// maxUpgrade bounds, in bytes, the toolbox's answer to an upgrade.
const maxUpgrade = 8 << 10

// byByte reads no more than it is asked for: the bytes that follow belong to the next user of the connection.
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
