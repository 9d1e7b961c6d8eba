package toolbox

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/gin-gonic/gin"
	"github.com/gorilla/websocket"

	"github.com/sandlot-dev/sandlot/api"
	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/internal/serve"
	"github.com/sandlot-dev/sandlot/process"
	"github.com/sandlot-dev/sandlot/session/pty"
)

// terminalAPI serves /process/pty.
type terminalAPI struct {
	terminals *pty.Manager
}

var terminalRoutes = []serve.Route[*terminalAPI]{
	{
		Method: "GET", Path: "/process/pty",
		Summary: "List terminals", Out: api.PtyListResponse{}, Do: (*terminalAPI).list,
	},
	{
		Method: "POST", Path: "/process/pty", Status: 201,
		Summary: "Open a terminal", In: api.PtyCreateRequest{}, Out: api.PtyCreateResponse{}, Do: (*terminalAPI).create,
	},
	{
		Method: "DELETE", Path: "/process/pty/:sessionId", Query: []string{"descendants?"},
		Summary: "Kill a terminal and its processes; with descendants=all, those too that left its session",
		Out:     api.Strings{}, Do: (*terminalAPI).delete,
	},
	{
		Method: "GET", Path: "/process/pty/:sessionId",
		Summary: "Describe a terminal", Out: api.PtySessionInfo{}, Do: (*terminalAPI).get,
	},
	{
		Method: "GET", Path: "/process/pty/:sessionId/connect", Status: 101,
		Summary: "Attach to a terminal by websocket", Do: (*terminalAPI).connect,
	},
	{
		Method: "POST", Path: "/process/pty/:sessionId/resize",
		Summary: "Change a terminal's size",
		In:      api.PtyResizeRequest{}, Out: api.PtySessionInfo{}, Do: (*terminalAPI).resize,
	},
	{
		Method: "GET", Path: "/process/pty/create-connect", Query: []string{"id?", "cols?", "rows?", "cwd?"}, Status: 101,
		Summary: "Open a terminal and attach to it by websocket", Do: (*terminalAPI).createConnect,
	},
}

// create handles POST /process/pty.
func (a *terminalAPI) create(c *gin.Context) error {
	var req api.PtyCreateRequest
	if err := serve.Decode(c, &req); err != nil {
		return err
	}
	_, err := a.terminals.Create(pty.Spec{
		ID: req.ID, Dir: req.Cwd, Env: req.Envs, Size: pty.Size{Cols: req.Cols, Rows: req.Rows}, Lazy: req.LazyStart,
	})
	if err != nil {
		return err
	}
	c.JSON(http.StatusCreated, api.PtyCreateResponse{SessionID: req.ID})
	return nil
}

// list handles GET /process/pty.
func (a *terminalAPI) list(c *gin.Context) error {
	list := api.PtyListResponse{Sessions: []api.PtySessionInfo{}}
	for _, t := range a.terminals.List() {
		list.Sessions = append(list.Sessions, wirePTY(t))
	}
	c.JSON(http.StatusOK, list)
	return nil
}

// get handles GET /process/pty/{sessionId}.
func (a *terminalAPI) get(c *gin.Context) error {
	t, err := a.terminals.Get(c.Param("sessionId"))
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, wirePTY(t))
	return nil
}

func wirePTY(t *pty.Terminal) api.PtySessionInfo {
	i := t.Info()
	return api.PtySessionInfo{
		ID: i.ID, Cwd: i.Dir, Envs: i.Env, Cols: i.Size.Cols, Rows: i.Size.Rows,
		CreatedAt: i.Created, Active: i.Active, LazyStart: i.Lazy,
	}
}

// delete handles DELETE /process/pty/{sessionId}.
func (a *terminalAPI) delete(c *gin.Context) error {
	scope, err := scopeOf(c)
	if err != nil {
		return err
	}
	if err := a.terminals.DeleteWith(c.Param("sessionId"), scope); err != nil {
		return err
	}
	c.JSON(http.StatusOK, api.Strings{"message": "terminal deleted"})
	return nil
}

// resize handles POST /process/pty/{sessionId}/resize. The answer is 410 for a terminal that has ended, and so also for
// one that is not there.
func (a *terminalAPI) resize(c *gin.Context) error {
	var req api.PtyResizeRequest
	if err := serve.Decode(c, &req); err != nil {
		return err
	}
	t, err := a.terminals.Get(c.Param("sessionId"))
	if err != nil {
		return fmt.Errorf("terminal %q: %w", c.Param("sessionId"), pty.ErrEnded)
	}
	if err := t.Resize(pty.Size{Cols: req.Cols, Rows: req.Rows}); err != nil {
		return err
	}
	c.JSON(http.StatusOK, wirePTY(t))
	return nil
}

// connect handles GET /process/pty/{sessionId}/connect.
func (a *terminalAPI) connect(c *gin.Context) error {
	t, err := a.terminals.Get(c.Param("sessionId"))
	if err == nil {
		err = mayUpgrade(c.Request)
	}
	if err != nil {
		return err
	}
	return attach(c, t)
}

// createConnect handles GET /process/pty/create-connect (docs/wire.md, "The toolbox: sessions and terminals"). The
// terminal stays when this connection ends.
func (a *terminalAPI) createConnect(c *gin.Context) error {
	if err := mayUpgrade(c.Request); err != nil {
		return fmt.Errorf("to create a terminal without a websocket, POST /process/pty: %w", err)
	}
	spec := pty.Spec{ID: c.Query("id"), Dir: c.Query("cwd")}
	for _, side := range []struct {
		name string
		to   *uint16
	}{{"cols", &spec.Size.Cols}, {"rows", &spec.Size.Rows}} {
		text := c.Query(side.name)
		if text == "" {
			continue
		}
		n, err := strconv.ParseUint(text, 10, 16)
		if err != nil || n < 1 || n > 1000 {
			return fault.Newf(fault.Invalid, "%s must be a whole number from 1 to 1000, not %q", side.name, text)
		}
		*side.to = uint16(n)
	}
	for _, token := range subprotocols(c) {
		coded, ok := strings.CutPrefix(token, tokenEnvs)
		if !ok {
			continue
		}
		data, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(coded, "="))
		if err == nil {
			err = json.Unmarshal(data, &spec.Env)
		}
		if err != nil {
			return fault.Newf(fault.Invalid, "the environment must be base64url of a JSON object of strings: %w", err)
		}
	}
	t, err := a.terminals.Create(spec)
	if err != nil {
		return err
	}
	return attach(c, t)
}

// attach joins a websocket and a terminal until either ends.
func attach(c *gin.Context, t *pty.Terminal) error {
	client, err := t.Attach()
	if err != nil {
		return err
	}
	defer client.Close()
	ws, err := upgrade(c, func(_ int, data []byte) error { return t.Input(data) })
	if err != nil {
		return err
	}
	// One client gives up if this frame is not the first, or does not come within 100 ms.
	err = ws.sendJSON(api.PtyControl{Type: "control", Status: "connected"})
	for err == nil {
		var data []byte
		if data, err = client.Next(ws.Context()); err != nil {
			break
		}
		for len(data) > 0 && err == nil {
			n := min(len(data), maxTerminalFrame)
			err = ws.send(websocket.BinaryMessage, data[:n])
			data = data[n:]
		}
	}
	switch {
	case errors.Is(err, io.EOF):
		closeExited(ws, t.ExitCode(), t.OutOfMemory(), slices.Contains(subprotocols(c), tokenExitControl))
	case fault.KindOf(err) == fault.Limited:
		ws.close(websocket.ClosePolicyViolation, "the program does not read its input")
	case errors.Is(err, context.Canceled):
		ws.close(websocket.CloseGoingAway, "the sandbox is stopping")
	default: // the client has left
		ws.close(websocket.CloseNormalClosure, "")
	}
	return nil
}

// maxTerminalFrame is the most bytes in a frame of terminal output.
const maxTerminalFrame = 32 << 10

// closeExited tells the client how the terminal's process ended (docs/wire.md, "The toolbox: sessions and terminals").
func closeExited(ws *socket, code int, oom *process.OutOfMemory, frame bool) {
	reason := exitReason(code)
	if oom != nil {
		reason = oom.String()
	}
	if frame {
		exited := api.PtyControl{Type: "control", Status: "exited", ExitCode: &code, ExitReason: reason}
		_ = ws.sendJSON(exited) // the client may have left
	}
	if code == 0 {
		ws.close(websocket.CloseNormalClosure, `{"exitCode":0}`)
		return
	}
	ws.close(websocket.CloseInternalServerErr, fmt.Sprintf(`{"exitCode":%d,"exitReason":%q}`, code, reason))
}

func exitReason(code int) string {
	switch {
	case code == 0:
		return ""
	case code == 130:
		return "Ctrl+C"
	case code == 137:
		return "SIGKILL"
	case code == 143:
		return "SIGTERM"
	case code > 128:
		return fmt.Sprintf("signal %d", code-128)
	default:
		return "non-zero exit"
	}
}
