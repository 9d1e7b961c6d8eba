package toolbox

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/gorilla/websocket"

	"github.com/sandlot-dev/sandlot/api"
	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/internal/serve"
	"github.com/sandlot-dev/sandlot/internal/version"
	"github.com/sandlot-dev/sandlot/process"
	"github.com/sandlot-dev/sandlot/process/journal"
	"github.com/sandlot-dev/sandlot/session"
)

// sessionAPI serves /process/session.
type sessionAPI struct {
	sessions *session.Manager
	home     string // of the daemon's user
}

var sessionRoutes = []serve.Route[*sessionAPI]{
	{
		Method: "GET", Path: "/process/session",
		Summary: "List shell sessions", Out: []api.Session{}, Do: (*sessionAPI).list,
	},
	{
		Method: "POST", Path: "/process/session", Status: 201,
		Summary: "Start a shell session", In: api.CreateSessionRequest{}, Do: (*sessionAPI).create,
	},
	{
		Method: "DELETE", Path: "/process/session/:sessionId", Query: []string{"descendants?"}, Status: 204,
		Summary: "End a session and its processes; with descendants=all, those too that left it", Do: (*sessionAPI).delete,
	},
	{
		Method: "GET", Path: "/process/session/:sessionId",
		Summary: "Describe a session", Out: api.Session{}, Do: (*sessionAPI).get,
	},
	{
		Method: "GET", Path: "/process/session/:sessionId/command/:commandId",
		Summary: "Describe a command of a session", Out: api.SessionCommand{}, Do: (*sessionAPI).getCommand,
	},
	{
		Method: "POST", Path: "/process/session/:sessionId/command/:commandId/input", Status: 204,
		Summary: "Give input to a running command", In: api.SessionSendInputRequest{}, Do: (*sessionAPI).input,
	},
	{
		Method: "GET", Path: "/process/session/:sessionId/command/:commandId/logs",
		Query:   []string{"follow?", "stream?", "offset?"},
		Summary: "Read a command's output; by websocket, follow it",
		Out:     api.SessionCommandLogsResponse{}, Do: (*sessionAPI).logs,
	},
	{
		Method: "POST", Path: "/process/session/:sessionId/exec",
		Summary: "Run a command in a session",
		In:      api.SessionExecuteRequest{}, Out: api.SessionExecuteResponse{}, Do: (*sessionAPI).exec,
	},
	{
		Method: "GET", Path: "/process/session/entrypoint",
		Summary: "Describe the image's own program", Out: api.Session{}, Do: (*sessionAPI).get,
	},
	{
		Method: "GET", Path: "/process/session/entrypoint/logs", Query: []string{"follow?", "stream?", "offset?"},
		Summary: "Read the output of the image's own program; by websocket, follow it",
		Out:     api.SessionCommandLogsResponse{}, Do: (*sessionAPI).logs,
	},
}

// create handles POST /process/session.
func (a *sessionAPI) create(c *gin.Context) error {
	var req api.CreateSessionRequest
	if err := serve.Decode(c, &req); err != nil {
		return err
	}
	dir := ""
	if v := sdkVersion(c); v != "" && !version.AtLeast(v, 0, 103) {
		dir = a.home // older clients expect it there
	}
	if _, err := a.sessions.Create(req.SessionID, dir); err != nil {
		return err
	}
	c.Status(http.StatusCreated)
	return nil
}

// list handles GET /process/session.
func (a *sessionAPI) list(c *gin.Context) error {
	list := []api.Session{}
	for _, one := range a.sessions.List() {
		list = append(list, wireSession(one))
	}
	c.JSON(http.StatusOK, list)
	return nil
}

// get handles GET /process/session/{sessionId} and GET /process/session/entrypoint.
func (a *sessionAPI) get(c *gin.Context) error {
	one, err := a.commandList(c)
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, wireSession(one))
	return nil
}

// delete handles DELETE /process/session/{sessionId}.
func (a *sessionAPI) delete(c *gin.Context) error {
	scope, err := scopeOf(c)
	if err != nil {
		return err
	}
	if err := a.sessions.DeleteWith(c.Param("sessionId"), scope); err != nil {
		return err
	}
	c.Status(http.StatusNoContent)
	return nil
}

// scopeOf returns what ends with a session or a terminal: its own processes, and with descendants=all also those that
// made themselves independent.
func scopeOf(c *gin.Context) (process.Scope, error) {
	switch v := c.Query("descendants"); v {
	case "", "own":
		return process.OwnSession, nil
	case "all":
		return process.Descendants, nil
	default:
		return 0, fault.Newf(fault.Invalid, "descendants must be all or own, not %.80q", v)
	}
}

// A client that asks for a new command gets its answer later, in case the command ends soon (docs/wire.md, "The
// toolbox: sessions and terminals").
const (
	newFor     = 50 * time.Millisecond // how long a command counts as new
	heldAtMost = 25 * time.Millisecond
)

// getCommand handles GET /process/session/{sessionId}/command/{commandId}. It waits a moment for the end of a new
// command.
func (a *sessionAPI) getCommand(c *gin.Context) error {
	cmd, err := a.command(c)
	if err != nil {
		return err
	}
	if _, done := cmd.ExitCode(); !done && time.Since(cmd.Given) < newFor {
		late := time.NewTimer(heldAtMost)
		defer late.Stop()
		select {
		case <-cmd.Done():
		case <-late.C:
		case <-c.Request.Context().Done():
		}
	}
	c.JSON(http.StatusOK, wireCommand(cmd))
	return nil
}

// commandList is what handlers read of a session, or of the entrypoint.
type commandList interface {
	ID() string
	Commands() []*session.Command
	Command(id string) (*session.Command, error)
	Log(id string) (*session.Command, error)
}

// commandList finds the session of the path. Paths without one are those of the entrypoint.
func (a *sessionAPI) commandList(c *gin.Context) (commandList, error) {
	if id := c.Param("sessionId"); id != "" && id != session.EntrypointID {
		return a.sessions.Get(id)
	}
	return a.sessions.Entrypoint(), nil
}

func (a *sessionAPI) command(c *gin.Context) (*session.Command, error) {
	one, err := a.commandList(c)
	if err != nil {
		return nil, err
	}
	return one.Command(commandID(c))
}

// commandID returns the command of the path. Paths without one are those of the entrypoint.
func commandID(c *gin.Context) string {
	if id := c.Param("commandId"); id != "" {
		return id
	}
	return session.EntrypointCommand
}

func wireSession(s commandList) api.Session {
	commands := []api.SessionCommand{}
	for _, cmd := range s.Commands() {
		commands = append(commands, wireCommand(cmd))
	}
	return api.Session{SessionID: s.ID(), Commands: commands}
}

func wireCommand(cmd *session.Command) api.SessionCommand {
	wire := api.SessionCommand{ID: cmd.ID, Command: cmd.Text}
	if code, ok := cmd.ExitCode(); ok {
		wire.ExitCode, wire.OutOfMemory = &code, wireOutOfMemory(cmd.OutOfMemory())
	}
	return wire
}

// exec handles POST /process/session/{sessionId}/exec. A caller that goes away does not end the command.
func (a *sessionAPI) exec(c *gin.Context) error {
	var req api.SessionExecuteRequest
	if err := serve.Decode(c, &req); err != nil {
		return err
	}
	one, err := a.sessions.Get(c.Param("sessionId"))
	if err != nil {
		return err
	}
	async := req.RunAsync || req.Async
	cmd, err := one.Exec(session.Spec{Script: req.Command, Async: async, HideEcho: req.SuppressInputEcho})
	if err != nil {
		return err
	}
	if async {
		c.JSON(http.StatusAccepted, api.SessionExecuteResponse{CmdID: cmd.ID})
		return nil
	}
	select {
	case <-cmd.Done():
	case <-c.Request.Context().Done():
		return context.Cause(c.Request.Context())
	}
	if err := cmd.Err(); err != nil {
		return err
	}
	code, _ := cmd.ExitCode()
	d, _ := dialectOf(c)
	return stream(c, http.StatusOK, jsonType, func(w *bufio.Writer) error {
		_, _ = fmt.Fprintf(w, `{"cmdId":"%s","exitCode":%d,`, cmd.ID, code)
		err := writeLogs(w, cmd, d)
		if o := wireOutOfMemory(cmd.OutOfMemory()); o != nil {
			data, jsonErr := json.Marshal(o)
			err = errors.Join(err, jsonErr)
			_, _ = fmt.Fprintf(w, `,"outOfMemory":%s`, data)
		}
		_ = w.WriteByte('}')
		return err
	})
}

// writeLogs writes a command's output until now as members of a JSON object: output and, if the dialect has them,
// stdout and stderr.
func writeLogs(w *bufio.Writer, cmd *session.Command, d dialect) error {
	size := cmd.Output().Size(0) // all members end at the same byte
	err := outputText{marked: d != plainText}.writeMember(w, "output", cmd.Output().Until(0, size))
	if d == splitJSON {
		_ = w.WriteByte(',')
		err = errors.Join(err, outputText{stream: journal.Stdout}.writeMember(w, "stdout", cmd.Output().Until(0, size)))
		_ = w.WriteByte(',')
		err = errors.Join(err, outputText{stream: journal.Stderr}.writeMember(w, "stderr", cmd.Output().Until(0, size)))
	}
	return err
}

// input handles POST /process/session/{sessionId}/command/{commandId}/input.
func (a *sessionAPI) input(c *gin.Context) error {
	var req api.SessionSendInputRequest
	if err := serve.Decode(c, &req); err != nil {
		return err
	}
	one, err := a.sessions.Get(c.Param("sessionId"))
	if err != nil {
		return err
	}
	cmd, err := one.Command(commandID(c))
	if err != nil {
		return err
	}
	if !strings.HasSuffix(req.Data, "\n") {
		req.Data += "\n"
	}
	if err := cmd.Input([]byte(req.Data)); err != nil {
		return err
	}
	c.Status(http.StatusNoContent)
	return nil
}

// logs handles GET /process/session/{sessionId}/command/{commandId}/logs and GET /process/session/entrypoint/logs. The
// answer is a snapshot, or by websocket the log from its beginning and, with follow=true, on to its end. Beyond the
// contract, stream=true follows without a websocket, as text with markers, and offset skips that many bytes of output,
// both streams together, except in JSON.
func (a *sessionAPI) logs(c *gin.Context) error {
	one, err := a.commandList(c)
	if err != nil {
		return err
	}
	cmd, err := one.Log(commandID(c))
	if err != nil {
		return err
	}
	from := int64(0)
	if text := c.Query("offset"); text != "" {
		if from, err = strconv.ParseInt(text, 10, 64); err != nil || from < 0 {
			return fault.Newf(fault.Invalid, "offset must be a number of bytes, not %q", text)
		}
	}
	d, told := dialectOf(c)
	ofEntrypoint := c.Param("sessionId") == ""
	if websocket.IsWebSocketUpgrade(c.Request) {
		// One client's sockets name no version, and it drops what has no marker (docs/wire.md, "The toolbox: sessions and
		// terminals").
		marked := d != plainText || !told || ofEntrypoint
		return followLogs(c, cmd, marked, from)
	}
	switch {
	case c.Query("stream") == "true":
		return streamLogs(c, cmd, from)
	case d == splitJSON:
		return stream(c, http.StatusOK, jsonType, func(w *bufio.Writer) error {
			_ = w.WriteByte('{')
			err := writeLogs(w, cmd, d)
			_ = w.WriteByte('}')
			return err
		})
	default:
		marked := d == markedText || ofEntrypoint && !told
		return stream(c, http.StatusOK, textType, func(w *bufio.Writer) error {
			return outputText{marked: marked}.writeTo(cmd.Output().Snapshot(from), func(p []byte) { _, _ = w.Write(p) })
		})
	}
}

// followLogs sends a log by websocket. A slow client holds up neither the command nor other clients.
func followLogs(c *gin.Context, cmd *session.Command, marked bool, from int64) error {
	ws, err := upgrade(c, nil)
	if err != nil {
		return err
	}
	f := framer{marked: marked, send: func(data []byte) error { return ws.send(websocket.BinaryMessage, data) }}
	if c.Query("follow") == "true" {
		err = cmd.Follow(ws.Context(), from, f.chunk)
	} else {
		err = eachChunk(cmd.Output().Snapshot(from), f.chunk)
	}
	if err = errors.Join(err, f.end()); err != nil && ws.Context().Err() == nil {
		ws.close(websocket.CloseInternalServerErr, `{"error":"the log could not be read"}`)
		return nil
	}
	ws.close(websocket.CloseNormalClosure, "")
	return nil
}

// streamLogs sends a log as the body of an answer that lasts as long as the command.
func streamLogs(c *gin.Context, cmd *session.Command, from int64) error {
	c.Header("Content-Type", textType)
	c.Status(http.StatusOK)
	c.Writer.Flush()
	f := framer{marked: true, send: func(data []byte) error {
		_, err := c.Writer.Write(data)
		c.Writer.Flush()
		return err
	}}
	return errors.Join(cmd.Follow(c.Request.Context(), from, f.chunk), f.end())
}
