package toolbox

import (
	"context"
	"crypto/rand"
	"embed"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"unicode/utf8"

	"github.com/gin-gonic/gin"
	"github.com/gorilla/websocket"

	"github.com/sandlot-dev/sandlot/session/pty"
)

// webterm is the page of the web terminal. xterm.js 5.5.0 and its addon-fit 0.10.0 are those of npm, without the line
// that names a source map; LICENSE.xterm is theirs.
//
//go:embed webterm
var webterm embed.FS

// TerminalHandler returns the web terminal, which the daemon serves on a port of its own (docs/wire.md, "The toolbox:
// sessions and terminals"). The page needs no other host.
func (s *Server) TerminalHandler() http.Handler {
	e := s.newEngine()
	e.GET("/", s.face.Wrap(func(c *gin.Context) error { return webtermFile(c, "index.html") }))
	e.GET("/ws", s.face.Wrap(s.webTerminals.connect))
	files, err := fs.ReadDir(webterm, "webterm")
	if err != nil {
		panic(err) // it is in the binary
	}
	for _, f := range files {
		e.GET("/"+f.Name(), s.face.Wrap(func(c *gin.Context) error { return webtermFile(c, f.Name()) }))
	}
	return s.untilClosed(e.ServeHTTP)
}

func webtermFile(c *gin.Context, name string) error {
	data, err := webterm.ReadFile(path.Join("webterm", name))
	if err != nil {
		return err
	}
	kind := map[string]string{".html": "text/html", ".css": "text/css", ".js": "text/javascript"}[path.Ext(name)]
	if kind == "" {
		kind = "text/plain"
	}
	c.Header("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "+
		"img-src data:; connect-src 'self' ws: wss:")
	c.Header("X-Content-Type-Options", "nosniff")
	c.Header("Cache-Control", "no-cache")
	c.Data(http.StatusOK, kind+"; charset=utf-8", data)
	return nil
}

// webTerminalAPI serves the terminals of the web terminal's pages.
type webTerminalAPI struct {
	terminals *pty.Manager
}

// connect handles GET /ws of the web terminal.
func (s *webTerminalAPI) connect(c *gin.Context) error {
	t, err := s.terminals.Create(pty.Spec{ID: rand.Text(), Dir: "/"})
	if err != nil {
		return err
	}
	defer func() { _ = s.terminals.Delete(t.Info().ID) }() // it may have ended by itself
	client, err := t.Attach()
	if err != nil {
		return err
	}
	defer client.Close()
	ws, err := upgrade(c, func(_ int, data []byte) error { return webInput(t, data) })
	if err != nil {
		return err
	}
	err = pumpText(ws, client)
	if errors.Is(err, io.EOF) || ws.Context().Err() != nil {
		ws.close(websocket.CloseNormalClosure, "")
		return nil
	}
	ws.close(websocket.CloseInternalServerErr, "")
	return nil
}

// webInput handles a message of the page: a JSON object is a size or has no effect, and everything else is input.
func webInput(t *pty.Terminal, data []byte) error {
	if len(data) > 0 && data[0] == '{' {
		var size struct{ Rows, Cols uint16 }
		if json.Valid(data) {
			if json.Unmarshal(data, &size) == nil {
				_ = t.Resize(pty.Size{Cols: size.Cols, Rows: size.Rows}) // a wrong size has no effect
			}
			return nil
		}
	}
	return t.Input(data)
}

// pumpText sends a terminal's output as text frames. A character that is cut off waits for its rest.
func pumpText(ws *socket, client *pty.Client) error {
	var held []byte
	for {
		data, err := client.Next(ws.Context())
		if err != nil {
			if len(held) > 0 {
				_ = ws.send(websocket.TextMessage, []byte(strings.ToValidUTF8(string(held), "\uFFFD"))) // the page may have left
			}
			return err
		}
		for len(data) > 0 {
			n := min(len(data), maxFrame)
			held = append(held, data[:n]...)
			data = data[n:]
			whole := wholeRunes(held)
			if whole == 0 {
				continue
			}
			text := held[:whole]
			if !utf8.Valid(text) {
				text = []byte(strings.ToValidUTF8(string(text), "\uFFFD"))
			}
			if err := ws.send(websocket.TextMessage, text); err != nil {
				return context.Cause(ws.Context())
			}
			held = append(held[:0], held[whole:]...)
		}
	}
}
