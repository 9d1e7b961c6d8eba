package client

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"sync"

	"github.com/gorilla/websocket"

	"github.com/sandlot-dev/sandlot/api"
)

// CreateTerminal opens a terminal. The shell runs until its end or DeleteTerminal.
func (t *Toolbox) CreateTerminal(ctx context.Context, req api.PtyCreateRequest) error {
	return t.call(ctx, http.MethodPost, "/process/pty", req, nil)
}

// ListTerminals lists the terminals.
func (t *Toolbox) ListTerminals(ctx context.Context) ([]api.PtySessionInfo, error) {
	var list api.PtyListResponse
	err := t.call(ctx, http.MethodGet, "/process/pty", nil, &list)
	return list.Sessions, err
}

// TerminalInfo describes a terminal.
func (t *Toolbox) TerminalInfo(ctx context.Context, id string) (info api.PtySessionInfo, err error) {
	return info, t.call(ctx, http.MethodGet, terminalPath(id), nil, &info)
}

// ResizeTerminal changes the size of a terminal.
func (t *Toolbox) ResizeTerminal(ctx context.Context, id string, cols, rows uint16) error {
	return t.call(ctx, http.MethodPost, terminalPath(id)+"/resize", api.PtyResizeRequest{Cols: cols, Rows: rows}, nil)
}

// DeleteTerminal kills a terminal and its processes.
func (t *Toolbox) DeleteTerminal(ctx context.Context, id string) error {
	return t.call(ctx, http.MethodDelete, terminalPath(id), nil, nil)
}

// Terminal is a connection to a terminal: Read returns its output and io.EOF at its end, Write gives it input. One
// goroutine may read while any number write. Close ends the connection, not the terminal.
type Terminal struct {
	ws      *websocket.Conn
	message io.Reader // the rest of the current message; nil between messages
	exit    *int

	writing sync.Mutex
}

// exitControl is the subprotocol by which a client asks for the exit code as a message.
const exitControl = "X-Daytona-Pty-Exit-Control"

// ConnectTerminal connects to a terminal. When ctx ends before the connection is there, it is given up; afterwards ctx
// has no effect.
func (t *Toolbox) ConnectTerminal(ctx context.Context, id string) (*Terminal, error) {
	ws, err := t.dial(ctx, terminalPath(id)+"/connect", exitControl)
	if err != nil {
		return nil, err
	}
	return &Terminal{ws: ws}, nil
}

// Read implements io.Reader. Errors: io.EOF when the terminal has ended.
func (t *Terminal) Read(p []byte) (int, error) {
	for t.exit == nil {
		if t.message == nil {
			if err := t.next(); err != nil {
				return 0, err
			}
			continue
		}
		n, err := t.message.Read(p)
		if errors.Is(err, io.EOF) {
			t.message, err = nil, nil
		}
		if n > 0 || err != nil || len(p) == 0 {
			return n, err
		}
	}
	return 0, io.EOF
}

// next waits for a message of output, or for that of the terminal's end.
func (t *Terminal) next() error {
	kind, message, err := t.ws.NextReader()
	if err != nil {
		return err
	}
	if kind == websocket.BinaryMessage {
		t.message = message
		return nil
	}
	var control api.PtyControl
	if err := json.NewDecoder(message).Decode(&control); err != nil {
		return err
	}
	if control.Status == "exited" {
		t.exit = control.ExitCode
	}
	return nil
}

// ExitCode returns the exit code of the terminal's program; ok is false until Read has returned io.EOF.
func (t *Terminal) ExitCode() (code int, ok bool) {
	if t.exit == nil {
		return 0, false
	}
	return *t.exit, true
}

// Write implements io.Writer.
func (t *Terminal) Write(p []byte) (n int, err error) {
	t.writing.Lock()
	defer t.writing.Unlock()
	for n < len(p) {
		part := p[n:min(len(p), n+32<<10)]
		if err := t.ws.WriteMessage(websocket.BinaryMessage, part); err != nil {
			return n, err
		}
		n += len(part)
	}
	return n, nil
}

// Close implements io.Closer.
func (t *Terminal) Close() error { return t.ws.Close() }

func terminalPath(id string) string { return "/process/pty/" + url.PathEscape(id) }

var _ io.ReadWriteCloser = (*Terminal)(nil)
