package toolbox

import (
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/gin-gonic/gin"
)

// beginEvents begins an answer of server-sent events.
func beginEvents(c *gin.Context) {
	c.Header("Content-Type", "text/event-stream")
	c.Header("Cache-Control", "no-store")
	c.Status(http.StatusOK)
}

// sendEvent writes one event, whose data is v as JSON. id may be empty. It does not flush.
func sendEvent(c *gin.Context, id, name string, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if id != "" {
		id = "id: " + id + "\n"
	}
	_, err = fmt.Fprintf(c.Writer, "%sevent: %s\ndata: %s\n\n", id, name, data)
	return err
}
