package api

import (
	"encoding/json"
	"time"
)

// CreateContextRequest is the body of POST /process/interpreter/context.
type CreateContextRequest struct {
	Cwd      string  `json:"cwd,omitempty"`      // default: the work dir
	Language *string `json:"language,omitempty"` // default: python
	// Sandlot: MemoryMiB is what each of its processes may have; 0 means no limit.
	MemoryMiB int64 `json:"memoryMiB,omitempty" binding:"min=0"`
}

// InterpreterContext describes an interpreter that keeps its state.
type InterpreterContext struct {
	ID        string    `json:"id"`
	Cwd       string    `json:"cwd"`
	CreatedAt time.Time `json:"createdAt"`
	Active    bool      `json:"active"` // its process runs
	Language  string    `json:"language"`
}

// ListContextsResponse answers GET /process/interpreter/context. Default contexts are not in it.
type ListContextsResponse struct {
	Contexts []InterpreterContext `json:"contexts"`
}

// InterpreterRequest is the first message of a websocket of GET /process/interpreter/execute. Further messages are
// InterpreterMessages.
type InterpreterRequest struct {
	Code      string            `json:"code"`
	ContextID string            `json:"contextId,omitempty"` // default: the default context of Language
	Envs      map[string]string `json:"envs,omitempty"`      // set while the code runs
	Timeout   *float64          `json:"timeout,omitempty"`   // seconds of running; absent means 600, 0 none

	Language string `json:"language,omitempty"` // Sandlot: of the default context; python by default
	// ID names the cell. The same id again runs nothing: it reads the same cell's record from Offset on. Code may be left
	// out then.
	ID     string `json:"id,omitempty"`     // Sandlot
	Offset int64  `json:"offset,omitempty"` // Sandlot: that of the last frame that was received
}

// InterpreterMessage is what a client may send after its request.
type InterpreterMessage struct {
	Type string `json:"type"` // interrupt: stop the cell, as Ctrl-C does
}

// InterpreterFrame is one message of the server: stdout and stderr (Text), error (Name, Value, Traceback), control
// (Text: completed or interrupted, the last message), and of Sandlot's own display and result (Data, by MIME type).
type InterpreterFrame struct {
	Type      string `json:"type"`
	Text      string `json:"text"`
	Name      string `json:"name"`
	Value     string `json:"value"`
	Traceback string `json:"traceback"`

	Data   json.RawMessage `json:"data,omitempty"`
	Offset int64           `json:"offset,omitempty"` // to go on from; for requests with an ID
}
