package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"github.com/gorilla/websocket"

	"github.com/sandlot-dev/sandlot/api"
	"github.com/sandlot-dev/sandlot/internal/flow"
)

// Streams are what a command is connected to.
type Streams struct {
	Stdin          io.Reader // nil means no input
	Stdout, Stderr io.Writer
	Signals        <-chan string // names of signals for the command and its process group, such as SIGINT; may be nil

	OutOfMemory func(api.OutOfMemory) // called when the command was killed for memory; may be nil
}

// ErrOutput is returned when an output could not be written.
var ErrOutput = errors.New("write the output")

// errLost is returned when the connection ended before the command.
var errLost = errors.New("the connection to the command was lost; the command was ended with it")

// Connect runs a command with the caller's streams, byte for byte and as the bytes come, and returns its exit code.
// Output that the caller does not take holds the command back. When ctx ends, or an output cannot be written, the
// command is ended with all its descendants; the error is then ctx's cause, or ErrOutput. A Read of Stdin that is
// under way at the end is left behind. Connect sets req.Window.
func (t *Toolbox) Connect(
	ctx context.Context, req api.ConnectRequest, streams Streams,
) (exitCode int, err error) {
	ws, err := t.dial(ctx, "/process/execute/connect")
	if err != nil {
		return 0, err
	}
	req.Window = flow.Window
	ctx, end := context.WithCancelCause(ctx)
	con := &connection{ws: ws, end: end, input: flow.NewCredit(flow.Window)}
	for i := range con.outputs {
		con.outputs[i] = flow.NewQueue(flow.Window)
	}
	closed := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(closed)
		_ = ws.Close() // a write under way ends too
	})
	defer func() {
		end(nil)
		if !stop() {
			<-closed
		}
	}()
	if err := con.send(req); err != nil {
		return 0, con.cause(ctx, err)
	}
	go con.feed(ctx, streams.Stdin)
	var others sync.WaitGroup
	defer others.Wait()
	defer end(nil)
	others.Go(func() { con.signal(ctx, streams.Signals) })
	var writing sync.WaitGroup
	for i, to := range []io.Writer{streams.Stdout, streams.Stderr} {
		writing.Go(func() { con.write(ctx, i, to) })
	}
	exit, err := con.read()
	for _, q := range con.outputs {
		q.End()
	}
	if err != nil {
		end(con.cause(ctx, err))
	}
	writing.Wait() // all output that came has been written, unless a writer failed
	if ctx.Err() != nil {
		return 0, context.Cause(ctx)
	}
	if exit.OutOfMemory != nil && streams.OutOfMemory != nil {
		streams.OutOfMemory(*exit.OutOfMemory)
	}
	return *exit.ExitCode, nil
}

// connection is the client's side of a connected command.
type connection struct {
	ws      *websocket.Conn
	end     context.CancelCauseFunc
	input   *flow.Credit
	unread  atomic.Bool    // the command reads no more input
	outputs [2]*flow.Queue // stdout and stderr

	mu sync.Mutex // held while writing
}

// markers stand before the bytes of each output.
var markers = [2]string{"\x01\x01\x01", "\x02\x02\x02"}

// cause is why the connection ended: what ended it from here, or what it ended with.
func (con *connection) cause(ctx context.Context, err error) error {
	var closed *websocket.CloseError
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.As(err, &closed) && closed.Text != "" && closed.Code != websocket.CloseAbnormalClosure:
		return errors.New(closed.Text)
	}
	return errLost
}

func (con *connection) send(message any) error {
	con.mu.Lock()
	defer con.mu.Unlock()
	return con.ws.WriteJSON(message)
}

// read takes all that comes, to the command's end, which is the message that it returns.
func (con *connection) read() (exit api.ConnectMessage, err error) {
	for {
		kind, data, err := con.ws.ReadMessage()
		if err != nil {
			return exit, err
		}
		if kind == websocket.BinaryMessage {
			for i, q := range con.outputs {
				if rest, ok := bytes.CutPrefix(data, []byte(markers[i])); ok {
					if err := q.Put(rest); err != nil {
						return exit, err
					}
				}
			}
			continue
		}
		var msg api.ConnectMessage
		if err := json.Unmarshal(data, &msg); err != nil {
			return exit, err
		}
		switch {
		case msg.Type == "taken":
			con.input.Give(msg.Bytes)
		case msg.Type == "closed":
			con.unread.Store(true)
		case msg.Type == "exit" && msg.ExitCode != nil:
			return msg, nil
		}
	}
}

// write writes one output and tells what was taken.
func (con *connection) write(ctx context.Context, i int, to io.Writer) {
	for {
		data, err := con.outputs[i].Next(ctx, 32<<10)
		if err != nil {
			return
		}
		if _, err := to.Write(data); err != nil {
			con.end(fmt.Errorf("%w: %w", ErrOutput, err))
			return
		}
		con.outputs[i].Done()
		// An error is ignored: read reports the connection's end.
		_ = con.send(api.ConnectMessage{Type: "taken", Stream: i + 1, Bytes: int64(len(data))})
	}
}

// feed sends the input and its end.
func (con *connection) feed(ctx context.Context, from io.Reader) {
	buf := make([]byte, 32<<10)
	for from != nil {
		room, err := con.input.Wait(ctx, len(buf))
		if err != nil {
			return
		}
		n, err := from.Read(buf[:room])
		if n > 0 {
			con.input.Spend(n)
			con.mu.Lock()
			sent := con.ws.WriteMessage(websocket.BinaryMessage, buf[:n])
			con.mu.Unlock()
			if sent != nil {
				return // read reports it
			}
		}
		if err != nil || con.unread.Load() { // the input's end, or nobody reads it
			break
		}
	}
	_ = con.send(api.ConnectMessage{Type: "end"})
}

// signal passes signals on.
func (con *connection) signal(ctx context.Context, names <-chan string) {
	for {
		select {
		case name := <-names:
			_ = con.send(api.ConnectMessage{Type: "signal", Signal: name}) // read reports the connection's end
		case <-ctx.Done():
			return
		}
	}
}
