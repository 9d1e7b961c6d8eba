package toolbox

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/gorilla/websocket"
	"golang.org/x/sys/unix"

	"github.com/sandlot-dev/sandlot/api"
	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/internal/flow"
	"github.com/sandlot-dev/sandlot/process"
	"github.com/sandlot-dev/sandlot/process/journal"
)

// connected is a command whose streams are on a websocket.
type connected struct {
	ws      *socket
	input   *flow.Queue
	begin   chan api.ConnectRequest // the first message
	begun   bool                    // it was taken; for take alone
	signals chan syscall.Signal
	credit  [3]*flow.Credit // by journal.Stream; set when the first message is taken
}

// firstWithin bounds the time from the opening of the websocket to the first message.
const firstWithin = 10 * time.Second

// connectCommand handles GET /process/execute/connect, which is beyond the contract (docs/toolbox.md): a command with
// all three streams, byte for byte and at the pace of who reads. A client that leaves ends the command and all its
// descendants.
func (a *commandAPI) connectCommand(c *gin.Context) error {
	if !websocket.IsWebSocketUpgrade(c.Request) {
		return fault.New(fault.Invalid, "this call opens a websocket; to run a command without one, POST /process/execute")
	}
	con := &connected{
		input: flow.NewQueue(flow.Window), begin: make(chan api.ConnectRequest, 1), signals: make(chan syscall.Signal, 16),
	}
	var err error
	if con.ws, err = upgrade(c, con.take); err != nil {
		return err
	}
	first := time.NewTimer(firstWithin)
	defer first.Stop()
	select {
	case req := <-con.begin:
		err = con.run(a.processes, req)
	case <-con.ws.Context().Done():
		err = context.Cause(con.ws.Context())
	case <-first.C:
		err = fault.Newf(fault.Invalid, "the first message did not come within %v", firstWithin)
	}
	switch {
	case err == nil, errors.Is(err, errLeft):
		con.ws.close(websocket.CloseNormalClosure, "")
	case fault.KindOf(err) == fault.Invalid, fault.KindOf(err) == fault.Limited:
		con.ws.close(websocket.ClosePolicyViolation, closeReason(err))
	case errors.Is(err, context.Canceled), errors.Is(err, process.ErrClosed):
		con.ws.close(websocket.CloseGoingAway, "the sandbox is stopping")
	default:
		con.ws.close(websocket.CloseInternalServerErr, closeReason(err))
	}
	return nil
}

// closeReason is as much of an error as a close frame holds.
func closeReason(err error) string {
	const most = 123
	text := err.Error()
	return strings.ToValidUTF8(text[:min(len(text), most)], "")
}

// take takes one message of the client.
func (con *connected) take(kind int, data []byte) error {
	switch {
	case !con.begun:
		var req api.ConnectRequest
		if err := json.Unmarshal(data, &req); err != nil || kind != websocket.TextMessage || req.Window < 0 {
			return fault.New(fault.Invalid, "the first message must be JSON in text, with the command")
		}
		con.begun = true
		con.credit = [3]*flow.Credit{journal.Stdout: flow.NewCredit(req.Window), journal.Stderr: flow.NewCredit(req.Window)}
		con.begin <- req // there is room for one
		return nil
	case kind == websocket.BinaryMessage:
		if err := con.input.Put(data); err != nil {
			return fault.Newf(fault.Limited, "input: %w (%d bytes)", err, flow.Window)
		}
		return nil
	}
	var msg api.ConnectMessage
	if err := json.Unmarshal(data, &msg); err != nil {
		return fault.Newf(fault.Invalid, "a text message must be JSON: %w", err)
	}
	switch msg.Type {
	case "end":
		con.input.End()
	case "taken":
		if msg.Stream != int(journal.Stdout) && msg.Stream != int(journal.Stderr) {
			return fault.Newf(fault.Invalid, "there is no stream %d", msg.Stream)
		}
		con.credit[msg.Stream].Give(msg.Bytes)
	case "signal":
		sig := unix.SignalNum(msg.Signal)
		if sig == 0 {
			return fault.Newf(fault.Invalid, "there is no signal %q", msg.Signal)
		}
		select {
		case con.signals <- sig:
		default: // as many wait already, for a command that is being started
		}
	default:
		return fault.Newf(fault.Invalid, "a message cannot be of type %q", msg.Type)
	}
	return nil
}

// run runs the command and sends how it ended. Errors: fault.Invalid for a command that cannot be, the cause of the
// connection's end.
func (con *connected) run(m *process.Manager, req api.ConnectRequest) error {
	ctx := con.ws.Context()
	p, err := m.StartPiped(process.Spec{Script: req.Command, Dir: req.Cwd, Env: req.Envs, User: req.User})
	if err != nil {
		text, code, known := process.Failed(err)
		if !known {
			return err
		}
		if err := con.ws.send(websocket.BinaryMessage, []byte(markers[journal.Stderr]+text)); err != nil {
			return errLeft
		}
		return con.exit(process.Result{ExitCode: code})
	}
	defer p.Close()
	var work sync.WaitGroup
	var failed [3]error
	work.Go(func() {
		defer fault.Recovered(&failed[0])
		con.feed(p.Stdin)
	})
	work.Go(func() {
		defer fault.Recovered(&failed[journal.Stdout])
		con.pass(p.Stdout, journal.Stdout)
	})
	work.Go(func() {
		defer fault.Recovered(&failed[journal.Stderr])
		con.pass(p.Stderr, journal.Stderr)
	})
	for running := true; running; {
		select {
		case sig := <-con.signals:
			p.Signal(sig, true)
		case <-p.Done():
			running = false
		case <-ctx.Done():
			p.Kill()
			running = false
		}
	}
	con.input.End()
	_ = p.Stdin.Close() // ends feed
	work.Wait()
	if err := errors.Join(failed[:]...); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return con.exit(p.Result())
}

func (con *connected) exit(res process.Result) error {
	msg := api.ConnectMessage{
		Type: "exit", ExitCode: &res.ExitCode, Signal: res.Signal, OutOfMemory: wireOutOfMemory(res.OutOfMemory),
	}
	if con.ws.sendJSON(msg) != nil {
		return errLeft
	}
	return nil
}

// maxPiece is the most bytes of a stream that are passed on at once.
const maxPiece = 32 << 10

// feed gives the client's input to the command. What comes when nobody reads it any more is forgotten.
func (con *connected) feed(stdin io.WriteCloser) {
	closed := false
	for {
		data, err := con.input.Next(con.ws.Context(), maxPiece)
		if err != nil {
			_ = stdin.Close()
			return
		}
		if !closed {
			if _, err := stdin.Write(data); err != nil {
				closed = true
				_ = con.ws.sendJSON(api.ConnectMessage{Type: "closed"}) // to a client that may have left
			}
		}
		con.input.Done()
		_ = con.ws.sendJSON(api.ConnectMessage{Type: "taken", Bytes: int64(len(data))}) // as above
	}
}

// pass sends one output to the client, to its end.
func (con *connected) pass(output io.Reader, s journal.Stream) {
	head := len(markers[s])
	buf := append(make([]byte, 0, head+maxPiece), markers[s]...)
	for {
		room, err := con.credit[s].Wait(con.ws.Context(), maxPiece)
		if err != nil {
			return
		}
		n, err := output.Read(buf[head : head+room])
		if n > 0 {
			con.credit[s].Spend(n)
			if con.ws.send(websocket.BinaryMessage, buf[:head+n]) != nil {
				return // Context ends too
			}
		}
		if err != nil {
			return
		}
	}
}
