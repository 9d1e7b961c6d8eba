package toolbox

import (
	"encoding/json"
	"errors"
	"io"
	"math"
	"net/http"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/gorilla/websocket"

	"github.com/sandlot-dev/sandlot/api"
	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/internal/serve"
	"github.com/sandlot-dev/sandlot/interpreter"
	"github.com/sandlot-dev/sandlot/process/journal"
)

// interpreterAPI serves /process/interpreter.
type interpreterAPI struct {
	interpreters *interpreter.Manager
}

var interpreterRoutes = []serve.Route[*interpreterAPI]{
	{
		Method: "GET", Path: "/process/interpreter/context",
		Summary: "List interpreters that keep their state", Out: api.ListContextsResponse{}, Do: (*interpreterAPI).list,
	},
	{
		Method: "POST", Path: "/process/interpreter/context",
		Summary: "Start an interpreter that keeps its state",
		In:      api.CreateContextRequest{}, Out: api.InterpreterContext{}, Do: (*interpreterAPI).create,
	},
	{
		Method: "DELETE", Path: "/process/interpreter/context/:id",
		Summary: "End an interpreter and all that it started", Out: api.Strings{}, Do: (*interpreterAPI).delete,
	},
	{
		Method: "POST", Path: "/process/interpreter/context/:id/interrupt",
		Summary: "Stop the code that runs, as Ctrl-C does", Out: api.Strings{}, Do: (*interpreterAPI).interrupt,
	},
	{
		Method: "POST", Path: "/process/interpreter/context/:id/restart",
		Summary: "End an interpreter; the next code runs in a new one", Out: api.Strings{}, Do: (*interpreterAPI).restart,
	},
	{
		Method: "GET", Path: "/process/interpreter/execute", Status: 101,
		Summary: "Run code in an interpreter, by websocket", Do: (*interpreterAPI).execute,
	},
}

// defaultID is the id of the context that belongs to nobody. Those of other languages have the name of the language
// behind it.
const defaultID = "default"

// get finds a context by its id.
func (a *interpreterAPI) get(id string) (*interpreter.Context, error) {
	if language, ok := strings.CutPrefix(id, defaultID); ok {
		return a.interpreters.Default(strings.TrimPrefix(language, "-"))
	}
	return a.interpreters.Get(id)
}

func wireContext(c *interpreter.Context) api.InterpreterContext {
	return api.InterpreterContext{
		ID: c.ID, Cwd: c.Dir(), CreatedAt: c.Created, Active: c.Active(), Language: c.Language,
	}
}

// list handles GET /process/interpreter/context.
func (a *interpreterAPI) list(c *gin.Context) error {
	answer := api.ListContextsResponse{Contexts: []api.InterpreterContext{}}
	for _, one := range a.interpreters.List() {
		answer.Contexts = append(answer.Contexts, wireContext(one))
	}
	c.JSON(http.StatusOK, answer)
	return nil
}

// create handles POST /process/interpreter/context.
func (a *interpreterAPI) create(c *gin.Context) error {
	var req api.CreateContextRequest
	if err := serve.Decode(c, &req); err != nil {
		return err
	}
	o := interpreter.Options{Dir: req.Cwd, Memory: req.MemoryMiB << 20}
	if req.Language != nil {
		if o.Language = *req.Language; o.Language == "" {
			return fault.New(fault.Invalid, "the language is empty: leave it out for "+interpreter.Default)
		}
	}
	one, err := a.interpreters.Create(c.Request.Context(), o)
	if fault.CodeOf(err) == "FOLDER_NOT_FOUND" {
		err = fault.Codef(fault.Invalid, "FOLDER_NOT_FOUND", "%w", err)
	}
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, wireContext(one))
	return nil
}

// delete handles DELETE /process/interpreter/context/{id}.
func (a *interpreterAPI) delete(c *gin.Context) error {
	id := c.Param("id")
	if strings.HasPrefix(id, defaultID) {
		return fault.New(fault.Invalid, "the default context cannot be deleted; POST its /restart to begin anew")
	}
	if err := a.interpreters.Delete(id); err != nil {
		return err
	}
	c.JSON(http.StatusOK, api.Strings{"message": "context deleted"})
	return nil
}

// interrupt handles POST /process/interpreter/context/{id}/interrupt.
func (a *interpreterAPI) interrupt(c *gin.Context) error {
	one, err := a.get(c.Param("id"))
	if err != nil {
		return err
	}
	one.Interrupt()
	c.JSON(http.StatusOK, api.Strings{"message": "what runs was interrupted"})
	return nil
}

// restart handles POST /process/interpreter/context/{id}/restart.
func (a *interpreterAPI) restart(c *gin.Context) error {
	one, err := a.get(c.Param("id"))
	if err != nil {
		return err
	}
	one.Restart()
	c.JSON(http.StatusOK, api.Strings{"message": "the interpreter has ended; the next code runs in a new one"})
	return nil
}

const (
	maxCode        = 32 << 20 // bytes of a request to run code
	requestWithin  = time.Minute
	defaultTimeout = 600 * time.Second
	closedByTime   = 4008 // the close code of a cell whose time was over
)

// running is a cell that a client asked for.
type running struct {
	request api.InterpreterRequest
	in      *interpreter.Context
	cell    *interpreter.Cell
	err     error
}

// execute handles GET /process/interpreter/execute (docs/wire.md, "Interpreter"): one websocket for one cell.
func (a *interpreterAPI) execute(c *gin.Context) error {
	started := make(chan running, 1)
	var run *running // for whoever handles messages
	s, err := upgradeFor(c, maxCode, func(_ int, data []byte) error {
		var m api.InterpreterMessage
		switch {
		case run == nil:
			run = &running{}
			if run.err = json.Unmarshal(data, &run.request); run.err == nil {
				run.in, run.cell, run.err = a.start(run.request)
			}
			started <- *run
		case run.err == nil && json.Unmarshal(data, &m) == nil && m.Type == "interrupt":
			run.in.Interrupt()
		}
		return nil
	})
	if err != nil {
		return err
	}
	code, reason := websocket.CloseNormalClosure, ""
	defer func() { s.close(code, cutReason(reason)) }()
	select {
	case r := <-started:
		code, reason = answerCell(s, r)
	case <-s.Context().Done():
	case <-time.After(requestWithin):
		code, reason = websocket.ClosePolicyViolation, "no request came"
	}
	return nil
}

// start starts the cell that is asked for, or finds it.
func (a *interpreterAPI) start(req api.InterpreterRequest) (*interpreter.Context, *interpreter.Cell, error) {
	id := req.ContextID
	if id == "" {
		id = defaultID + "-" + req.Language
	}
	in, err := a.get(id)
	if err != nil {
		return nil, nil, err
	}
	if req.Code == "" && req.ID != "" {
		cell, err := in.Cell(req.ID)
		return in, cell, err
	}
	timeout := defaultTimeout
	if req.Timeout != nil {
		if *req.Timeout < 0 || *req.Timeout > 1e9 || math.IsNaN(*req.Timeout) {
			return nil, nil, fault.New(fault.Invalid, "timeout must be seconds from 0 (no limit) to 1000000000")
		}
		timeout = time.Duration(*req.Timeout * float64(time.Second))
	}
	cell, err := in.Run(interpreter.Request{Code: req.Code, Envs: req.Envs, Timeout: timeout, ID: req.ID})
	return in, cell, err
}

// answerCell sends a cell's record, and returns how the websocket is to be closed. A client that leaves does not end
// the cell.
func answerCell(s *socket, r running) (code int, reason string) {
	var shape *json.UnmarshalTypeError
	var syntax *json.SyntaxError
	switch {
	case r.err == nil:
	case errors.As(r.err, &shape), errors.As(r.err, &syntax):
		return websocket.CloseProtocolError, "the request is not JSON of the right shape: " + r.err.Error()
	case fault.KindOf(r.err) == fault.Unknown, fault.KindOf(r.err) == fault.Internal:
		return websocket.CloseInternalServerErr, r.err.Error()
	default:
		return websocket.ClosePolicyViolation, r.err.Error()
	}
	frames := cellFrames{send: s.sendJSON, offsets: r.request.ID != ""}
	record := r.cell.Follow(r.request.Offset)
	defer record.Close()
	for {
		e, err := record.Next(s.Context())
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			err = frames.event(e)
		}
		if err != nil {
			return websocket.CloseNormalClosure, "" // the client has left
		}
	}
	err := frames.end()
	outcome := r.cell.Outcome()
	if outcome.State == interpreter.Failed {
		return websocket.CloseInternalServerErr, outcome.Error.Value
	}
	if outcome.Error != nil {
		err = errors.Join(err, frames.error(outcome.Error))
	}
	control := "completed"
	switch outcome.State {
	case interpreter.TimedOut:
		return closedByTime, ""
	case interpreter.Interrupted, interpreter.Deleted:
		control = "interrupted"
	}
	if err == nil {
		_ = s.sendJSON(api.InterpreterFrame{Type: "control", Text: control}) // the client may have left
	}
	return websocket.CloseNormalClosure, ""
}

// cellFrames makes the frames of events.
type cellFrames struct {
	send    func(any) error
	offsets bool // frames tell where to go on

	held [journal.Events]string // beginnings of characters, by stream
}

func (f *cellFrames) event(e interpreter.Event) error {
	if e.Skipped > 0 {
		note := api.InterpreterFrame{Type: "stderr", Text: string(journal.DroppedNotice(e.Skipped))}
		if err := f.send(note); err != nil {
			return err
		}
	}
	frame := api.InterpreterFrame{Type: string(e.Kind), Data: e.Data}
	if f.offsets {
		frame.Offset = e.Next
	}
	switch e.Kind {
	case interpreter.Stdout:
		return f.text(frame, journal.Stdout, e.Text)
	case interpreter.Stderr:
		return f.text(frame, journal.Stderr, e.Text)
	case interpreter.Raised:
		frame.Name, frame.Value, frame.Traceback = e.Error.Name, e.Error.Value, e.Error.Traceback
	case "": // nothing but what was skipped
		return nil
	}
	return f.send(frame)
}

// text sends output in frames that end within no character.
func (f *cellFrames) text(frame api.InterpreterFrame, s journal.Stream, data []byte) error {
	next := frame.Offset
	for len(data) > 0 {
		n := min(len(data), maxFrame)
		piece := append([]byte(f.held[s]), data[:n]...)
		data = data[n:]
		whole := wholeRunes(piece)
		f.held[s] = string(piece[whole:])
		if whole == 0 {
			continue
		}
		if f.offsets {
			frame.Offset = next - int64(len(data)+len(f.held[s]))
		}
		frame.Text = string(piece[:whole])
		if err := f.send(frame); err != nil {
			return err
		}
	}
	return nil
}

// end sends what was held back.
func (f *cellFrames) end() error {
	for s, kind := range map[journal.Stream]string{journal.Stdout: "stdout", journal.Stderr: "stderr"} {
		if f.held[s] == "" {
			continue
		}
		if err := f.send(api.InterpreterFrame{Type: kind, Text: f.held[s]}); err != nil {
			return err
		}
	}
	return nil
}

func (f *cellFrames) error(e *interpreter.Error) error {
	return f.send(api.InterpreterFrame{Type: "error", Name: e.Name, Value: e.Value, Traceback: e.Traceback})
}

// cutReason cuts text to what a close frame can hold.
func cutReason(text string) string {
	const most = 123
	text = strings.ToValidUTF8(text, "?")
	if len(text) <= most {
		return text
	}
	return text[:wholeRunes([]byte(text[:most]))]
}
