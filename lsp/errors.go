package lsp

import "github.com/sandlot-dev/sandlot/internal/fault"

// Errors that callers may ask for.
var (
	// ErrNotStarted is returned for a language and project that Start was not called for, or Stop was after that.
	ErrNotStarted = fault.Codef(fault.Invalid, "LSP_SERVER_NOT_INITIALIZED",
		"the language server is not started: call start with this languageId and pathToProject first")

	// ErrCrashed is returned when a server has ended by itself twice in one call, or does not come up. The error's
	// text has its exit and the end of its stderr.
	ErrCrashed = fault.Codef(fault.Upstream, "LSP_SERVER_CRASHED", "the language server has ended")

	// ErrTimeout is returned when a server has not answered in time.
	ErrTimeout = fault.Codef(fault.Timeout, "LSP_TIMEOUT", "the language server has not answered in time")

	// ErrNoFile is returned for a document that does not exist.
	ErrNoFile = fault.Codef(fault.NotFound, "FILE_NOT_FOUND", "there is no such file")

	// ErrClosed is returned after Manager.Close.
	ErrClosed = fault.New(fault.Unavailable, "the sandbox is stopping: no language server is started")
)
