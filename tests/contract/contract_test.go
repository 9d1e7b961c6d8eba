package contract_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/sandlot-dev/sandlot/tests/contract"
)

func TestContractsAreWhole(t *testing.T) {
	for _, tc := range []struct {
		surface *contract.Surface
		want    int
	}{{contract.Toolbox(), 103}, {contract.API(), 196}} {
		if got := len(tc.surface.Operations); got != tc.want {
			t.Errorf("%s has %d operations, want %d", tc.surface.Name, got, tc.want)
		}
		for _, op := range tc.surface.Operations {
			if len(op.Answers) == 0 {
				t.Errorf("%s %s has no answer", op.Method, op.Path)
			}
			if got, ok := tc.surface.Find(op.Method, strings.NewReplacer("{", "", "}", "").Replace(op.Path)); !ok || got != op {
				t.Errorf("Find(%s %s) is another operation", op.Method, op.Path)
			}
		}
	}
}

func TestCheckFindsWhatClientsRefuse(t *testing.T) {
	const (
		file = `{"name":"a","isDir":false,"size":1,"mode":"-rw-r--r--","permissions":"0644","owner":"u","group":"g","modTime":"t","modifiedAt":"t"}`
		bad  = `{"statusCode":404,"message":"m","error":"Not Found","code":"X","source":"DAYTONA_DAEMON","timestamp":"2026-08-20T12:00:00Z","path":"/p","method":"GET"}`
	)
	asJSON := http.Header{"Content-Type": {"application/json; charset=utf-8"}}
	asText := http.Header{"Content-Type": {"text/plain; charset=utf-8"}}
	for _, tc := range []struct {
		name         string
		surface      *contract.Surface
		method, path string
		status       int
		header       http.Header
		body         string
		want         string // part of the error; "" for none
	}{
		{"a right answer", contract.Toolbox(), "GET", "/files", 200, asJSON, "[" + file + "]", ""},
		{
			"an unknown key is allowed", contract.Toolbox(), "GET", "/files/info", 200, asJSON,
			strings.Replace(file, "{", `{"more":1,`, 1), "",
		},
		{"null for a list", contract.Toolbox(), "GET", "/files", 200, asJSON, "null", "is null"},
		{
			"a missing key", contract.Toolbox(), "GET", "/files/info", 200, asJSON,
			strings.Replace(file, `"modifiedAt"`, `"m"`, 1), `"modifiedAt"`,
		},
		{
			"a number for text", contract.Toolbox(), "GET", "/files/info", 200, asJSON,
			strings.Replace(file, `"name":"a"`, `"name":1`, 1), "name is integer",
		},
		{
			"a fraction for a count", contract.Toolbox(), "GET", "/files/info", 200, asJSON,
			strings.Replace(file, `"size":1`, `"size":1.0`, 1), "size is number",
		},
		{"another status of success", contract.Toolbox(), "GET", "/files", 201, asJSON, "[]", "status 201"},
		{"JSON under another type", contract.Toolbox(), "GET", "/files", 200, asText, "[]", "Content-Type"},
		{"not JSON at all", contract.Toolbox(), "GET", "/files", 200, asJSON, "x", "not JSON"},
		{"a right error", contract.Toolbox(), "GET", "/files", 404, asJSON, bad, ""},
		{"an empty error", contract.Toolbox(), "GET", "/files", 404, asJSON, "", "not JSON"},
		{"an error of another status", contract.Toolbox(), "GET", "/files", 400, asJSON, bad, "statusCode 404"},
		{
			"an error without source", contract.Toolbox(), "GET", "/files", 404, asJSON,
			strings.Replace(bad, "DAYTONA_DAEMON", "", 1), "source",
		},
		{
			"an error without time", contract.Toolbox(), "GET", "/files", 404, asJSON,
			strings.Replace(bad, "2026-08-20T12:00:00Z", "0001-01-01T00:00:00Z", 1), "timestamp",
		},
		{
			"a 501 that names no feature code", contract.Toolbox(), "GET", "/files", 501, asJSON,
			strings.Replace(bad, "404", "501", 1), "NOT_BUILT",
		},
		{"no cursor at all", contract.API(), "GET", "/sandbox", 200, asJSON, `{"items":[]}`, `"nextCursor"`},
		{"a null cursor", contract.API(), "GET", "/sandbox", 200, asJSON, `{"items":[],"nextCursor":null}`, ""},
		{
			"a sandbox without its keys", contract.API(), "GET", "/sandbox/x", 200, asJSON, `{"id":"x","cpu":1.0}`,
			`"toolboxProxyUrl"`,
		},
		{"a key that only new clients need", contract.API(), "GET", "/sandbox/x", 200, asJSON, `{}`, `"kvm"`},
		{
			"a state that clients do not know", contract.API(), "GET", "/sandbox/x", 200, asJSON, `{"state":"asleep"}`,
			`"asleep"`,
		},
		{"a bare string in quotes", contract.API(), "GET", "/sandbox/x/signing-key", 200, asText, `"abc"`, "also JSON"},
		{"a bare string", contract.API(), "GET", "/sandbox/x/signing-key", 200, asText, "abc", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			op, ok := tc.surface.Find(tc.method, tc.path)
			if !ok {
				t.Fatalf("no operation %s %s", tc.method, tc.path)
			}
			err := op.Check(tc.status, tc.header, []byte(tc.body))
			switch {
			case tc.want == "" && err != nil:
				t.Errorf("Check = %v, want no fault", err)
			case tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)):
				t.Errorf("Check = %v, want a fault with %q", err, tc.want)
			}
		})
	}
}
