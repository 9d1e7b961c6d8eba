package lsp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sourcegraph/jsonrpc2"

	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/process"
)

// Limits of the requests to one process.
const (
	maxOpen = 256 // requests that are sent and not answered, answered late ones included
	maxLate = 3   // requests in a row that are not answered in time; then the server is taken for hung and ended
)

// How long the steps of an end may take. What is left after them is killed.
const (
	shutdownTime = 2 * time.Second // to answer shutdown
	exitTime     = time.Second     // to end after exit
)

// client is one process of a server and the connection to it. It is safe for concurrent use. It ends by close, or by
// itself with the process or the connection.
type client struct {
	program Program
	caps    capabilities
	unit    unit // of the server's positions; nil means UTF-16

	proc   *process.Piped
	stream *stream
	conn   *jsonrpc2.Conn
	stderr tail
	ids    atomic.Uint64
	open   atomic.Int64 // requests without an answer
	late   atomic.Int64 // requests in a row without an answer in time
	hung   atomic.Bool  // it was ended for that

	done chan struct{} // closed when nothing of the process is left, and nobody here works for it
	err  error         // why it ended; valid after done
}

// newClient talks to proc, whose owner it becomes. answer is called for what the server sends by itself, one message
// after another. big is shared by all clients of a Manager; see stream.
func newClient(program Program, proc *process.Piped, big chan struct{}, answer answerer) *client {
	c := &client{program: program, proc: proc, stream: newStream(proc.Stdin, proc.Stdout, big), done: make(chan struct{})}
	if program.CodePoints {
		c.unit = codePoints
	}
	answered := jsonrpc2.OnRecv(func(req *jsonrpc2.Request, resp *jsonrpc2.Response) {
		if req != nil && resp != nil {
			c.open.Add(-1)
		}
	})
	quiet := jsonrpc2.SetLogger(log.New(io.Discard, "", 0))
	c.conn = jsonrpc2.NewConn(context.Background(), c.stream, answer, answered, quiet)
	go c.watch()
	return c
}

// watch waits for the end of the process or of the connection, whichever is first, and ends the other.
func (c *client) watch() {
	defer close(c.done)
	var draining sync.WaitGroup
	draining.Go(func() { _, _ = io.Copy(&c.stderr, c.proc.Stderr) }) // it ends with the process
	broken := false
	select {
	case <-c.conn.DisconnectNotify():
		select {
		case <-c.proc.Exited(): // its output ended because of that
		case <-time.After(exitTime): // closing its input ends a server that behaves
			broken = true
		}
	case <-c.proc.Exited():
	}
	c.proc.Kill() // descendants, such as tsserver, end with it
	<-c.stream.readDone
	_ = c.conn.Close() // it is closed in the end, by whomever
	<-c.stream.writeDone
	draining.Wait()
	c.proc.Close()
	c.err = c.reason(broken)
}

// reason says why the client has ended.
func (c *client) reason(broken bool) error {
	var text string
	readErr := c.stream.readErr
	res := c.proc.Result()
	switch {
	case c.hung.Load():
		text = fmt.Sprintf("%d requests in a row were not answered in time, so it was ended", maxLate)
	case fault.KindOf(readErr) == fault.Upstream, readErr != nil && fault.KindOf(readErr) == fault.Unknown && !ended(readErr):
		text = clip(readErr.Error())
	case broken:
		text = "it has closed its output, so it was ended"
	case res.OutOfMemory != nil:
		text = "it was killed because memory was full"
	case res.Signal != "":
		text = "it was ended by " + res.Signal
	default:
		text = fmt.Sprintf("it exited with code %d", res.ExitCode)
	}
	if said := strings.TrimSpace(c.stderr.String()); said != "" {
		text += "; its stderr ends with:\n" + said
	}
	return fault.Newf(fault.Upstream, "%w (%s): %s", ErrCrashed, strings.Join(c.program.Argv, " "), text)
}

// ended says whether err is just the end of a stream.
func ended(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.ErrClosedPipe)
}

// gone says whether the client has ended, or is about to.
func (c *client) gone() bool {
	select {
	case <-c.conn.DisconnectNotify():
		return true
	case <-c.proc.Exited():
		return true
	default:
		return false
	}
}

// call sends a request and waits for the answer, which is put into result unless that is nil. When ctx ends, the server
// is told that the answer is not wanted any more. Errors: ErrCrashed, ErrTimeout, ctx's own; fault.Unprocessable for
// a method that the server does not have, fault.Invalid for parameters that it refuses, fault.Upstream for what else it
// answers, fault.Limited.
func (c *client) call(ctx context.Context, method string, params, result any) error {
	if c.open.Add(1) > maxOpen {
		c.open.Add(-1)
		return fault.Newf(fault.Limited, "the language server has %d requests to answer: try again later", maxOpen)
	}
	id := jsonrpc2.ID{Num: c.ids.Add(1)}
	waiter, err := c.conn.DispatchCall(ctx, method, params, jsonrpc2.PickID(id))
	if err != nil {
		c.open.Add(-1)
		return c.lost(err)
	}
	var answer json.RawMessage
	err = waiter.Wait(ctx, &answer)
	if err != nil && ctx.Err() != nil {
		_ = c.conn.Notify(ctx, "$/cancelRequest", map[string]any{"id": id}) // it may have ended
		return c.overdue(ctx, method)
	}
	if errors.Is(err, jsonrpc2.ErrClosed) {
		return c.lost(err)
	}
	c.late.Store(0)
	var refused *jsonrpc2.Error
	if errors.As(err, &refused) {
		return refusal(method, refused)
	}
	if err == nil && result != nil {
		err = decode(answer, result)
	}
	if err != nil {
		return fault.Newf(fault.Upstream, "the language server's answer to %s is none of the protocol: %w", method, err)
	}
	return nil
}

// decode is json.Unmarshal for what a hostile peer has sent.
func decode(data json.RawMessage, result any) (err error) {
	defer fault.Recovered(&err)
	return json.Unmarshal(data, result)
}

// overdue says that ctx ended before an answer came. A server that lets that happen again and again is ended.
func (c *client) overdue(ctx context.Context, method string) error {
	if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("%s: %w", method, context.Cause(ctx))
	}
	if c.late.Add(1) >= maxLate && !c.hung.Swap(true) {
		_ = c.conn.Close() // watch does the rest
	}
	return fmt.Errorf("%s: %w: it may still be reading the project; try again", method, ErrTimeout)
}

// refusal makes an error of the server's.
func refusal(method string, e *jsonrpc2.Error) error {
	kind := fault.Upstream
	switch e.Code {
	case jsonrpc2.CodeMethodNotFound:
		kind = fault.Unprocessable
	case jsonrpc2.CodeInvalidParams:
		kind = fault.Invalid
	case codeContentModified, codeServerCancelled:
		kind = fault.Unavailable
	}
	return fault.Newf(kind, "%s: the language server answers: %s", method, clip(e.Message))
}

// Codes of errors that the protocol adds to those of JSON-RPC: the same request may succeed later.
const (
	codeContentModified = -32801
	codeServerCancelled = -32802
)

// notify sends a notification. Error: ErrCrashed.
func (c *client) notify(method string, params any) error {
	return c.lost(c.conn.Notify(context.Background(), method, params))
}

// lost waits for the end of a client whose connection failed, and says why.
func (c *client) lost(err error) error {
	if err == nil {
		return nil
	}
	_ = c.conn.Close() // where only writing has failed
	<-c.done
	return c.err
}

// close asks the server to end, kills what is left, and returns when nothing is, after at most 6 s.
func (c *client) close() {
	ctx, cancel := context.WithTimeout(context.Background(), shutdownTime)
	defer cancel()
	if c.call(ctx, "shutdown", nil, nil) == nil {
		_ = c.conn.Notify(ctx, "exit", nil) // what does not hear it is killed
		select {
		case <-c.proc.Exited():
		case <-time.After(exitTime):
		}
	}
	_ = c.conn.Close() // it may be
	c.proc.Kill()
	<-c.done
}
