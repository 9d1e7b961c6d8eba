package toolbox

import (
	"context"
	"errors"
	"io"

	"github.com/gin-gonic/gin"
	"github.com/gorilla/websocket"

	"github.com/sandlot-dev/sandlot/api"
	"github.com/sandlot-dev/sandlot/workspace"
)

// watch handles GET /files/watch: changes below a folder, as text messages of a websocket or else as server-sent
// events. The query has path, recursive=true and cursor; a reconnecting browser says the cursor in Last-Event-ID.
func (a *fileAPI) watch(c *gin.Context) error {
	cursor := c.Query("cursor")
	if cursor == "" {
		cursor = c.GetHeader("Last-Event-ID")
	}
	stream, err := a.watches.Watch(c.Query("path"), c.Query("recursive") == "true", cursor)
	if err != nil {
		return err
	}
	defer stream.Close()
	ready := api.FileEvent{Type: "ready", Path: stream.Folder(), Cursor: stream.Cursor()}
	if !websocket.IsWebSocketUpgrade(c.Request) {
		beginEvents(c)
		send := func(e api.FileEvent) error { return sendEvent(c, e.Cursor, e.Type, e) }
		err := pass(c.Request.Context(), stream, ready, send, c.Writer.Flush)
		if c.Request.Context().Err() != nil {
			return nil // the client has left
		}
		return err
	}
	socket, err := upgrade(c, nil)
	if err != nil {
		return err
	}
	send := func(e api.FileEvent) error { return socket.sendJSON(e) }
	if err := pass(socket.Context(), stream, ready, send, func() {}); err != nil {
		socket.close(websocket.CloseGoingAway, "the sandbox is stopping")
		return nil
	}
	socket.close(websocket.CloseNormalClosure, "the folder is gone")
	return nil
}

// pass sends ready and then each event; flush is called when there are no more for now. It returns nil when the watch
// has ended.
func pass(
	ctx context.Context, stream *workspace.Stream, ready api.FileEvent, send func(api.FileEvent) error, flush func(),
) error {
	if err := send(ready); err != nil {
		return err
	}
	flush()
	for {
		events, err := stream.Next(ctx)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		for _, e := range events {
			if err := send(api.FileEvent{Type: string(e.Kind), Path: e.Path, IsDir: e.IsDir, Cursor: e.Cursor}); err != nil {
				return err
			}
		}
		flush()
	}
}
