package contract

import (
	"encoding/json"
	"net/url"
	"strings"
)

// Example is a path and query of op with made-up values: right in form, and naming nothing that exists.
func (op *Operation) Example() string {
	path, query := op.Path, url.Values{}
	for _, p := range op.Params {
		value := "nothing"
		switch {
		case p.Type == "number" || p.Type == "integer" || p.Name == "port" || p.Name == "interval":
			value = "60"
		case p.Type == "boolean" || strings.HasPrefix(p.Name, "is"):
			value = "false"
		case p.Type == "datetime":
			value = "2026-01-02T03:04:05Z"
		case strings.HasSuffix(p.Name, "Id"):
			value = "00000000-0000-4000-8000-000000000000"
		}
		if p.In == "path" {
			path = strings.ReplaceAll(path, "{"+p.Name+"}", value)
		} else if p.In == "query" && p.Required {
			query.Set(p.Name, value)
		}
	}
	path = strings.NewReplacer("{", "", "}", "").Replace(path)
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	return path
}

// ExampleBody is a JSON body of op with its required keys only; "" where op has none.
func (s *Surface) ExampleBody(op *Operation) string {
	if op.Body == nil {
		return ""
	}
	data, err := json.Marshal(s.example(op.Body))
	if err != nil {
		return ""
	}
	return string(data)
}

func (s *Surface) example(sc *Schema) any {
	if sc == nil {
		return nil
	}
	if sc.Ref != "" {
		sc = s.Models[sc.Ref]
	}
	switch {
	case len(sc.Enum) > 0:
		return sc.Enum[0]
	case sc.Type == "object" || sc.Fields != nil:
		m := map[string]any{}
		for _, key := range sc.Required {
			m[key] = s.example(sc.Fields[key])
		}
		return m
	case sc.Type == "array":
		return []any{}
	case sc.Type == "integer" || sc.Type == "number":
		return 1
	case sc.Type == "boolean":
		return false
	case sc.Type == "datetime":
		return "2026-01-02T03:04:05Z"
	default:
		return "nothing"
	}
}
