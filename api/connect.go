package api

// ConnectRequest is the first message of GET /process/execute/connect, as JSON in a text message.
type ConnectRequest struct {
	Command string            `json:"command"`        // as in ExecuteRequest
	Cwd     string            `json:"cwd,omitempty"`  // default: the work dir
	Envs    map[string]string `json:"envs,omitempty"` // added to the sandbox's
	User    string            `json:"user,omitempty"` // as in ExecuteRequest
	// Window bounds the bytes of each output that may be under way unacknowledged. 0 means no bound; then nothing need be
	// acknowledged.
	Window int64 `json:"window,omitempty"`
}

// ConnectMessage is every other text message. Binary messages are input from the client, and output to it: each message
// of output begins with the three bytes that mark its stream, 01 for stdout and 02 for stderr.
//
// A client sends "end" (of the input), "signal" (Signal to the command and its process group) and "taken" (Bytes of
// Stream, 1 or 2). It gets "taken" (Bytes of the input: at most 256 KiB may be on the way), "closed" (the command
// reads no more input) and, last, "exit".
type ConnectMessage struct {
	Type   string `json:"type"`
	Stream int    `json:"stream,omitempty"`
	Bytes  int64  `json:"bytes,omitempty"`
	// Signal is a name such as SIGINT. In "exit" it is what ended the command; absent if the command ended by itself.
	Signal   string `json:"signal,omitempty"`
	ExitCode *int   `json:"exitCode,omitempty"` // with "exit" alone; as in ExecuteResponse

	OutOfMemory *OutOfMemory `json:"outOfMemory,omitempty"` // with "exit" alone; as in ExecuteResponse
}
