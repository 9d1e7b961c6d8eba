package contract

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxProblems is how many faults of one answer are told; more would only hide the first.
const maxProblems = 40

// Check tells what is wrong with an answer of op: nil when nothing is. A status that the contract does not list as a
// success is wrong, unless it is an error with the whole error body.
func (op *Operation) Check(status int, header http.Header, body []byte) error {
	want, ok := op.Answers[strconv.Itoa(status)]
	switch {
	case status >= 400 && !ok:
		return op.wrap(CheckError(status, body))
	case status == http.StatusPartialContent || status == http.StatusNotModified:
		return nil // answers to Range and conditional requests, which the contract leaves to HTTP
	case !ok:
		return op.wrap(fmt.Errorf("status %d, want one of %v", status, op.statuses()))
	case want == nil || want.Type == "file" || status == http.StatusSwitchingProtocols:
		return nil
	case want.Type == "string":
		return op.wrap(checkBareString(header, body))
	}
	if ct := header.Get("Content-Type"); !strings.HasPrefix(ct, "application/json") {
		return op.wrap(fmt.Errorf("Content-Type %q, want application/json", ct))
	}
	c := checker{surface: op.surface}
	v, err := parse(body)
	if err != nil {
		return op.wrap(err)
	}
	c.value("", want, v)
	return op.wrap(errors.Join(c.problems...))
}

func (op *Operation) wrap(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s %s: %w", op.Method, op.Path, err)
}

func (op *Operation) statuses() []string {
	var all []string
	for s := range op.Answers {
		all = append(all, s)
	}
	slices.Sort(all)
	return all
}

// checkBareString checks an answer that is raw text: no quotes, nothing that a client would take for JSON.
func checkBareString(header http.Header, body []byte) error {
	if ct := header.Get("Content-Type"); !strings.HasPrefix(ct, "text/") {
		return fmt.Errorf("Content-Type %q of a bare string, want text/plain or text/html", ct)
	}
	if json.Valid(body) {
		return fmt.Errorf("bare string %q is also JSON, so a client that parses text would change it", body)
	}
	return nil
}

// CheckError tells what is wrong with an error body (docs/wire.md, "Errors and answers").
func CheckError(status int, body []byte) error {
	v, err := parse(body)
	if err != nil {
		return fmt.Errorf("error %d: %w", status, err)
	}
	m, ok := v.(map[string]any)
	if !ok {
		return fmt.Errorf("error %d: body is not an object: %.200s", status, body)
	}
	var problems []error
	add := func(format string, args ...any) {
		problems = append(problems, fmt.Errorf("error body: "+format, args...))
	}
	if got := fmt.Sprint(m["statusCode"]); got != strconv.Itoa(status) {
		add("statusCode %s, but the status is %d", got, status)
	}
	for _, key := range []string{"message", "error", "code", "source", "path", "method", "timestamp"} {
		if s, ok := m[key].(string); !ok || s == "" {
			add("%s is %v, want text", key, m[key])
		}
	}
	if s, ok := m["timestamp"].(string); ok {
		if at, err := time.Parse(time.RFC3339Nano, s); err != nil || at.Year() < 2024 {
			add("timestamp %q is not the time in RFC 3339", s)
		}
	}
	if s := m["source"]; s != "DAYTONA_API" && s != "DAYTONA_DAEMON" && s != "DAYTONA_PROXY" {
		add("source %v is unknown to clients", s)
	}
	if status == http.StatusNotImplemented && m["code"] != "NOT_BUILT" {
		add("code %v of a 501, want NOT_BUILT", m["code"])
	}
	return errors.Join(problems...)
}

func parse(body []byte) (any, error) {
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, fmt.Errorf("body is not JSON: %w: %.200q", err, body)
	}
	if dec.More() {
		return nil, fmt.Errorf("body has more after its JSON value: %.200q", body)
	}
	return v, nil
}

type checker struct {
	surface  *Surface
	problems []error
}

func (c *checker) add(at, format string, args ...any) {
	if len(c.problems) < maxProblems {
		c.problems = append(c.problems, fmt.Errorf("%s "+format, append([]any{orWhole(at)}, args...)...))
	}
}

func orWhole(at string) string {
	if at == "" {
		return "the answer"
	}
	return strings.TrimPrefix(at, ".")
}

// value checks v against s, at being the path of v in the answer.
func (c *checker) value(at string, s *Schema, v any) {
	if s == nil {
		return
	}
	if v == nil {
		if !s.Nullable && (s.Type != "" || s.Ref != "") {
			c.add(at, "is null, want %s", s.name())
		}
		return
	}
	if s.Ref != "" {
		c.model(at, s.Ref, v)
		return
	}
	if got := kind(v); !fits(s.Type, v) {
		c.add(at, "is %s (%.80v), want %s", got, v, s.Type)
		return
	}
	switch v := v.(type) {
	case string:
		if len(s.Enum) > 0 && !slices.Contains(s.Enum, v) {
			c.add(at, "is %q, want one of %v", v, s.Enum)
		}
	case []any:
		for i, item := range v {
			c.value(fmt.Sprintf("%s[%d]", at, i), s.Items, item)
		}
	case map[string]any:
		c.object(at, s, v)
	}
}

func (c *checker) object(at string, s *Schema, v map[string]any) {
	for _, key := range s.Required {
		if _, ok := v[key]; !ok {
			c.add(at, "has no key %q", key)
		}
	}
	for key, value := range v {
		if field, ok := s.Fields[key]; ok {
			if value == nil && !slices.Contains(s.Required, key) {
				continue // clients take null for a missing optional key
			}
			c.value(at+"."+key, field, value)
		} else if s.Values != nil {
			c.value(at+"."+key, s.Values, value)
		}
	}
}

// model checks v against the contract's model, and against what published clients need of it.
func (c *checker) model(at, name string, v any) {
	s, ok := c.surface.Models[name]
	if !ok {
		c.add(at, "has the unknown model %s", name)
		return
	}
	c.value(at, s, v)
	m, ok := v.(map[string]any)
	if !ok {
		return
	}
	for key, need := range c.surface.keys[name] {
		value, ok := m[key]
		switch {
		case !ok:
			c.add(at, "(%s) has no key %q, which a published client needs", name, key)
		case value == nil && need.Nullable:
		case !fits(need.Type, value):
			c.add(at+"."+key, "is %s (%.80v), want %s, or a published client refuses it", kind(value), value, need.Type)
		}
	}
}

func (s *Schema) name() string {
	if s.Ref != "" {
		return s.Ref
	}
	return s.Type
}

func kind(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case string:
		return "string"
	case bool:
		return "boolean"
	case json.Number:
		if strings.ContainsAny(v.String(), ".eE") {
			return "number"
		}
		return "integer"
	case []any:
		return "array"
	default:
		return "object"
	}
}

func fits(want string, v any) bool {
	got := kind(v)
	switch want {
	case "", "any":
		return true
	case "number":
		return got == "number" || got == "integer"
	case "datetime":
		s, ok := v.(string)
		_, err := time.Parse(time.RFC3339Nano, s)
		return ok && err == nil
	default:
		return got == want
	}
}
