package contract_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/sandlot-dev/sandlot/tests/contract"
)

// description is what these tests read of a generated OpenAPI file.
type description struct {
	Paths map[string]map[string]struct {
		Parameters []struct {
			In, Name string
			Required bool
		}
		RequestBody struct{ Content media }
		Responses   map[string]struct{ Content media }
	}
}

type media map[string]struct{ Schema *shape }

func (m media) shape() *shape { return m["application/json"].Schema }

type shape struct {
	Type       string
	Properties map[string]*shape
	Required   []string
	Items      *shape
}

// beside lists operations that the recorded contract lacks: those that published clients use, or older ones used, and
// our own.
var beside = []string{
	"GET /files/", "HEAD /files/download", "POST /files/upload", "GET /project-dir", "GET /process/pty/create-connect",
	"GET /files/watch", "GET /metrics",
	"GET /process/execute/connect",
	"POST /process/interpreter/context/{id}/interrupt", "POST /process/interpreter/context/{id}/restart",
	"GET /lsp/diagnostics", "GET /lsp/diagnostics/stream", "GET /lsp/languages", "GET /lsp/servers", "POST /lsp/definition",
	"POST /lsp/did-change", "POST /lsp/formatting", "POST /lsp/hover", "POST /lsp/references", "POST /lsp/rename",
}

var braces = regexp.MustCompile(`\{\w+\}`)

// TestDescriptionsAgreeWithTheContract holds what `make gen` writes from our route tables and types against the
// recorded contract: every operation we claim has the contract's path, parameters, status, and types, takes no body
// field for required that the contract does not, and answers every field that the contract requires.
func TestDescriptionsAgreeWithTheContract(t *testing.T) {
	for file, surface := range map[string]*contract.Surface{"toolbox": contract.Toolbox(), "control": contract.API()} {
		raw, err := os.ReadFile(filepath.Join("..", "..", "api", "openapi", file+".gen.json"))
		if err != nil {
			t.Fatal(err)
		}
		var d description
		if err := json.Unmarshal(raw, &d); err != nil {
			t.Fatal(err)
		}
		claimed := 0
		for path, methods := range d.Paths {
			for method, ours := range methods {
				name := strings.ToUpper(method) + " " + path
				op := named(surface, strings.ToUpper(method), path)
				if op == nil {
					if !slices.Contains(beside, name) && !strings.HasPrefix(path, "/proxy/") {
						t.Errorf("%s: the contract has no such operation", name)
					}
					continue
				}
				claimed++
				var status []string
				for s := range ours.Responses {
					if s != "default" {
						status = append(status, s)
					}
				}
				for _, s := range status {
					answer, ok := op.Answers[s]
					if !ok {
						t.Errorf("%s: we answer %s, the contract %v", name, s, keys(op.Answers))
					}
					compare(t, name+" answer", surface, answer, ours.Responses[s].Content.shape(), true)
				}
				compare(t, name+" body", surface, op.Body, ours.RequestBody.Content.shape(), false)
				for _, p := range op.Params {
					if p.In != "query" {
						continue
					}
					i := slices.IndexFunc(ours.Parameters, func(o struct {
						In, Name string
						Required bool
					},
					) bool {
						return o.In == "query" && o.Name == p.Name
					})
					if i < 0 {
						t.Errorf("%s: the contract's query parameter %s is missing", name, p.Name)
					} else if ours.Parameters[i].Required && !p.Required {
						t.Errorf("%s: query parameter %s is required by us alone", name, p.Name)
					}
				}
			}
		}
		if claimed < 20 {
			t.Errorf("%s: only %d operations are compared", file, claimed)
		}
	}
}

// named finds an operation by method and path, whatever its path parameters are called.
func named(s *contract.Surface, method, path string) *contract.Operation {
	for _, op := range s.Operations {
		if op.Method == method && braces.ReplaceAllString(op.Path, "{}") == braces.ReplaceAllString(path, "{}") {
			return op
		}
	}
	return nil
}

// compare holds one of our shapes against the contract's.
func compare(t *testing.T, at string, surface *contract.Surface, want *contract.Schema, got *shape, answer bool) {
	t.Helper()
	if want == nil || got == nil {
		return
	}
	if want.Ref != "" {
		want = surface.Models[want.Ref]
	}
	if want == nil || want.Type == "" || got.Type == "" {
		return
	}
	kind := want.Type
	if kind == "datetime" {
		kind = "string"
	}
	if got.Type != kind && (kind != "number" || got.Type != "integer") {
		t.Errorf("%s: we have %s, the contract %s", at, got.Type, want.Type)
		return
	}
	compare(t, at+"[]", surface, want.Items, got.Items, answer)
	for key, field := range want.Fields {
		ours := got.Properties[key]
		switch required := slices.Contains(want.Required, key); {
		case ours == nil && answer && required:
			t.Errorf("%s: required key %s is missing", at, key)
		case ours != nil && answer && required && !slices.Contains(got.Required, key):
			t.Errorf("%s: required key %s may be missing in our answer", at, key)
		case ours != nil:
			compare(t, at+"."+key, surface, field, ours, answer)
		}
	}
	if !answer {
		for _, key := range got.Required {
			if !slices.Contains(want.Required, key) {
				t.Errorf("%s: key %s is required by us alone", at, key)
			}
		}
	}
}

func keys[V any](m map[string]V) string {
	var all []string
	for k := range m {
		all = append(all, k)
	}
	slices.Sort(all)
	return fmt.Sprint(all)
}
