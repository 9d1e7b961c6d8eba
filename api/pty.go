package api

import "time"

// PtyCreateRequest is the body of POST /process/pty.
type PtyCreateRequest struct {
	ID        string            `json:"id,omitempty"`  // 1 to 255 bytes; required, although the contract says optional
	Cwd       string            `json:"cwd,omitempty"` // default: the work dir
	Envs      map[string]string `json:"envs,omitempty"`
	Cols      uint16            `json:"cols,omitempty" binding:"max=1000"` // 0 means 80
	Rows      uint16            `json:"rows,omitempty" binding:"max=1000"` // 0 means 24
	LazyStart bool              `json:"lazyStart,omitempty"`               // start the shell when a client connects
}

// PtyCreateResponse answers it.
type PtyCreateResponse struct {
	SessionID string `json:"sessionId"`
}

// PtySessionInfo describes a terminal. Every field is always there.
type PtySessionInfo struct {
	ID        string            `json:"id"`
	Cwd       string            `json:"cwd"`
	Envs      map[string]string `json:"envs"`
	Cols      uint16            `json:"cols"`
	Rows      uint16            `json:"rows"`
	CreatedAt time.Time         `json:"createdAt"`
	Active    bool              `json:"active"` // the process runs
	LazyStart bool              `json:"lazyStart"`
}

// PtyListResponse answers GET /process/pty.
type PtyListResponse struct {
	Sessions []PtySessionInfo `json:"sessions"` // never null
}

// PtyResizeRequest is the body of POST /process/pty/{sessionId}/resize.
type PtyResizeRequest struct {
	Cols uint16 `json:"cols" binding:"min=1,max=1000"`
	Rows uint16 `json:"rows" binding:"min=1,max=1000"`
}

// PtyControl is a text frame of a terminal's websocket: "connected" first, and "exited" last for clients that asked
// for it.
type PtyControl struct {
	Type       string `json:"type"` // always "control"
	Status     string `json:"status"`
	ExitCode   *int   `json:"exitCode,omitempty"`
	ExitReason string `json:"exitReason,omitempty"` // absent for exit code 0
}
