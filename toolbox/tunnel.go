package toolbox

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"

	"github.com/sandlot-dev/sandlot/api"
	"github.com/sandlot-dev/sandlot/internal/fault"
)

// tunnel connects the client's connection to a port, and returns when both ends have closed.
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
	switched := "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: " + api.TunnelProtocol + "\r\n\r\n"
	if _, err := io.WriteString(client, switched); err != nil {
		return nil //nolint:nilerr // the client has left
	}
	if early, _ := buffered.Reader.Peek(buffered.Reader.Buffered()); len(early) > 0 {
		_, _ = app.Write(early) // what comes next fails too
	}
	relay(client, app)
	return nil
}

// relay passes bytes on between a client and an app until both have ended. An end of one is passed on to the other; a
// client whose connection was reset has left, and the app's is closed. An app's reset reaches the client as an
// ordinary end, so that the bytes sent before it are not lost.
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
	// straightPiece is how many bytes of a busy app are spliced from socket to socket at once, without a copy here. The
	// splice occupies one pipe.
	straightPiece = 1 << 20
)

var busyBuffers = sync.Pool{New: func() any { return new([64 << 10]byte) }}

// upwards copies from a client to an app until the client ends, and returns why if that was no ordinary end. When the
// app takes no more, the rest is dropped: the client must still be able to read what the app sent before.
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
