package contract

import (
	"embed"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
)

//go:embed testdata/*.json
var files embed.FS

// Schema is what the contract says about one JSON value. The zero Schema allows any value.
type Schema struct {
	// String, number, integer, boolean, array, object, file, datetime; "" is any.
	Type     string             `json:"type,omitempty"`
	Ref      string             `json:"ref,omitempty"` // name of a model, in place of Type
	Nullable bool               `json:"null,omitempty"`
	Enum     []string           `json:"enum,omitempty"`
	Required []string           `json:"required,omitempty"`
	Fields   map[string]*Schema `json:"fields,omitempty"`
	Items    *Schema            `json:"items,omitempty"`  // of an array
	Values   *Schema            `json:"values,omitempty"` // of an object's keys that Fields does not name
}

// Param is one parameter of an operation that is not its body.
type Param struct {
	In       string `json:"in"` // path, query, header, form
	Name     string `json:"name"`
	Type     string `json:"type,omitempty"`
	Required bool   `json:"required,omitempty"`
}

// Operation is one call of a surface.
type Operation struct {
	ID      string             `json:"id"`
	Method  string             `json:"method"`
	Path    string             `json:"path"` // parameters as {name}
	Params  []Param            `json:"params,omitempty"`
	Body    *Schema            `json:"body,omitempty"`
	Answers map[string]*Schema `json:"answers"` // by status of success; nil where the contract has no body

	surface *Surface
}

// Surface is all operations of one server.
type Surface struct {
	Name       string             `json:"name"`
	Operations []*Operation       `json:"operations"`
	Models     map[string]*Schema `json:"models"`

	keys map[string]map[string]*Schema // model, key: what clients refuse to do without
}

// Toolbox returns the contract of the daemon inside a sandbox.
func Toolbox() *Surface { return toolbox() }

// API returns the contract of the control API. Its paths start below /api.
func API() *Surface { return api() }

var (
	toolbox = sync.OnceValue(func() *Surface { return load("toolbox") })
	api     = sync.OnceValue(func() *Surface { return load("api") })
)

// load panics when the embedded files are broken: no test can say anything then.
func load(name string) *Surface {
	read := func(file string, v any) {
		data, err := files.ReadFile("testdata/" + file)
		if err == nil {
			err = json.Unmarshal(data, v)
		}
		if err != nil {
			panic(fmt.Sprintf("contract: testdata/%s: %v", file, err))
		}
	}
	s := &Surface{Name: name}
	var keys map[string]map[string]map[string]*Schema
	read(name+".json", s)
	read("required-keys.json", &keys)
	s.keys = keys[name]
	for _, op := range s.Operations {
		op.surface = s
	}
	return s
}

// Find returns the operation that a request's method and path (without the surface's prefix) belong to. A path without
// parameters wins over one with.
func (s *Surface) Find(method, path string) (*Operation, bool) {
	var found *Operation
	for _, op := range s.Operations {
		if op.Method == method && match(op.Path, path) && (found == nil ||
			strings.Count(op.Path, "{") < strings.Count(found.Path, "{")) {
			found = op
		}
	}
	return found, found != nil
}

func match(pattern, path string) bool {
	p, q := strings.Split(pattern, "/"), strings.Split(path, "/")
	if len(p) != len(q) {
		return false
	}
	for i := range p {
		if p[i] != q[i] && (!strings.HasPrefix(p[i], "{") || q[i] == "") {
			return false
		}
	}
	return true
}
