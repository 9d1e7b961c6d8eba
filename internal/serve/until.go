package serve

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"
)

// Until serves handler on ln until ctx ends; then it takes no new connections, gives open requests drain to end,
// cancels the context of those that remain (websockets and followed streams see it at once) and closes them. It
// returns nil after an ordinary end.
func Until(ctx context.Context, ln net.Listener, handler http.Handler, drain time.Duration) error {
	base, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	srv := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       90 * time.Second, // clients keep connections for 75 s
		MaxHeaderBytes:    64 << 10,
		BaseContext:       func(net.Listener) context.Context { return base },
	}
	var unused sync.Map // connections that have not sent anything yet: Shutdown would wait 5 s for them
	srv.ConnState = func(conn net.Conn, state http.ConnState) {
		if state == http.StateNew {
			unused.Store(conn, nil)
		} else {
			unused.Delete(conn)
		}
	}
	srv.RegisterOnShutdown(func() {
		unused.Range(func(conn, _ any) bool {
			_ = conn.(net.Conn).Close() // its client has lost nothing
			return true
		})
	})
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(ln) }()
	select {
	case err := <-ended:
		return fmt.Errorf("serve %s: %w", ln.Addr(), err)
	case <-ctx.Done():
	}
	within, cancel := context.WithTimeout(base, drain)
	defer cancel()
	if err := srv.Shutdown(within); err != nil {
		cut()
		_ = srv.Close() // only the listener's close could fail, and Shutdown did that already
	}
	if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve %s: %w", ln.Addr(), err)
	}
	return nil
}
