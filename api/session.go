package api

// CreateSessionRequest is the body of POST /process/session.
type CreateSessionRequest struct {
	SessionID string `json:"sessionId" binding:"required"`
}

// Session is a shell and its commands in the order they were given.
type Session struct {
	SessionID string           `json:"sessionId"`
	Commands  []SessionCommand `json:"commands"` // never null
}

// SessionCommand is one command of a session. ExitCode is absent while it runs or waits to run.
type SessionCommand struct {
	ID       string `json:"id"`
	Command  string `json:"command"`
	ExitCode *int   `json:"exitCode,omitempty"`

	OutOfMemory *OutOfMemory `json:"outOfMemory,omitempty"` // Sandlot: as in ExecuteResponse
}

// SessionExecuteRequest is the body of POST /process/session/{sessionId}/exec.
type SessionExecuteRequest struct {
	Command           string `json:"command" binding:"required"`
	RunAsync          bool   `json:"runAsync,omitempty"`
	Async             bool   `json:"async,omitempty"` // older name of RunAsync
	SuppressInputEcho bool   `json:"suppressInputEcho,omitempty"`
}

// SessionExecuteResponse answers it: with CmdID alone (202) for an asynchronous command, else with the whole (200).
// Stdout and Stderr are absent for clients that take the output as one text.
type SessionExecuteResponse struct {
	CmdID    string  `json:"cmdId"`
	Output   *string `json:"output,omitempty"`
	Stdout   *string `json:"stdout,omitempty"`
	Stderr   *string `json:"stderr,omitempty"`
	ExitCode *int    `json:"exitCode,omitempty"`

	OutOfMemory *OutOfMemory `json:"outOfMemory,omitempty"` // Sandlot: as in ExecuteResponse
}

// SessionSendInputRequest is the body of POST /process/session/{sessionId}/command/{commandId}/input.
type SessionSendInputRequest struct {
	Data string `json:"data" binding:"required"` // a newline is added where there is none at the end
}

// SessionCommandLogsResponse is a snapshot of a command's output for newer clients; older ones get text.
type SessionCommandLogsResponse struct {
	// Output is in order of arrival. A marker of three bytes stands where the stream changes: 01 for stdout, 02 for
	// stderr.
	Output string `json:"output"`
	Stdout string `json:"stdout"`
	Stderr string `json:"stderr"`
}
