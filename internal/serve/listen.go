package serve

import (
	"context"
	"errors"
	"net"
	"syscall"
	"time"
)

// tcpUserTimeout is TCP_USER_TIMEOUT of tcp(7), in milliseconds.
const tcpUserTimeout = 0x12

// Listen listens on a TCP address. A peer that has vanished without a word (its machine or the network is gone) costs
// a connection for about silence: by then the kernel has seen that it acknowledges neither data nor probes, and ends
// the connection for whoever reads or writes it. A peer that is there but takes no data at all for as long is cut off
// too. 0 leaves it to the kernel's settings, of which 15 minutes is usual.
func Listen(ctx context.Context, addr string, silence time.Duration) (net.Listener, error) {
	var lc net.ListenConfig
	if silence > 0 {
		probe := max(silence/4, time.Second)
		lc.KeepAliveConfig = net.KeepAliveConfig{Enable: true, Idle: probe, Interval: probe, Count: 4}
		lc.Control = func(_, _ string, raw syscall.RawConn) error { // accepted connections inherit it
			var inner error
			err := raw.Control(func(fd uintptr) {
				inner = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpUserTimeout, int(silence.Milliseconds()))
			})
			return errors.Join(err, inner)
		}
	}
	return lc.Listen(ctx, "tcp", addr)
}
