package lsp

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/sandlot-dev/sandlot/internal/fault"
)

// place checks a position of a document and returns it as the server counts. A Character behind the end of its line is
// that end. Error: fault.Invalid.
func place(c *client, doc document, at Position) (Position, error) {
	if at.Line < 0 || at.Character < 0 {
		return Position{}, fault.Newf(fault.Invalid, "position %d:%d: both count from 0", at.Line, at.Character)
	}
	l, ok := line(doc.text, at.Line)
	if !ok {
		return Position{}, fault.Newf(fault.Invalid, "line %d is behind the end of %s; lines count from 0", at.Line, doc.path)
	}
	u := c.unit
	if u == nil {
		u = utf16Units
	}
	at.Character = column(l, at.Character, utf16Units, u)
	return at, nil
}

// at asks a server that has a provider about a position.
func (s *Server) at(ctx context.Context, uri string, at Position, ask func(context.Context, *client, document, object) error) error {
	return s.about(ctx, uri, func(ctx context.Context, c *client, doc document) error {
		at, err := place(c, doc, at)
		if err != nil {
			return err
		}
		return ask(ctx, c, doc, object{"textDocument": object{"uri": doc.uri}, "position": at})
	})
}

// need refuses what a server does not offer.
func need(c *client, provider json.RawMessage, act string) error {
	if has(provider) {
		return nil
	}
	return fault.Newf(fault.Unprocessable, "%s cannot %s", c.program.Argv[0], act)
}

// maxCompletions bounds the items of one answer.
const maxCompletions = 5000

// Completions returns what may stand at a position.
func (s *Server) Completions(ctx context.Context, uri string, at Position, why CompletionContext) (list CompletionList, err error) {
	if why.TriggerKind == 0 {
		why.TriggerKind = 1
	}
	err = s.at(ctx, uri, at, func(ctx context.Context, c *client, doc document, params object) error {
		if err := need(c, c.caps.Completion, "complete"); err != nil {
			return err
		}
		params["context"] = why
		var answer json.RawMessage
		err := c.call(ctx, "textDocument/completion", params, &answer)
		if err != nil {
			return err
		}
		list, err = completions(answer)
		cols := s.columns(c)
		for i := range list.Items {
			if edit := list.Items[i].TextEdit; edit != nil {
				cols.fix(doc.uri, &edit.Range)
			}
		}
		return err
	})
	return list, err
}

// completions makes one list of the answers that the protocol allows: a list, its items alone, or null.
func completions(answer json.RawMessage) (list CompletionList, err error) {
	if isArray(answer) {
		err = decodeAnswer(answer, &list.Items)
	} else {
		err = decodeAnswer(answer, &list)
	}
	if list.Items == nil {
		list.Items = []CompletionItem{}
	}
	if len(list.Items) > maxCompletions {
		list.Items, list.IsIncomplete = list.Items[:maxCompletions], true
	}
	return list, err
}

func isArray(data json.RawMessage) bool { return bytes.HasPrefix(bytes.TrimSpace(data), []byte("[")) }

func decodeAnswer(data json.RawMessage, result any) error {
	if err := decode(data, result); err != nil {
		return fault.Newf(fault.Upstream, "the language server's answer is none of the protocol: %w", err)
	}
	return nil
}

// Hover returns what is known of the thing at a position.
func (s *Server) Hover(ctx context.Context, uri string, at Position) (hover Hover, err error) {
	err = s.at(ctx, uri, at, func(ctx context.Context, c *client, doc document, params object) error {
		if err := need(c, c.caps.Hover, "say what a name is"); err != nil {
			return err
		}
		var answer struct {
			Contents json.RawMessage `json:"contents"`
			Range    *Range          `json:"range"`
		}
		if err := c.call(ctx, "textDocument/hover", params, &answer); err != nil {
			return err
		}
		hover = Hover{Contents: markup(answer.Contents), Range: answer.Range}
		if hover.Range != nil {
			s.columns(c).fix(doc.uri, hover.Range)
		}
		return nil
	})
	return hover, err
}

// markup makes one text of a hover's contents: a string, {value}, {language, value} for code, or a list of these.
func markup(contents json.RawMessage) string {
	var text string
	if decode(contents, &text) == nil {
		return text
	}
	var list []json.RawMessage
	if isArray(contents) && decode(contents, &list) == nil {
		var parts []string
		for _, one := range list {
			if part := markup(one); part != "" && !isArray(one) {
				parts = append(parts, part)
			}
		}
		return strings.Join(parts, "\n\n")
	}
	var marked struct{ Language, Value string }
	if decode(contents, &marked) != nil {
		return ""
	}
	if marked.Language != "" && marked.Value != "" {
		return fmt.Sprintf("```%s\n%s\n```", marked.Language, marked.Value)
	}
	return marked.Value
}

// maxLocations bounds the places of one answer.
const maxLocations = 10_000

// Locations are the places found.
type Locations struct {
	List      []Location // never nil
	Truncated bool       // there are more
}

// Definition returns where the thing at a position is defined.
func (s *Server) Definition(ctx context.Context, uri string, at Position) (found Locations, err error) {
	err = s.at(ctx, uri, at, func(ctx context.Context, c *client, _ document, params object) (err error) {
		if err := need(c, c.caps.Definition, "find definitions"); err != nil {
			return err
		}
		found, err = s.locations(ctx, c, "textDocument/definition", params)
		return err
	})
	return found, err
}

// References returns where the thing at a position is used, and with declaration also where it is declared.
func (s *Server) References(ctx context.Context, uri string, at Position, declaration bool) (found Locations, err error) {
	err = s.at(ctx, uri, at, func(ctx context.Context, c *client, _ document, params object) (err error) {
		if err := need(c, c.caps.References, "find references"); err != nil {
			return err
		}
		params["context"] = object{"includeDeclaration": declaration}
		found, err = s.locations(ctx, c, "textDocument/references", params)
		return err
	})
	return found, err
}

// locations sends a request that is answered by a location, a list of them, a list of links, or null.
func (s *Server) locations(ctx context.Context, c *client, method string, params object) (Locations, error) {
	found := Locations{List: []Location{}}
	var answer json.RawMessage
	if err := c.call(ctx, method, params, &answer); err != nil {
		return found, err
	}
	var list []struct {
		Location
		TargetURI   string `json:"targetUri"`
		TargetRange Range  `json:"targetSelectionRange"`
	}
	if !isArray(answer) && string(answer) != "null" {
		answer = append(append([]byte("["), answer...), ']')
	}
	if err := decodeAnswer(answer, &list); err != nil {
		return found, err
	}
	cols := s.columns(c)
	for _, one := range list {
		at := one.Location
		if one.TargetURI != "" {
			at = Location{URI: one.TargetURI, Range: one.TargetRange}
		}
		if len(found.List) == maxLocations {
			found.Truncated = true
			break
		}
		at.URI = ourURI(at.URI)
		cols.fix(at.URI, &at.Range)
		found.List = append(found.List, at)
	}
	return found, nil
}

// Rename returns the edits that give the thing at a position another name everywhere. Nothing is changed by it. Error:
// fault.Unprocessable also where the files would have to be renamed.
func (s *Server) Rename(ctx context.Context, uri string, at Position, name string) (edit WorkspaceEdit, err error) {
	if strings.TrimSpace(name) == "" {
		return edit, fault.New(fault.Invalid, "the new name is empty")
	}
	err = s.at(ctx, uri, at, func(ctx context.Context, c *client, _ document, params object) error {
		if err := need(c, c.caps.Rename, "rename"); err != nil {
			return err
		}
		params["newName"] = name
		var answer workspaceEdit
		if err := c.call(ctx, "textDocument/rename", params, &answer); err != nil {
			return err
		}
		edit, err = answer.edit(s.columns(c))
		return err
	})
	return edit, err
}

// workspaceEdit is the protocol's: either of the two is there.
type workspaceEdit struct {
	Changes   map[string][]TextEdit `json:"changes"`
	Documents []struct {
		Kind         string `json:"kind"` // of a file that is made, renamed or deleted
		TextDocument struct {
			URI string `json:"uri"`
		} `json:"textDocument"`
		Edits []TextEdit `json:"edits"`
	} `json:"documentChanges"`
}

func (w workspaceEdit) edit(cols *columns) (WorkspaceEdit, error) {
	all := WorkspaceEdit{Changes: map[string][]TextEdit{}}
	add := func(uri string, edits []TextEdit) {
		uri = ourURI(uri)
		for i := range edits {
			cols.fix(uri, &edits[i].Range)
		}
		all.Changes[uri] = append(all.Changes[uri], edits...)
	}
	for _, d := range w.Documents {
		if d.Kind != "" {
			return WorkspaceEdit{}, fault.Newf(fault.Unprocessable, "the language server wants to %s a file, which is not supported", d.Kind)
		}
		add(d.TextDocument.URI, d.Edits)
	}
	if len(w.Documents) == 0 {
		for uri, edits := range w.Changes {
			add(uri, edits)
		}
	}
	return all, nil
}

// Format returns the edits that format a document. Nothing is changed by it.
func (s *Server) Format(ctx context.Context, uri string, how FormatOptions) (edits []TextEdit, err error) {
	if how.TabSize == 0 {
		how.TabSize = 4
	}
	if how.TabSize < 0 || how.TabSize > 64 {
		return nil, fault.Newf(fault.Invalid, "tabSize %d is not from 1 to 64", how.TabSize)
	}
	err = s.about(ctx, uri, func(ctx context.Context, c *client, doc document) error {
		if err := need(c, c.caps.Formatting, "format"); err != nil {
			return err
		}
		params := object{"textDocument": object{"uri": doc.uri}, "options": how}
		if err := c.call(ctx, "textDocument/formatting", params, &edits); err != nil {
			return err
		}
		cols := s.columns(c)
		for i := range edits {
			cols.fix(doc.uri, &edits[i].Range)
		}
		return nil
	})
	if edits == nil {
		edits = []TextEdit{}
	}
	return edits, err
}
