//go:build e2e

package contract_test

import (
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sandlot-dev/sandlot/tests/contract"
	"github.com/sandlot-dev/sandlot/tests/harness"
)

// unlisted are calls that clients make and the recorded contracts leave out: those of newer and of older clients.
var unlisted = map[string][][2]string{
	"toolbox": {
		{"POST", "/files/upload"},
		{"GET", "/project-dir"},
		{"GET", "/process/pty/create-connect"},
		{"POST", "/computeruse/mouse/down"},
		{"POST", "/computeruse/mouse/up"},
		{"POST", "/computeruse/keyboard/down"},
		{"POST", "/computeruse/keyboard/up"},
	},
	"api": {
		{"GET", "/sandbox/paginated"},
		{"PATCH", "/organizations/{organizationId}/default-queue-timeout"},
		{"GET", "/organizations/{organizationId}/gpu-capacity"},
		{"GET", "/organizations/sandbox-identity/by-sandbox-auth-token/{authToken}"},
		{"POST", "/users/me/logins"},
		{"POST", "/users/privacy-policies/accept"},
		{"GET", "/organizations/{organizationId}/identity-providers/workos-sso-connections"},
		{"POST", "/organizations/{organizationId}/identity-providers/workos-admin-portal-link"},
	},
}

// stream is operations whose answer only ends with what they follow.
var stream = []string{"/process/session/{sessionId}/command/{commandId}/logs"}

func TestEveryToolboxOperationIsRouted(t *testing.T) {
	url, _, _ := harness.Toolboxd(t)
	built := everyOperation(t, contract.Toolbox(), url, "")
	for _, op := range []string{
		"GET /version", "POST /init", "GET /work-dir", "GET /user-home-dir", "POST /process/execute",
		"POST /process/code-run",
		"GET /files", "DELETE /files", "GET /files/info", "POST /files/folder", "POST /files/move", "GET /files/download",
		"POST /files/bulk-download", "POST /files/bulk-upload", "POST /files/upload-v2", "POST /files/upload",
	} {
		if !slices.Contains(built, op) {
			t.Errorf("%s answers 501, but this release has it", op)
		}
	}
}

func TestEveryAPIOperationIsRouted(t *testing.T) {
	s := harness.Start(t, harness.Options{Image: harness.Image(t, "", harness.Busybox)})
	built := everyOperation(t, contract.API(), s.API, s.Key)
	for _, op := range []string{
		"GET /config", "GET /health", "GET /api-keys/current", "GET /organizations", "GET /users/me",
		"POST /sandbox", "GET /sandbox", "GET /sandbox/paginated", "GET /sandbox/{sandboxIdOrName}",
		"DELETE /sandbox/{sandboxIdOrName}",
		"POST /sandbox/{sandboxIdOrName}/start", "POST /sandbox/{sandboxIdOrName}/stop",
		"PUT /sandbox/{sandboxIdOrName}/labels",
		"POST /sandbox/{sandboxIdOrName}/autostop/{interval}", "POST /sandbox/{sandboxIdOrName}/autoarchive/{interval}",
		"POST /sandbox/{sandboxIdOrName}/autodelete/{interval}", "POST /sandbox/{sandboxId}/last-activity",
		"GET /sandbox/{sandboxId}/toolbox-proxy-url", "GET /sandbox/{sandboxIdOrName}/ports/{port}/preview-url",
		"POST /sandbox/{sandboxIdOrName}/public/{isPublic}",
	} {
		if !slices.Contains(built, op) {
			t.Errorf("%s answers 501, but this release has it", op)
		}
	}
}

// everyOperation makes each call once, with made-up arguments of the right form, and returns those that are built. An
// answer must be one of the contract, a typed refusal of the arguments, or a 501 that names the feature; never "no
// such route".
func everyOperation(t *testing.T, surface *contract.Surface, base, key string) (built []string) {
	client := &http.Client{Timeout: 30 * time.Second}
	ops := slices.Clone(surface.Operations)
	for _, call := range unlisted[surface.Name] {
		ops = append(ops, &contract.Operation{Method: call[0], Path: call[1]})
	}
	for _, op := range ops {
		name := op.Method + " " + op.Path
		req, err := http.NewRequest(op.Method, base+op.Example(), strings.NewReader(surface.ExampleBody(op)))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if key != "" {
			req.Header.Set("Authorization", "Bearer "+key)
		}
		req.Header.Set("X-Daytona-SDK-Version", "0.226.0") // clients of old get some answers as text
		if op.Body != nil {
			req.Header.Set("Content-Type", "application/json")
		}
		resp, err := client.Do(req)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil && !slices.Contains(stream, op.Path) {
			t.Errorf("%s: reading the answer: %v", name, err)
		}
		switch {
		case resp.StatusCode == http.StatusNotFound && strings.Contains(string(body), `"Cannot `):
			t.Errorf("%s is not routed: %s", name, body)
			continue
		case resp.StatusCode == http.StatusNotImplemented:
			if !strings.Contains(string(body), "is not built") {
				t.Errorf("%s: a 501 must name its feature: %s", name, body)
			}
		case resp.StatusCode >= 500 && resp.StatusCode != http.StatusServiceUnavailable:
			t.Errorf("%s: status %d on made-up arguments: %s", name, resp.StatusCode, body)
		}
		if resp.StatusCode != http.StatusNotImplemented {
			built = append(built, name)
		}
		if op.Answers != nil || resp.StatusCode >= 400 {
			if err := check(op, resp, body); err != nil {
				t.Errorf("%v\n%.400s", err, body)
			}
		}
	}
	t.Logf("%s: %d operations routed, %d built", surface.Name, len(ops), len(built))
	return built
}

func check(op *contract.Operation, resp *http.Response, body []byte) error {
	if op.Answers == nil {
		return contract.CheckError(resp.StatusCode, body)
	}
	if _, ok := op.Answers[strconv.Itoa(http.StatusSwitchingProtocols)]; ok && resp.StatusCode < 400 {
		return nil // a websocket's route, asked without an upgrade
	}
	return op.Check(resp.StatusCode, resp.Header, body)
}
