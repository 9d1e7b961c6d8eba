// Reduce makes the facts under tests/contract/testdata from the recorded contracts. It is run by hand when those
// change; no build or test needs them.
//
//	go run ./tests/contract/reduce -spec ../shared/spec
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sandlot-dev/sandlot/tests/contract"
)

func main() {
	spec := flag.String("spec", "../shared/spec", "folder of the recorded contracts")
	out := flag.String("out", "tests/contract/testdata", "folder to write to")
	flag.Parse()
	if err := run(*spec, *out); err != nil {
		fmt.Fprintln(os.Stderr, "reduce:", err)
		os.Exit(1)
	}
}

func run(spec, out string) error {
	for _, name := range []string{"toolbox", "api"} {
		var doc document
		if err := read(filepath.Join(spec, name+".openapi.json"), &doc); err != nil {
			return err
		}
		if err := write(filepath.Join(out, name+".json"), doc.surface(name)); err != nil {
			return err
		}
	}
	var raw map[string]json.RawMessage
	if err := read(filepath.Join(spec, "required-keys.json"), &raw); err != nil {
		return err
	}
	keys := map[string]map[string]map[string]*contract.Schema{}
	for _, name := range []string{"toolbox", "api"} {
		models := map[string]map[string]struct {
			Type     string
			Nullable bool
		}{}
		if err := json.Unmarshal(raw[name], &models); err != nil {
			return fmt.Errorf("required-keys.json: %s: %w", name, err)
		}
		keys[name] = map[string]map[string]*contract.Schema{}
		for model, fields := range models {
			keys[name][model] = map[string]*contract.Schema{}
			for key, f := range fields {
				keys[name][model][key] = &contract.Schema{Type: plain(f.Type), Nullable: f.Nullable}
			}
		}
	}
	return write(filepath.Join(out, "required-keys.json"), keys)
}

// plain is the JSON type of a Python annotation; a model's name may be an enum or an object, so it allows any.
func plain(annotation string) string {
	switch {
	case strings.HasPrefix(annotation, "List["):
		return "array"
	case strings.HasPrefix(annotation, "Dict["):
		return "object"
	case slices.Contains([]string{"string", "boolean", "integer", "number", "datetime"}, annotation):
		return annotation
	case strings.HasPrefix(annotation, "Annotated[str"):
		return "string"
	case strings.HasPrefix(annotation, "Union[Annotated[float"):
		return "number"
	}
	return "any"
}

// document is the part of an OpenAPI 3.0 or Swagger 2.0 file that carries facts.
type document struct {
	Paths       map[string]map[string]operation
	Definitions map[string]*schema
	Components  struct{ Schemas map[string]*schema }
}

type operation struct {
	OperationID string
	Parameters  []struct {
		In, Name, Type string
		Required       bool
		Schema         *schema
	}
	RequestBody *struct {
		Content map[string]struct{ Schema *schema }
	}
	Responses map[string]struct {
		Schema  *schema
		Content map[string]struct{ Schema *schema }
	}
}

type schema struct {
	Type                 string
	Format               string
	Ref                  string `json:"$ref"`
	Nullable             bool
	Enum                 []any
	Required             []string
	Properties           map[string]*schema
	Items                *schema
	AllOf                []*schema
	AdditionalProperties json.RawMessage
}

func (d *document) surface(name string) *contract.Surface {
	s := &contract.Surface{Name: name, Models: map[string]*contract.Schema{}}
	for model, sc := range d.Definitions {
		s.Models[model] = sc.reduce()
	}
	for model, sc := range d.Components.Schemas {
		s.Models[model] = sc.reduce()
	}
	for _, path := range slices.Sorted(maps.Keys(d.Paths)) {
		for _, method := range slices.Sorted(maps.Keys(d.Paths[path])) {
			s.Operations = append(s.Operations, d.Paths[path][method].reduce(method, path))
		}
	}
	return s
}

func (o operation) reduce(method, path string) *contract.Operation {
	op := &contract.Operation{
		ID: o.OperationID, Method: strings.ToUpper(method), Path: path,
		Answers: map[string]*contract.Schema{},
	}
	for _, p := range o.Parameters {
		switch {
		case p.In == "body":
			op.Body = p.Schema.reduce()
		case p.In == "header":
		default:
			typ := p.Type
			if p.Schema != nil {
				typ = p.Schema.reduce().Type
			}
			op.Params = append(op.Params, contract.Param{
				In: strings.Replace(p.In, "formData", "form", 1), Name: p.Name,
				Type: typ, Required: p.Required,
			})
		}
	}
	if o.RequestBody != nil {
		op.Body = o.RequestBody.Content["application/json"].Schema.reduce()
	}
	for status, r := range o.Responses {
		if status == "default" || status[0] > '3' && !strings.HasSuffix(path, "/health/ready") {
			continue // errors have one body, which CheckError knows
		}
		op.Answers[status] = r.Schema.reduce()
		if c, ok := r.Content["application/json"]; ok {
			op.Answers[status] = c.Schema.reduce()
		}
	}
	return op
}

func (s *schema) reduce() *contract.Schema {
	if s == nil {
		return nil
	}
	if len(s.AllOf) == 1 {
		r := s.AllOf[0].reduce()
		r.Nullable = s.Nullable
		return r
	}
	r := &contract.Schema{Type: s.Type, Nullable: s.Nullable, Required: s.Required, Items: s.Items.reduce()}
	if s.Ref != "" {
		r.Type, r.Ref = "", s.Ref[strings.LastIndex(s.Ref, "/")+1:]
	}
	if s.Format == "date-time" {
		r.Type = "datetime"
	}
	for _, e := range s.Enum {
		if text, ok := e.(string); ok && text != "" {
			r.Enum = append(r.Enum, text)
		}
	}
	for name, p := range s.Properties {
		if r.Fields == nil {
			r.Fields = map[string]*contract.Schema{}
		}
		r.Fields[name] = p.reduce()
	}
	if len(s.AdditionalProperties) > 0 && s.AdditionalProperties[0] == '{' {
		var values schema
		if json.Unmarshal(s.AdditionalProperties, &values) == nil {
			r.Values = values.reduce()
		}
	}
	return r
}

func read(path string, v any) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// write puts each operation and model on a line of its own, so that a change is read as one.
func write(path string, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	text := strings.NewReplacer(`{"id":`, "\n"+`{"id":`, `"models":`, "\n"+`"models":`).Replace(string(data))
	return os.WriteFile(path, []byte(text+"\n"), 0o644)
}
