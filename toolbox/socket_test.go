package toolbox

import (
	"bufio"
	"io"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/gorilla/websocket"

	"github.com/sandlot-dev/sandlot/internal/serve"
)

// TestAPanicOverAMessageEndsItsConnectionAlone: the daemon is process 1, and what it reads is hostile.
func TestAPanicOverAMessageEndsItsConnectionAlone(t *testing.T) {
	logR, logW := io.Pipe()
	defer logR.Close()
	face := serve.Face{Source: Source, Logger: slog.New(slog.NewTextHandler(logW, nil))}
	e := face.NewEngine()
	e.GET("/", face.Wrap(func(c *gin.Context) error {
		ws, err := upgrade(c, func(_ int, data []byte) error { _ = data[10]; return nil })
		if err != nil {
			return err
		}
		<-ws.Context().Done()
		ws.close(websocket.CloseInternalServerErr, "broken")
		return nil
	}))
	srv := httptest.NewServer(e)
	defer srv.Close()
	ws, res, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(srv.URL, "http"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	defer ws.Close()
	if err := ws.WriteMessage(websocket.TextMessage, []byte("short")); err != nil {
		t.Fatal(err)
	}
	if _, _, err := ws.ReadMessage(); !websocket.IsCloseError(err, websocket.CloseInternalServerErr) {
		t.Errorf("the client sees %v", err)
	}
	line, err := bufio.NewReader(logR).ReadString('\n')
	if err != nil || !strings.Contains(line, "level=ERROR") || !strings.Contains(line, "index out of range") ||
		!strings.Contains(line, "socket_test.go") {
		t.Errorf("log: %s %v", line, err)
	}
}
