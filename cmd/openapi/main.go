// Command openapi writes the OpenAPI descriptions of Sandlot's servers from their route tables: `make gen` runs it,
// nothing else.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3gen"

	"github.com/sandlot-dev/sandlot/coordinator"
	"github.com/sandlot-dev/sandlot/internal/serve"
	"github.com/sandlot-dev/sandlot/toolbox"
)

//go:generate go run .

func main() { os.Exit(run(filepath.Join("..", "..", "api", "openapi"))) }

func run(folder string) int {
	for _, d := range []struct {
		name, title string
		ops         []serve.Operation
	}{
		{"toolbox", "Sandlot toolbox: the API inside a sandbox", toolbox.Operations()},
		{"control", "Sandlot control API", coordinator.Operations()},
	} {
		if err := write(filepath.Join(folder, d.name+".gen.json"), d.title, d.ops); err != nil {
			fmt.Fprintln(os.Stderr, "openapi:", err)
			return 1
		}
	}
	return 0
}

func write(path, title string, ops []serve.Operation) error {
	doc := &openapi3.T{OpenAPI: "3.0.3", Info: &openapi3.Info{Title: title, Version: "1"}, Paths: openapi3.NewPaths()}
	for _, op := range ops {
		if op.Feature != "" {
			continue // not built: not claimed
		}
		described, err := operation(op)
		if err != nil {
			return fmt.Errorf("%s %s: %w", op.Method, op.Path, err)
		}
		doc.AddOperation(wildcard.ReplaceAllString(op.Path, "{$1}"), op.Method, described)
	}
	raw, err := json.MarshalIndent(doc, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(raw, '\n'), 0o644)
}

var wildcard = regexp.MustCompile(`[:*](\w+)`)

func operation(op serve.Operation) (*openapi3.Operation, error) {
	o := &openapi3.Operation{Summary: op.Summary, Responses: openapi3.NewResponses()}
	for _, m := range wildcard.FindAllStringSubmatch(op.Path, -1) {
		o.AddParameter(openapi3.NewPathParameter(m[1]).WithSchema(openapi3.NewStringSchema()))
	}
	for _, name := range op.Query {
		name, optional := strings.CutSuffix(name, "?")
		o.AddParameter(openapi3.NewQueryParameter(name).WithSchema(openapi3.NewStringSchema()).WithRequired(!optional))
	}
	in, err := schema(op.In, asked)
	if err != nil {
		return nil, err
	}
	if in != nil {
		o.RequestBody = &openapi3.RequestBodyRef{Value: openapi3.NewRequestBody().WithJSONSchemaRef(in)}
	}
	out, err := schema(op.Out, answered)
	if err != nil {
		return nil, err
	}
	answer := openapi3.NewResponse().WithDescription("done")
	if out != nil {
		answer = answer.WithJSONSchemaRef(out)
	}
	o.Responses.Delete("default")
	o.AddResponse(op.Status, answer)
	failed, err := schema(serve.Body{}, answered)
	if err != nil {
		return nil, err
	}
	problem := openapi3.NewResponse().WithJSONSchemaRef(failed).
		WithDescription("an error; statusCode equals the HTTP status")
	o.Responses.Set("default", &openapi3.ResponseRef{Value: problem})
	return o, nil
}

func schema(v any, required func(reflect.StructField) bool) (*openapi3.SchemaRef, error) {
	if v == nil {
		return nil, nil
	}
	return openapi3gen.NewSchemaRefForValue(v, nil, openapi3gen.SchemaCustomizer(
		func(_ string, t reflect.Type, _ reflect.StructTag, s *openapi3.Schema) error {
			s.Required = requiredKeys(t, required)
			return nil
		}))
}

var times = reflect.TypeFor[time.Time]()

// requiredKeys lists the keys of a struct that are always there.
func requiredKeys(t reflect.Type, required func(reflect.StructField) bool) []string {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct || t == times {
		return nil
	}
	var keys []string
	for _, f := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name != "" && name != "-" && !f.Anonymous && required(f) {
			keys = append(keys, name)
		}
	}
	return keys
}

// asked reports whether a request must have a field.
func asked(f reflect.StructField) bool { return strings.Contains(f.Tag.Get("binding"), "required") }

// answered reports whether an answer always has a field.
func answered(f reflect.StructField) bool {
	_, opts, _ := strings.Cut(f.Tag.Get("json"), ",")
	return !strings.Contains(opts, "omitempty") && !strings.Contains(opts, "omitzero")
}
