package coordinator_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// listAs lists sandboxes as a release of the published clients.
func (c *control) listAs(sdk, query string) (int, string) {
	c.t.Helper()
	r, err := http.NewRequestWithContext(c.t.Context(), http.MethodGet, c.url+"/sandbox"+query, http.NoBody)
	if err != nil {
		c.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+firstKey)
	if sdk != "" {
		r.Header.Set("X-Daytona-SDK-Version", sdk)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		c.t.Fatal(err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return res.StatusCode, string(raw)
}

// TestOlderClientsListWholeSandboxes has clients before 0.104, which take a list without pages, and later ones.
func TestOlderClientsListWholeSandboxes(t *testing.T) {
	c := newControl(t)
	if status, answer := c.listAs("0.103.0", ""); status != http.StatusOK || answer != "[]" {
		t.Fatalf("without sandboxes: %d %s", status, answer)
	}
	want := []string{}
	for i := range 205 { // more than one page
		want = append(want, c.create(fmt.Sprintf(`{"env":{"N":"%d"},"labels":{"odd":"%d"}}`, i, i%2)))
	}
	slices.Sort(want)
	for _, tc := range []struct {
		sdk, query string
		count      int
	}{{"0.21.8", "", 205}, {"0.27.1", "?verbose=true", 205}, {
		"0.103.0", "?labels=%7B%22odd%22%3A%221%22%7D", 102,
	}, {"0.103.0", "?limit=3", 205}} {
		status, answer := c.listAs(tc.sdk, tc.query)
		var list []struct {
			ID   string
			User string
			Env  map[string]string
		}
		if err := json.Unmarshal([]byte(answer), &list); err != nil || status != http.StatusOK || len(list) != tc.count {
			t.Fatalf("%s %s: %d, %d sandboxes, %v: %.200s", tc.sdk, tc.query, status, len(list), err, answer)
		}
		ids := []string{}
		for _, box := range list {
			if ids = append(ids, box.ID); box.Env["N"] == "" || box.User == "" {
				t.Fatalf("%s: not a whole sandbox: %+v", tc.sdk, box)
			}
		}
		slices.Sort(ids)
		if tc.count == len(want) && !slices.Equal(ids, want) {
			t.Errorf("%s %s: other sandboxes than were made, or one twice", tc.sdk, tc.query)
		}
	}
	for _, sdk := range []string{"", "0.104.0", "0.226.1", "0.0.0-dev"} {
		if status, answer := c.listAs(sdk, ""); status != http.StatusOK || !strings.HasPrefix(answer, `{"items":[`) ||
			strings.Contains(answer, `"env"`) {
			t.Errorf("release %q: %d %.100s", sdk, status, answer)
		}
	}
	if status, answer := c.listAs("0.103.0", "?labels=nope"); status != http.StatusBadRequest {
		t.Errorf("labels that are none: %d %s", status, answer)
	}
}
