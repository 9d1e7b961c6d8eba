package coordinator_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sandlot-dev/sandlot/coordinator"
	"github.com/sandlot-dev/sandlot/coordinator/fleet"
	"github.com/sandlot-dev/sandlot/internal/auth"
)

// TestWhatIsNotBuiltChangesNothing calls every operation that answers 501, and asks creates for what is not built.
func TestWhatIsNotBuiltChangesNothing(t *testing.T) {
	c := newControl(t)
	id := c.create(`{"name":"asked","labels":{"a":"b"}}`)
	before, asked := c.everything(), c.host.count()
	refused := 0
	for _, op := range coordinator.Operations() {
		if op.Feature == "" {
			continue
		}
		path := strings.NewReplacer(":sandboxId", id, ":sandbox", id, ":organizationId", c.org, ":", "").Replace(op.Path)
		for _, body := range []string{
			"", "{}", `{"name":"other","state":"stopped","cpu":2,"networkBlockAll":true,"secrets":[]}`, "{",
		} {
			if status, answer := c.call(op.Method, path, body); status != http.StatusNotImplemented {
				t.Errorf("%s %s with %q: %d %s", op.Method, path, body, status, answer)
			}
		}
		refused++
	}
	if refused < 100 {
		t.Errorf("only %d operations were refused", refused)
	}
	for _, body := range []string{
		`{"volumes":[{"volumeId":"v","mountPath":"/v"}]}`, `{"networkBlockAll":true}`, `{"networkAllowList":"10.0.0.0/8"}`,
		`{"domainAllowList":"a.b"}`, `{"outboundProxyUrl":"http://p"}`, `{"otelEndpointOverride":"http://o:4318"}`,
		`{"gpu":1}`, `{"gpu":-1}`, `{"gpuType":["H100"]}`, `{"gpuType":"H100"}`, `{"spot":true}`, `{"kvm":true}`,
		`{"autoPauseInterval":5}`, `{"linkedSandbox":"asked"}`, `{"secrets":[{"A":"s"}]}`,
		`{"buildInfo":{"dockerfileContent":"FROM x"}}`,
	} {
		if status, answer := c.call("POST", "/sandbox", body); status != http.StatusNotImplemented {
			t.Errorf("create with %s: %d %.200s", body, status, answer)
		}
	}
	if after := c.everything(); after != before {
		t.Errorf("what was refused changed the records:\n%s\n%s", before, after)
	}
	if n := c.host.count() - asked; n != 0 {
		t.Errorf("what was refused asked the runner %d times", n)
	}
}

// TestNoSandboxHasAnImpossibleName looks sandboxes up by names that cannot be.
func TestNoSandboxHasAnImpossibleName(t *testing.T) {
	c := newControl(t)
	id := c.create("")
	if _, err := c.db.ChangeSandbox(t.Context(), id, func(s *fleet.Sandbox) error {
		s.Name = "\ufffd"
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	for _, ref := range []string{"%00", "a%00b", id + "%00", "%FF"} {
		for _, call := range []string{
			"GET /sandbox/%s", "DELETE /sandbox/%s", "POST /sandbox/%s/start", "POST /sandbox/%s/stop",
			"POST /sandbox/%s/public/true", "POST /sandbox/%s/autostop/1", "POST /sandbox/%s/last-activity",
			"GET /sandbox/%s/signing-key", "GET /sandbox/%s/ports/1/preview-url", "GET /sandbox/%s/toolbox-proxy-url",
			"GET /sandbox/%s/organization", "GET /api-keys/%s", "DELETE /api-keys/%s", "GET /regions/%s",
			"DELETE /api-keys/x/%s",
		} {
			method, path, _ := strings.Cut(call, " ")
			if status, answer := c.call(method, fmt.Sprintf(path, ref), ""); status != http.StatusNotFound {
				t.Errorf("%s %s: %d %s, want 404", method, fmt.Sprintf(path, ref), status, answer)
			}
		}
	}
}

// TestANameIsFoundAsItIsWritten has names whose letters mean something in addresses, in the ways that clients write
// them.
func TestANameIsFoundAsItIsWritten(t *testing.T) {
	c := newControl(t)
	ids := map[string]string{}
	for _, name := range []string{"a+b/c", "a b/c", "a%2Fb", "a/b", "a+b", "a%20b", "a b", "100%", "a?b#c", "é+ü/"} {
		ids[name] = c.create(fmt.Sprintf(`{"name":%q}`, name))
	}
	for name, id := range ids {
		for _, written := range []string{
			url.PathEscape(name), // Go, which leaves a plus as it is
			strings.ReplaceAll(url.QueryEscape(name), "+", "%20"), // as encodeURIComponent of JavaScript
		} {
			if status, answer := c.call("GET", "/sandbox/"+written, ""); status != http.StatusOK ||
				!strings.Contains(answer, id) {
				t.Errorf("%q, written %s: %d %.150s", name, written, status, answer)
			}
		}
	}
}

func TestSignedLinks(t *testing.T) {
	c := newControl(t)
	_, answer := c.call("POST", "/sandbox", "{}")
	var made struct{ ID string }
	if err := json.Unmarshal([]byte(answer), &made); err != nil {
		t.Fatalf("%s: %v", answer, err)
	}
	ports := "/sandbox/" + made.ID + "/ports/"
	for path, want := range map[string]int{
		"3000/signed-preview-url": 200, "3000.0/signed-preview-url?expiresInSeconds=1": 200,
		"65535/signed-preview-url?expiresInSeconds=86400": 200, "3000/signed-preview-url?expiresInSeconds=0": 400,
		"3000/signed-preview-url?expiresInSeconds=86401": 400, "3000/signed-preview-url?expiresInSeconds=x": 400,
		"3000/signed-preview-url?expiresInSeconds=-9007199254740991": 400,
		"3000/signed-preview-url?expiresInSeconds=1e300":             400,
		"0/signed-preview-url":                                       400, "65536/signed-preview-url": 400,
		"x/signed-preview-url":   400,
		"3.5/signed-preview-url": 400,
	} {
		if status, answer := c.call("GET", ports+path, ""); status != want {
			t.Errorf("%s: %d %s, want %d", path, status, answer, want)
		}
	}
	var first, second struct {
		SandboxID, Token, URL string
		Port                  int
	}
	for _, into := range []any{&first, &second} {
		_, answer = c.call("GET", ports+"3000/signed-preview-url", "")
		if err := json.Unmarshal([]byte(answer), into); err != nil {
			t.Fatalf("%s: %v", answer, err)
		}
	}
	if first.SandboxID != made.ID || first.Port != 3000 || len(first.Token) != 16 || first.Token == second.Token ||
		!strings.Contains(first.URL, first.Token) {
		t.Errorf("links %+v and %+v", first, second)
	}
	ask := func(token string) error {
		_, err := c.db.LinkByHash(t.Context(), auth.Hash(token))
		return err
	}
	expire := func(port, token string) {
		t.Helper()
		if status, answer := c.call("POST", ports+port+"/signed-preview-url/"+token+"/expire", ""); status != 200 ||
			answer != "" {
			t.Errorf("expire: %d %q", status, answer)
		}
	}
	expire("3001", first.Token)
	if err := ask(first.Token); err != nil {
		t.Errorf("expired by another port: %v", err)
	}
	expire("3000", first.Token)
	expire("3000", first.Token)
	if err := ask(first.Token); !errors.Is(err, fleet.ErrNoLink) {
		t.Errorf("an expired link: %v", err)
	}
	if err := ask(second.Token); err != nil {
		t.Errorf("the other link: %v", err)
	}
	if err := c.db.DeleteSandbox(t.Context(), made.ID); err != nil {
		t.Fatal(err)
	}
	if err := ask(second.Token); !errors.Is(err, fleet.ErrNoLink) {
		t.Errorf("the link of a sandbox that is gone: %v", err)
	}
	err := c.db.PutLink(t.Context(), fleet.Link{Hash: "h", Sandbox: made.ID, Port: 1, Until: time.Now().Add(time.Hour)})
	if !errors.Is(err, fleet.ErrNotFound) {
		t.Errorf("a link to a sandbox that is gone: %v", err)
	}
	if doors, err := c.db.Doors(t.Context()); err != nil || len(doors) != 0 {
		t.Errorf("doors %v, %v", doors, err)
	}
	if err := c.db.PutDoor(t.Context(), fleet.Door{Sandbox: made.ID, Port: 1}); !errors.Is(err, fleet.ErrNotFound) {
		t.Errorf("a door of a sandbox that is gone: %v", err)
	}
}
