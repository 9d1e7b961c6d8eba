package api

// ConnectRequest is the first message of GET /process/execute/connect, as JSON in a text message.
type ConnectRequest struct {
	Command string            `json:"command"`        // as in ExecuteRequest
	Cwd     string            `json:"cwd,omitempty"`  // default: the work dir
	Envs    map[string]string `json:"envs,omitempty"` // added to the sandbox's
	User    string            `json:"user,omitempty"` // as in ExecuteRequest
	// Window is how many bytes of each output may be on the way before a "taken" message for them. 0 means any number;
	// then no such message is needed.
	Window int64 `json:"window,omitempty"`
}

// ConnectMessage is every other text message of it. Binary messages are bytes: input from the client; output to it,
// each behind the three bytes that mark its stream, 01 for stdout and 02 for stderr.
//
// A client sends "end" (of the input), "signal" (Signal to the command and its process group) and "taken" (Bytes of
// Stream, 1 or 2). It gets "taken" (Bytes of the input: at most 256 KiB may be on the way), "closed" (the command
// reads no more input) and, last, "exit".
type ConnectMessage struct {
	Type     string `json:"type"`
	Stream   int    `json:"stream,omitempty"`
	Bytes    int64  `json:"bytes,omitempty"`
	Signal   string `json:"signal,omitempty"`   // such as SIGINT; with "exit", the signal that ended the command
	ExitCode *int   `json:"exitCode,omitempty"` // with "exit" alone; as in ExecuteResponse

	OutOfMemory *OutOfMemory `json:"outOfMemory,omitempty"` // with "exit" alone; as in ExecuteResponse
}
