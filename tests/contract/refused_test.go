//go:build e2e

package contract_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sandlot-dev/sandlot/tests/contract"
	"github.com/sandlot-dev/sandlot/tests/harness"
)

// TestBadInputIsRefused sends each built operation of the toolbox what it cannot mean: broken JSON, another type, a
// key less, a parameter less, paths and ids that are absurd. Each gets a typed refusal; nothing is done, and nothing
// fails inside.
func TestBadInputIsRefused(t *testing.T) {
	base, _, _ := harness.Toolboxd(t)
	surface := contract.Toolbox()
	client := &http.Client{Timeout: 10 * time.Second}
	sent := 0
	// send wants one of the statuses; without any, a refusal or an ordinary answer.
	send := func(op *contract.Operation, path, body string, want ...int) {
		t.Helper()
		name := op.Method + " " + path
		req, err := http.NewRequestWithContext(t.Context(), op.Method, base+path, strings.NewReader(body))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		req.Header.Set("Content-Type", "application/json")
		resp, err := client.Do(req)
		if err != nil {
			t.Errorf("%.200s with %.200s: %v", name, body, err)
			return
		}
		defer resp.Body.Close()
		data, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Errorf("%.200s with %.200s: %v", name, body, err)
		}
		if sent++; resp.StatusCode == http.StatusNotImplemented {
			return
		}
		if len(want) > 0 && !slices.Contains(want, resp.StatusCode) || resp.StatusCode >= 500 {
			t.Errorf("%.200s with %.200s: %d %.300s; want %v", name, body, resp.StatusCode, data, want)
		}
		if resp.StatusCode >= 400 {
			if err := contract.CheckError(resp.StatusCode, data); err != nil {
				t.Errorf("%.200s with %.200s: %v: %.300s", name, body, err, data)
			}
		}
	}
	for _, op := range surface.Operations {
		at := op.Example()
		if op.Body != nil {
			for _, body := range []string{"", "{", "[]", `"x"`, "7", "{}x", strings.Repeat("[", 100_000)} {
				send(op, at, body, refusals(op)...)
			}
			var whole map[string]any
			if err := json.Unmarshal([]byte(surface.ExampleBody(op)), &whole); err != nil {
				t.Fatalf("%s %s: %v", op.Method, op.Path, err)
			}
			model := op.Body
			if model.Ref != "" {
				model = surface.Models[model.Ref]
			}
			with := func(key string, value any) string {
				changed := map[string]any{}
				for k, v := range whole {
					changed[k] = v
				}
				if changed[key] = value; value == nil {
					delete(changed, key)
				}
				data, err := json.Marshal(changed)
				if err != nil {
					t.Fatal(err)
				}
				return string(data)
			}
			for _, key := range model.Required {
				if op.Path == "/init" {
					continue // newer clients may leave out its token
				}
				send(op, at, with(key, nil), refusals(op)...)
			}
			for key, field := range model.Fields {
				var wrong any = map[string]any{"a": []int{1}}
				if field.Type == "object" || field.Ref != "" || field.Values != nil || field.Type == "" {
					wrong = []any{7}
				}
				send(op, at, with(key, wrong), refusals(op)...)
			}
		}
		for _, p := range op.Params {
			example, err := url.Parse(at)
			if err != nil {
				t.Fatal(err)
			}
			switch {
			case p.In == "query":
				query := example.Query()
				for _, bad := range []string{
					"\x00", "a\x00b", strings.Repeat("x", 5000),
					strings.Repeat("../", 300) + "etc/none", "-1", "1e9", "ü\xff",
				} {
					query.Set(p.Name, bad)
					example.RawQuery = query.Encode()
					send(op, example.String(), surface.ExampleBody(op))
				}
				if query.Del(p.Name); p.Required {
					example.RawQuery = query.Encode()
					send(op, example.String(), surface.ExampleBody(op), 400)
				}
			case p.In == "path":
				for _, bad := range []string{"..%2F..%2Fetc", "%00", strings.Repeat("x", 5000), "%FF", "a%20b", "-1"} {
					send(op, strings.Replace(op.Path, "{"+p.Name+"}", bad, 1), surface.ExampleBody(op), 400, 404, 410)
				}
			}
		}
	}
	resp, err := client.Get(base + "/version")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	t.Logf("%d requests were refused or meant something", sent)
}

// refusals is what a body that cannot be read may get: an unknown session or terminal may be told first.
func refusals(op *contract.Operation) []int {
	if strings.Contains(op.Path, "{") {
		return []int{400, 404, 410}
	}
	return []int{400}
}
