package lsp

import (
	"context"
	"encoding/json"
)

// diagnose asks a server for a document's diagnostics by means of its own.
type diagnose func(ctx context.Context, c *client, doc document) ([]Diagnostic, error)

// tsserverDiagnose asks the TypeScript server. typescript-language-server publishes in pieces, syntax first, and says
// of none that it is the last; but it hands on requests to the server below it, which answers when it knows.
func tsserverDiagnose(ctx context.Context, c *client, doc document) ([]Diagnostic, error) {
	list := []Diagnostic{}
	for _, command := range []string{"syntacticDiagnosticsSync", "semanticDiagnosticsSync", "suggestionDiagnosticsSync"} {
		var answer struct {
			Body []tsserverDiagnostic `json:"body"`
		}
		params := object{"command": "typescript.tsserverRequest", "arguments": []any{command, object{"file": doc.path}}}
		if err := c.call(ctx, "workspace/executeCommand", params, &answer); err != nil {
			return nil, err
		}
		for _, d := range answer.Body {
			list = append(list, d.diagnostic())
		}
	}
	return list, nil
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
