package lsp

import "encoding/json"

// Position is a place in a document. Both count from 0; Character counts UTF-16 code units, as an editor does: 😀 is
// two, 漢 is one.
type Position struct {
	Line      int `json:"line"`
	Character int `json:"character"`
}

// Range is what lies from Start to before End.
type Range struct {
	Start Position `json:"start"`
	End   Position `json:"end"`
}

// Location is a range of a document.
type Location struct {
	URI   string `json:"uri"` // file:///…
	Range Range  `json:"range"`
}

// Symbol is something that a document declares.
type Symbol struct {
	Name          string   `json:"name"`
	Kind          int      `json:"kind"` // SymbolKind of the protocol: 5 is a class, 12 a function
	ContainerName string   `json:"containerName,omitempty"`
	Location      Location `json:"location"` // the whole declaration
}

// Symbols are the symbols found.
type Symbols struct {
	List      []Symbol // never nil
	Truncated bool     // there may be more
}

// CompletionContext is why completions are asked for. The zero value means by the user.
type CompletionContext struct {
	TriggerKind      int    `json:"triggerKind"` // 1 by the user, 2 by a character, 3 again after an incomplete list
	TriggerCharacter string `json:"triggerCharacter,omitempty"`
}

// CompletionList is what may stand at a position.
type CompletionList struct {
	IsIncomplete bool             `json:"isIncomplete"` // there are more, or others after the next character
	Items        []CompletionItem `json:"items"`        // never nil; at most 5,000
}

// CompletionItem is one thing that may stand there. Documentation is a string or {kind, value}; it is nil where the
// server leaves it out, as pylsp and typescript-language-server do.
type CompletionItem struct {
	Label            string          `json:"label"`
	Kind             int             `json:"kind,omitempty"` // CompletionItemKind of the protocol: 2 is a method
	Detail           string          `json:"detail,omitempty"`
	Documentation    json.RawMessage `json:"documentation,omitempty"`
	SortText         string          `json:"sortText,omitempty"`
	FilterText       string          `json:"filterText,omitempty"`
	InsertText       string          `json:"insertText,omitempty"`
	InsertTextFormat int             `json:"insertTextFormat,omitempty"` // 2 is a snippet
	TextEdit         *TextEdit       `json:"textEdit,omitempty"`
}

// TextEdit puts NewText in the place of a range.
type TextEdit struct {
	Range   Range  `json:"range"`
	NewText string `json:"newText"`
}

// WorkspaceEdit is a change of several documents, by URI. The edits of one document are all meant for the text as it is
// now.
type WorkspaceEdit struct {
	Changes map[string][]TextEdit `json:"changes"` // never nil
}

// Hover is what is known of the thing at a position.
type Hover struct {
	Contents string `json:"contents"` // Markdown or plain text; "" when there is nothing
	Range    *Range `json:"range,omitempty"`
}

// FormatOptions say how a document is formatted. TabSize 0 means 4.
type FormatOptions struct {
	TabSize      int  `json:"tabSize"`
	InsertSpaces bool `json:"insertSpaces"`
}

// Diagnostic is something that a server finds wrong.
type Diagnostic struct {
	Range    Range           `json:"range"`
	Severity int             `json:"severity,omitempty"` // 1 error, 2 warning, 3 information, 4 hint; 0 is the reader's choice
	Code     json.RawMessage `json:"code,omitempty"`     // a number or a string
	Source   string          `json:"source,omitempty"`
	Message  string          `json:"message"`
	Tags     []int           `json:"tags,omitempty"` // 1 unnecessary, 2 deprecated
}
