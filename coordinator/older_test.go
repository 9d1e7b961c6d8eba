package coordinator_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
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

// TestToolboxCallsOfOlderClientsPassThrough sends toolbox calls to the control API, as clients before 0.113 do.
func TestToolboxCallsOfOlderClientsPassThrough(t *testing.T) {
	c := newControl(t)
	root := strings.TrimSuffix(c.url, "/api")
	for _, tc := range []struct{ name, method, path, want string }{
		{"a call", "POST", "/api/toolbox/b-1/toolbox/process/execute", "POST localhost /toolbox/b-1/process/execute"},
		{"its query", "GET", "/api/toolbox/b-1/toolbox/files?path=a%2Fb", "GET localhost /toolbox/b-1/files?path=a%2Fb"},
		{"its method", "PROPFIND", "/api/toolbox/b-1/toolbox/x", "PROPFIND localhost /toolbox/b-1/x"},
		{
			"its escapes", "GET", "/api/toolbox/b-1/toolbox/process/session/a%2Fb+c",
			"GET localhost /toolbox/b-1/process/session/a%2Fb+c",
		},
		{"an older name", "GET", "/api/toolbox/b-1/toolbox/project-dir", "GET localhost /toolbox/b-1/work-dir"},
		{"a preflight", "OPTIONS", "/api/toolbox/b-1/toolbox/files", "OPTIONS localhost /toolbox/b-1/files"},
		{
			"a folder named toolbox", "GET", "/api/toolbox/b-1/toolbox/proxy/1/toolbox/x",
			"GET localhost /toolbox/b-1/proxy/1/toolbox/x",
		},
		{"no toolbox call", "GET", "/api/toolbox/b-1/x", "404"},
		{"no sandbox", "GET", "/api/toolbox//toolbox/x", "404"},
		{"another path", "GET", "/api/toolbox/b-1/x/toolbox/y", "404"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r, err := http.NewRequestWithContext(t.Context(), tc.method, root+tc.path, strings.NewReader("body"))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Authorization", "Bearer of no concern to the control API")
			res, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			raw, _ := io.ReadAll(res.Body)
			if tc.want == "404" {
				if res.StatusCode != http.StatusNotFound {
					t.Errorf("%d %s", res.StatusCode, raw)
				}
			} else if want := tc.want + " Bearer of no concern to the control API body"; string(raw) != want {
				t.Errorf("the proxy was asked %q, want %q", raw, want)
			}
		})
	}
}

// TestAPassedThroughBodyHasItsTime has a body that takes longer than one of the control API may.
func TestAPassedThroughBodyHasItsTime(t *testing.T) {
	c := newControl(t)
	r, w := io.Pipe()
	go func() {
		_, _ = io.WriteString(w, "first ")
		<-time.After(2500 * time.Millisecond) // newControl's bodies have 2 s
		_, _ = io.WriteString(w, "last")
		_ = w.Close()
	}()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, c.url+"/toolbox/b-1/toolbox/files/upload", r)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if raw, err := io.ReadAll(res.Body); err != nil || !strings.HasSuffix(string(raw), " first last") {
		t.Errorf("%q, %v", raw, err)
	}
}
