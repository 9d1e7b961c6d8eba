//go:build e2e

package e2e_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sandlot-dev/sandlot/tests/contract"
	"github.com/sandlot-dev/sandlot/tests/harness"
)

type apiKey struct {
	Name, Value, UserID   string
	Permissions           []string
	CreatedAt             time.Time
	LastUsedAt, ExpiresAt *time.Time
}

func TestKeysAreMadeListedAndDeleted(t *testing.T) {
	s := harness.Start(t, harness.Options{Image: harness.Image(t, "", harness.Busybox)})
	c := s.As(t, s.Key)
	box := c.Create(nil)
	all := []string{"write:sandboxes", "delete:sandboxes"}
	var made apiKey
	c.API("POST", "/api-keys", map[string]any{"name": "ci", "permissions": all}).Want(http.StatusCreated).Into(&made)
	if len(made.Value) != 68 || !strings.HasPrefix(made.Value, "dtn_") || made.Name != "ci" || made.ExpiresAt != nil ||
		made.CreatedAt.IsZero() {
		t.Fatalf("made %+v", made)
	}
	ci := s.As(t, made.Value)
	var current apiKey
	ci.API("GET", "/api-keys/current", nil).Want(http.StatusOK).Into(&current)
	masked := "dtn" + strings.Repeat("*", 20) + made.Value[65:]
	if current.Name != "ci" || current.Value != masked || current.LastUsedAt == nil ||
		!slices.Equal(current.Permissions, []string{"delete:sandboxes", "write:sandboxes"}) {
		t.Errorf("the new key is %+v, want value %s", current, masked)
	}
	list := ci.API("GET", "/sandbox", nil).Want(http.StatusOK)
	if strings.Contains(string(list.Body), made.Value) {
		t.Error("a key is told")
	}
	if got := ci.At(contract.Toolbox(), "GET", box.ToolboxProxyURL+"/"+box.ID, "/version",
		nil); got.Status != http.StatusOK {
		t.Errorf("the new key at the proxy: %d", got.Status)
	}

	t.Run("refused", func(t *testing.T) {
		for name, tc := range map[string]struct {
			as     *harness.Conn
			body   map[string]any
			status int
		}{
			"no name":            {c, map[string]any{"permissions": all}, 400},
			"a route's word":     {c, map[string]any{"name": "current", "permissions": all}, 400},
			"markup":             {c, map[string]any{"name": "<b>", "permissions": all}, 400},
			"invisible":          {c, map[string]any{"name": "a\u200b", "permissions": all}, 400},
			"unknown permission": {c, map[string]any{"name": "x", "permissions": []string{"write:everything"}}, 400},
			"past": {
				c,
				map[string]any{"name": "x", "permissions": all, "expiresAt": "2020-01-01T00:00:00Z"},
				400,
			},
			"after all time": {c, map[string]any{
				"name": "x", "permissions": all,
				"expiresAt": "9999-12-31T23:59:59-12:00",
			}, 400},
			"no time":               {c, map[string]any{"name": "x", "permissions": all, "expiresAt": "soon"}, 400},
			"same name":             {c, map[string]any{"name": "ci", "permissions": all}, 409},
			"by a key that may not": {ci, map[string]any{"name": "x", "permissions": all}, 403},
		} {
			if a := tc.as.API("POST", "/api-keys", tc.body); a.Status != tc.status || a.Code() == "" {
				t.Errorf("%s: %d %s, want %d", name, a.Status, a.Body, tc.status)
			}
		}
		ci.API("GET", "/api-keys", nil).Want(http.StatusForbidden)
		ci.API("DELETE", "/api-keys/ci", nil).Want(http.StatusForbidden)
		c.API("GET", "/api-keys/none", nil).Want(http.StatusNotFound)
		c.API("DELETE", "/api-keys/none", nil).Want(http.StatusNotFound)
		c.API("DELETE", "/api-keys/somebody/ci", nil).Want(http.StatusNotFound)
	})

	t.Run("a manager gives no more than it has", func(t *testing.T) {
		var m apiKey
		c.API("POST", "/api-keys", map[string]any{
			"name":        "manager",
			"permissions": []string{"manage:api_keys", "write:sandboxes"},
		}).Want(http.StatusCreated).Into(&m)
		manager := s.As(t, m.Value)
		if a := manager.API("POST", "/api-keys", map[string]any{
			"name":        "x",
			"permissions": all,
		}).Want(http.StatusForbidden); !strings.Contains(a.Message(), "delete:sandboxes") {
			t.Errorf("refused with %q", a.Message())
		}
		manager.API("POST", "/api-keys", map[string]any{
			"name":        "less",
			"permissions": []string{"write:sandboxes"},
		}).Want(http.StatusCreated)
		manager.API("DELETE", "/api-keys/"+m.Name, nil).Want(http.StatusNoContent)
		manager.API("GET", "/api-keys/current", nil).Want(http.StatusUnauthorized)
	})

	var keys []apiKey
	c.API("GET", "/api-keys", nil).Want(http.StatusOK).Into(&keys)
	var first apiKey
	for _, k := range keys {
		if strings.HasPrefix(k.Name, "first key ") {
			first = k
		}
		if len(k.Value) > 30 || k.UserID == "" {
			t.Errorf("listed %+v", k)
		}
	}
	if len(keys) != 3 || first.Name == "" {
		t.Fatalf("keys %+v; want the first, ci and less", keys)
	}
	if a := c.API("DELETE", "/api-keys/"+strings.ReplaceAll(first.Name, " ", "%20"),
		nil); a.Status != http.StatusConflict || !strings.Contains(a.Message(), "api_key") {
		t.Errorf("the first key was deleted: %d %s", a.Status, a.Body)
	}
	c.API("DELETE", "/api-keys/"+first.UserID+"/ci", nil).Want(http.StatusNoContent)
	ci.API("GET", "/sandbox", nil).Want(http.StatusUnauthorized)
	if got := ci.At(contract.Toolbox(), "GET", box.ToolboxProxyURL+"/"+box.ID, "/version",
		nil); got.Status != http.StatusUnauthorized {
		t.Errorf("a deleted key at the proxy, where it had been let in: %d", got.Status)
	}

	var brief apiKey
	c.API("POST", "/api-keys", map[string]any{
		"name": "brief", "permissions": []string{},
		"expiresAt": time.Now().Add(2 * time.Second),
	}).Want(http.StatusCreated).Into(&brief)
	s.As(t, brief.Value).API("GET", "/sandbox", nil).Want(http.StatusOK)
	s.As(t, brief.Value).API("POST", "/sandbox", map[string]any{}).Want(http.StatusForbidden)
	harness.Until(t, 5*time.Second, "the key to expire", func() bool {
		return s.As(t, brief.Value).API("GET", "/sandbox", nil).Status == http.StatusUnauthorized
	})
}

// TestAReplacedFirstKeyIsVoid changes the setting api_key between two starts.
func TestAReplacedFirstKeyIsVoid(t *testing.T) {
	s := harness.Start(t, harness.Options{Image: harness.Image(t, "", harness.Busybox)})
	old := s.Key
	var made apiKey
	s.As(t, old).API("POST", "/api-keys", map[string]any{
		"name":        "made",
		"permissions": []string{"write:sandboxes"},
	}).Want(http.StatusCreated).Into(&made)
	if _, err := s.Terminate(15 * time.Second); err != nil {
		t.Fatal(err)
	}
	const replaced = "dtn_0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	s.SetEnv("SANDLOT_API_KEY=" + replaced)
	if err := s.Run(); err != nil {
		t.Fatal(err)
	}
	s.Key = replaced
	s.As(t, replaced).API("GET", "/sandbox", nil).Want(http.StatusOK)
	s.As(t, old).API("GET", "/sandbox", nil).Want(http.StatusUnauthorized)
	s.As(t, made.Value).API("GET", "/sandbox", nil).Want(http.StatusOK)
}
