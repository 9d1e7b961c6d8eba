package coordinator_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

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
