package api

import (
	"encoding/json"
	"errors"
)

// LSPServerRequest is the body of POST /lsp/start and /lsp/stop, and the beginning of every other body below /lsp. It
// names a language server; one element of the answer to GET /lsp/servers is the same.
type LSPServerRequest struct {
	LanguageID    string `json:"languageId" binding:"required"`
	PathToProject string `json:"pathToProject" binding:"required"` // absolute, or from the work dir on
}

// LSPDocumentRequest is the body of POST /lsp/did-open and /lsp/did-close.
type LSPDocumentRequest struct {
	LSPServerRequest
	URI string `json:"uri" binding:"required"` // file:// and a path, or a path; relative ones start from the project
}

// LSPChangeRequest is the body of POST /lsp/did-change.
type LSPChangeRequest struct {
	LSPDocumentRequest
	Text *string `json:"text" binding:"required"` // the whole document
}

// LSPPositionRequest is the body of POST /lsp/hover and /lsp/definition.
type LSPPositionRequest struct {
	LSPDocumentRequest
	Position *LSPPosition `json:"position" binding:"required"`
}

// LSPCompletionRequest is the body of POST /lsp/completions.
type LSPCompletionRequest struct {
	LSPPositionRequest
	Context LSPCompletionContext `json:"context"` // default: asked for by the user
}

// LSPCompletionContext is why completions are asked for.
type LSPCompletionContext struct {
	TriggerKind      int    `json:"triggerKind"` // 1 by the user, 2 by a character, 3 again after an incomplete list
	TriggerCharacter string `json:"triggerCharacter,omitempty"`
}

// LSPReferencesRequest is the body of POST /lsp/references.
type LSPReferencesRequest struct {
	LSPPositionRequest
	IncludeDeclaration bool `json:"includeDeclaration,omitempty"`
}

// LSPRenameRequest is the body of POST /lsp/rename.
type LSPRenameRequest struct {
	LSPPositionRequest
	NewName string `json:"newName" binding:"required"`
}

// LSPFormattingRequest is the body of POST /lsp/formatting.
type LSPFormattingRequest struct {
	LSPDocumentRequest
	TabSize      int   `json:"tabSize,omitempty" binding:"min=1,max=64"` // default: 4
	InsertSpaces *bool `json:"insertSpaces,omitempty"`                   // default: true
}

// LSPPosition is a place in a document.
type LSPPosition struct {
	Line      int `json:"line"`      // from 0
	Character int `json:"character"` // UTF-16 code units from 0
}

// UnmarshalJSON refuses a position without one of its keys, which would be taken for 0.
func (p *LSPPosition) UnmarshalJSON(data []byte) error {
	var at struct{ Line, Character *int }
	if json.Unmarshal(data, &at) != nil || at.Line == nil || at.Character == nil {
		return errors.New("a position is an object with line and character, both whole numbers from 0")
	}
	p.Line, p.Character = *at.Line, *at.Character
	return nil
}

// LSPRange is what lies from Start to before End.
type LSPRange struct {
	Start LSPPosition `json:"start"`
	End   LSPPosition `json:"end"`
}

// LSPLocation is a range of a document.
type LSPLocation struct {
	URI   string   `json:"uri"` // file:///…
	Range LSPRange `json:"range"`
}

// LSPCompletionList answers POST /lsp/completions.
type LSPCompletionList struct {
	IsIncomplete bool                `json:"isIncomplete"`
	Items        []LSPCompletionItem `json:"items"`
}

// LSPCompletionItem is one thing that may stand at a position. Numbers are those of the Language Server Protocol.
type LSPCompletionItem struct {
	Label         string          `json:"label"`
	Kind          int             `json:"kind,omitempty"`
	Detail        string          `json:"detail,omitempty"`
	Documentation json.RawMessage `json:"documentation,omitempty"` // a string, or an object with kind and value
	SortText      string          `json:"sortText,omitempty"`
	FilterText    string          `json:"filterText,omitempty"`
	InsertText    string          `json:"insertText,omitempty"`

	InsertTextFormat int          `json:"insertTextFormat,omitempty"` // an addition: 2 is a snippet
	TextEdit         *LSPTextEdit `json:"textEdit,omitempty"`         // an addition
}

// LSPSymbol is something that a document declares: GET /lsp/document-symbols and /lsp/workspacesymbols answer a list.
type LSPSymbol struct {
	Name          string      `json:"name"`
	Kind          int         `json:"kind"` // of the Language Server Protocol: 5 is a class, 12 a function
	Location      LSPLocation `json:"location"`
	ContainerName string      `json:"containerName,omitempty"` // an addition
}

// LSPHover answers POST /lsp/hover.
type LSPHover struct {
	Contents string    `json:"contents"` // Markdown or plain text; "" when there is nothing
	Range    *LSPRange `json:"range,omitempty"`
}

// LSPTextEdit puts NewText in the place of a range. POST /lsp/formatting answers a list.
type LSPTextEdit struct {
	Range   LSPRange `json:"range"`
	NewText string   `json:"newText"`
}

// LSPWorkspaceEdit answers POST /lsp/rename: edits by URI. Those of one document are all meant for the text as it is.
type LSPWorkspaceEdit struct {
	Changes map[string][]LSPTextEdit `json:"changes"`
}

// LSPDiagnostic is something that is wrong in a document. GET /lsp/diagnostics answers a list.
type LSPDiagnostic struct {
	Range    LSPRange        `json:"range"`
	Severity int             `json:"severity,omitempty"` // 1 error, 2 warning, 3 information, 4 hint
	Code     json.RawMessage `json:"code,omitempty"`     // a number or a string
	Source   string          `json:"source,omitempty"`
	Message  string          `json:"message"`
	Tags     []int           `json:"tags,omitempty"` // 1 unnecessary, 2 deprecated
}

// LSPDiagnosticsEvent is the data of one event of GET /lsp/diagnostics/stream.
type LSPDiagnosticsEvent struct {
	URI         string          `json:"uri"`
	Version     int             `json:"version"` // of the document; 0 where the server does not say
	Diagnostics []LSPDiagnostic `json:"diagnostics"`
	Lost        bool            `json:"lost"` // before this, diagnostics of other documents were lost
}

// LSPLanguage is one element of the answer to GET /lsp/languages.
type LSPLanguage struct {
	LanguageID string `json:"languageId"`
	Server     string `json:"server"`  // the program that would be started; "" when none is installed
	Install    string `json:"install"` // a command that installs one
}
