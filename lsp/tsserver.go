package lsp

import (
	"context"
	"encoding/json"
)

// search asks a server for the symbols of all that is opened, by means of its own.
type search func(ctx context.Context, c *client, query string) ([]Symbol, error)

// diagnose asks a server for a document's diagnostics by means of its own.
type diagnose func(ctx context.Context, c *client, doc document) ([]Diagnostic, error)

// tsserverCall sends a request to the TypeScript server below typescript-language-server, which hands it on.
func tsserverCall(ctx context.Context, c *client, command string, arguments, body any) error {
	answer := struct {
		Body any `json:"body"`
	}{body}
	params := object{"command": "typescript.tsserverRequest", "arguments": []any{command, arguments}}
	return c.call(ctx, "workspace/executeCommand", params, &answer)
}

// tsserverDiagnose asks for all diagnostics at once. typescript-language-server publishes them in pieces, syntax first,
// and says of none that it is the last.
func tsserverDiagnose(ctx context.Context, c *client, doc document) ([]Diagnostic, error) {
	list := []Diagnostic{}
	for _, command := range []string{"syntacticDiagnosticsSync", "semanticDiagnosticsSync", "suggestionDiagnosticsSync"} {
		var found []tsserverDiagnostic
		if err := tsserverCall(ctx, c, command, object{"file": doc.path}, &found); err != nil {
			return nil, err
		}
		for _, d := range found {
			list = append(list, d.diagnostic())
		}
	}
	return list, nil
}

// tsserverSearch asks all projects that are loaded. typescript-language-server asks only the one of the document that
// was opened last, and refuses where there is none.
func tsserverSearch(ctx context.Context, c *client, query string) ([]Symbol, error) {
	var found []struct {
		Name      string        `json:"name"`
		Kind      string        `json:"kind"`
		Container string        `json:"containerName"`
		File      string        `json:"file"`
		Start     tsserverPlace `json:"start"`
		End       tsserverPlace `json:"end"`
	}
	arguments := object{"searchValue": query, "maxResultCount": maxSymbols + 1}
	if err := tsserverCall(ctx, c, "navto", arguments, &found); err != nil {
		return nil, err
	}
	list := make([]Symbol, 0, len(found))
	for _, f := range found {
		kind := tsserverKinds[f.Kind]
		if kind == 0 {
			kind = 13 // variable
		}
		list = append(list, Symbol{
			Name: f.Name, Kind: kind, ContainerName: f.Container,
			Location: Location{URI: fileURI(f.File), Range: Range{Start: f.Start.position(), End: f.End.position()}},
		})
	}
	return list, nil
}

// tsserverKinds are the SymbolKinds of what the TypeScript server calls so.
var tsserverKinds = map[string]int{
	"module": 2, "external module name": 2, "script": 1, "class": 5, "local class": 5, "type": 5, "method": 6,
	"property": 7, "getter": 7, "setter": 7, "accessor": 7, "constructor": 9, "construct": 9, "enum": 10,
	"interface": 11, "function": 12, "local function": 12, "call": 12, "var": 13, "let": 13, "local var": 13,
	"parameter": 13, "using": 13, "await using": 13, "alias": 13, "const": 14, "string": 15, "enum member": 22,
	"type parameter": 26,
}

type tsserverPlace struct {
	Line   int `json:"line"`   // from 1
	Offset int `json:"offset"` // from 1, in UTF-16 code units
}

func (p tsserverPlace) position() Position {
	return Position{Line: max(0, p.Line-1), Character: max(0, p.Offset-1)}
}

type tsserverDiagnostic struct {
	Start       tsserverPlace   `json:"start"`
	End         tsserverPlace   `json:"end"`
	Text        string          `json:"text"`
	Code        json.RawMessage `json:"code"`
	Category    string          `json:"category"`
	Unnecessary bool            `json:"reportsUnnecessary"`
	Deprecated  bool            `json:"reportsDeprecated"`
}

var tsserverSeverities = map[string]int{"error": 1, "warning": 2, "message": 3, "suggestion": 4}

func (d tsserverDiagnostic) diagnostic() Diagnostic {
	var tags []int
	if d.Unnecessary {
		tags = append(tags, 1)
	}
	if d.Deprecated {
		tags = append(tags, 2)
	}
	return Diagnostic{
		Range: Range{Start: d.Start.position(), End: d.End.position()}, Severity: tsserverSeverities[d.Category],
		Code: d.Code, Source: "typescript", Message: d.Text, Tags: tags,
	}
}
