//go:build e2e

package e2e_test

import (
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sandlot-dev/sandlot/tests/contract"
	"github.com/sandlot-dev/sandlot/tests/harness"
)

const unknown = "00000000-0000-4000-8000-000000000000"

func TestWrongKeyIs401(t *testing.T) {
	s, c := small.up(t)
	box := c.Create(nil)
	for _, tc := range []struct{ name, key string }{
		{"no key", ""},
		{"unknown key", "dtn_" + strings.Repeat("0", 64)},
		{"a prefix of the key", s.Key[:len(s.Key)-1]},
		{"the key and more", s.Key + "0"},
		{"something like a JWT", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.x"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			bad := s.As(t, tc.key)
			a := bad.API("GET", "/sandbox", nil).Want(http.StatusUnauthorized)
			if a.Code() == "" || a.Message() == "" || strings.Contains(string(a.Body), s.Key) {
				t.Errorf("body of the 401: %s", a.Body)
			}
			bad.API("POST", "/sandbox", map[string]any{}).Want(http.StatusUnauthorized)
			bad.API("DELETE", "/sandbox/"+box.ID, nil).Want(http.StatusUnauthorized)
			bad.At(contract.Toolbox(), "GET", box.ToolboxProxyURL+"/"+box.ID, "/version", nil).Want(http.StatusUnauthorized)
			bad.API("GET", "/config", nil).Want(http.StatusOK)
			bad.API("GET", "/health", nil).Want(http.StatusOK)
		})
	}
	box.Refresh()
}

func TestUnknownSandboxIs404(t *testing.T) {
	_, c := small.up(t)
	for _, ref := range []string{unknown, "no-such-name", "not%20a%2Fname"} {
		for _, call := range []string{
			"GET /sandbox/%s", "DELETE /sandbox/%s", "POST /sandbox/%s/start", "POST /sandbox/%s/stop",
			"POST /sandbox/%s/autostop/5",
			"POST /sandbox/%s/autoarchive/5", "POST /sandbox/%s/autodelete/5", "POST /sandbox/%s/public/true",
			"GET /sandbox/%s/ports/3000/preview-url", "GET /sandbox/%s/toolbox-proxy-url", "POST /sandbox/%s/last-activity",
		} {
			method, path, _ := strings.Cut(call, " ")
			a := c.API(method, fmt.Sprintf(path, ref), nil)
			if a.Status != http.StatusNotFound || strings.HasPrefix(a.Message(), "Cannot ") {
				t.Errorf("%s %s: %d %s, want 404 of the sandbox", method, path, a.Status, a.Body)
			}
		}
		c.API("PUT", "/sandbox/"+ref+"/labels", map[string]any{"labels": map[string]string{}}).Want(http.StatusNotFound)
	}
	s, _ := small.up(t)
	c.At(contract.Toolbox(), "GET", "http://"+s.Proxy+"/toolbox/"+unknown, "/version", nil).Want(http.StatusNotFound)
}

func TestUnknownRouteSaysSo(t *testing.T) {
	_, c := small.up(t)
	if a := c.API("POST", "/no/such/route",
		nil).Want(http.StatusNotFound); a.Message() != "Cannot POST /api/no/such/route" {
		t.Errorf("message %q", a.Message())
	}
}

func TestNameTakenIs409(t *testing.T) {
	_, c := small.up(t)
	box := c.Create(map[string]any{"name": "only-one"})
	c.API("POST", "/sandbox", map[string]any{"name": "only-one"}).Want(http.StatusConflict)
	if got := c.API("GET", "/sandbox/only-one", nil).Want(http.StatusOK); !strings.Contains(string(got.Body), box.ID) {
		t.Errorf("the name finds another sandbox: %s", got.Body)
	}
	c.API("DELETE", "/sandbox/"+box.ID, nil).Want(http.StatusOK)
	again := c.Create(map[string]any{"name": "only-one"}) // free at once
	if again.ID == box.ID {
		t.Error("the second sandbox has the first one's id")
	}
}

func TestBadCreateIs400NamingFieldAndRange(t *testing.T) {
	_, c := small.up(t)
	for _, tc := range []struct {
		name string
		body any
		want string // pattern of the message
	}{
		{"negative cpu", map[string]any{"cpu": -1}, `cpu.*\b1\b.*\d`},
		{"cpu over the limit", map[string]any{"cpu": 100000}, `cpu.*\b1\b.*\d`},
		{"memory over the limit", map[string]any{"memory": 1 << 40}, `memory.*\b1\b.*\d`},
		{"disk over the limit", map[string]any{"disk": 1 << 40}, `disk.*\b1\b.*\d`},
		{"half a core", map[string]any{"cpu": 0.5}, `cpu`},
		{"cpu in words", map[string]any{"cpu": "two"}, `cpu`},
		{"negative auto-stop", map[string]any{"autoStopInterval": -5}, `autoStopInterval.*\b0\b.*\d`},
		{"negative auto-archive", map[string]any{"autoArchiveInterval": -5}, `autoArchiveInterval.*\b0\b.*\d`},
		{"fraction of a minute", map[string]any{"autoStopInterval": 1.5}, `autoStopInterval`},
		{"env is no map", map[string]any{"env": []string{"A=b"}}, `env`},
		{"env with a number", map[string]any{"env": map[string]any{"A": 1}}, `env`},
		{"env with a bad name", map[string]any{"env": map[string]any{"A=B": "c"}}, `env`},
		{"env with a NUL", map[string]any{"env": map[string]any{"A": "b\x00c"}}, `env`},
		{"labels with a number", map[string]any{"labels": map[string]any{"a": 1}}, `labels`},
		{"name with markup", map[string]any{"name": "<b>a</b>"}, `name`},
		{"name with a control character", map[string]any{"name": "a\nb"}, `name`},
		{"unknown snapshot", map[string]any{"snapshot": "no-such-snapshot"}, `no-such-snapshot`},
		{"a list for the body", []any{}, `object`},
		{"no JSON", strings.NewReader("{"), `JSON`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := c.API("POST", "/sandbox", tc.body).Want(http.StatusBadRequest)
			if !regexp.MustCompile(tc.want).MatchString(a.Message()) {
				t.Errorf("message %q, want it to match %s", a.Message(), tc.want)
			}
		})
	}
	c.API("POST", "/sandbox", map[string]any{"target": "no-such-region"}).Want(http.StatusNotFound)
	if left, err := leftOver(t, c); err != nil || len(left) > 0 {
		t.Errorf("a refused create left sandboxes: %v %v", left, err)
	}
}

// leftOver is sandboxes in no settled state, and errored ones.
func leftOver(t *testing.T, c *harness.Conn) ([]string, error) {
	t.Helper()
	var page struct{ Items []struct{ ID, State string } }
	c.API("GET", "/sandbox?includeErroredDeleted=true", nil).Want(http.StatusOK).Into(&page)
	var left []string
	for _, box := range page.Items {
		if box.State != "started" && box.State != "stopped" && box.State != "destroying" {
			left = append(left, box.ID+" "+box.State)
		}
	}
	return left, nil
}

func TestCreateTakesWhatClientsSend(t *testing.T) {
	_, c := small.up(t)
	for name, body := range map[string]any{
		"an empty object": map[string]any{},
		"unknown fields":  map[string]any{"notYetInvented": map[string]any{"a": 1}, "kvm": false, "queueTimeout": 5},
		"blank snapshot":  map[string]any{"snapshot": " "},
		"nulls":           map[string]any{"name": nil, "env": nil, "labels": nil, "cpu": nil, "autoStopInterval": nil},
		"zero sizes":      map[string]any{"cpu": 0, "memory": 0, "disk": 0},
		"no content type": strings.NewReader(`{"labels":{"a":"b"}}`),
	} {
		t.Run(name, func(t *testing.T) {
			var box harness.Box
			a := c.API("POST", "/sandbox", body).Want(http.StatusOK)
			a.Into(&box)
			defer c.API("DELETE", "/sandbox/"+box.ID, nil).Want(http.StatusOK)
			if box.State != "started" || box.Name != box.ID || box.CPU < 1 || box.Memory < 1 || box.Disk < 1 {
				t.Errorf("answer: %s", a.Body)
			}
		})
	}
}

func TestGetByIDAndName(t *testing.T) {
	_, c := small.up(t)
	box := c.Create(map[string]any{"name": "a name with spaces é", "labels": map[string]string{"x": "y"}})
	for _, ref := range []string{box.ID, "a%20name%20with%20spaces%20%C3%A9"} {
		var got harness.Box
		c.API("GET", "/sandbox/"+ref+"?verbose=true", nil).Want(http.StatusOK).Into(&got)
		if got.ID != box.ID || got.Labels["x"] != "y" || got.State != "started" {
			t.Errorf("%s: %+v", ref, got)
		}
	}
	var url struct{ URL string }
	c.API("GET", "/sandbox/"+box.ID+"/toolbox-proxy-url", nil).Want(http.StatusOK).Into(&url)
	if url.URL == "" || url.URL != box.ToolboxProxyURL {
		t.Errorf("toolbox-proxy-url %q, in the sandbox %q", url.URL, box.ToolboxProxyURL)
	}
	c.API("GET", "/sandbox/"+box.ID+"/last-activity", nil).Want(http.StatusNotFound)
	c.API("POST", "/sandbox/"+box.ID+"/last-activity", nil).Want(http.StatusCreated)
}

func TestListFilters(t *testing.T) {
	_, c := small.up(t)
	one := c.Create(map[string]any{"name": "filter-one", "labels": map[string]string{"run": "f", "n": "1"}})
	two := c.Create(map[string]any{"name": "filter-two", "labels": map[string]string{"run": "f", "n": "2"}})
	c.API("POST", "/sandbox/"+two.ID+"/stop", nil).Want(http.StatusOK)
	two.WaitState("stopped")
	list := func(query string) []string {
		var page struct{ Items []struct{ ID string } }
		c.API("GET", "/sandbox"+query, nil).Want(http.StatusOK).Into(&page)
		ids := []string{}
		for _, item := range page.Items {
			ids = append(ids, item.ID)
		}
		slices.Sort(ids)
		return ids
	}
	both := []string{one.ID, two.ID}
	slices.Sort(both)
	for query, want := range map[string][]string{
		harness.Query("labels", `{"run":"f"}`):                                         both,
		harness.Query("labels", `{"run":"f","n":"1"}`):                                 {one.ID},
		harness.Query("labels", `{"run":"f","n":"3"}`):                                 {},
		harness.Query("labels", `{"run":"f"}`, "states", "stopped"):                    {two.ID},
		harness.Query("labels", `{"run":"f"}`, "states", "stopped", "states", "error"): {two.ID},
		harness.Query("name", "FILTER-"):                                               both,
		harness.Query("name", "filter-o"):                                              {one.ID},
		harness.Query("name", "ilter"):                                                 {},
		harness.Query("id", strings.ToUpper(one.ID[:13])):                              {one.ID},
		harness.Query("labels", `{"run":"f"}`, "limit", "1.0"):                         nil, // one of them, whichever
	} {
		got := list(query)
		if want == nil && len(got) == 1 {
			continue
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", query, got, want)
		}
	}
	for _, query := range []string{
		harness.Query("labels", "{"), harness.Query("labels", `["a"]`), harness.Query("states", "asleep"),
		harness.Query("limit", "0"),
		harness.Query("limit", "201"), harness.Query("limit", "1.5"), harness.Query("cursor", "%%%"),
		harness.Query("sort", "colour"),
	} {
		c.API("GET", "/sandbox"+query, nil).Want(http.StatusBadRequest)
	}
	var got struct{ Labels map[string]string }
	want := map[string]string{"run": "g", "ü": "ä"}
	c.API("PUT", "/sandbox/"+one.ID+"/labels", map[string]any{"labels": want}).Want(http.StatusOK).Into(&got)
	if !maps.Equal(got.Labels, want) || !maps.Equal(one.Refresh().Labels, want) {
		t.Errorf("labels %v, then %v; want %v", got.Labels, one.Labels, want)
	}
	if got := list(harness.Query("labels", `{"run":"f"}`)); !slices.Equal(got, []string{two.ID}) {
		t.Errorf("after the change of labels: %v", got)
	}
}

func TestPagination(t *testing.T) {
	_, c := small.up(t)
	want := []string{}
	for i := range 5 {
		want = append(want, c.Create(map[string]any{
			"name":   fmt.Sprintf("page-%d", i),
			"labels": map[string]string{"run": "p"},
		}).ID)
	}
	slices.Sort(want)
	for _, order := range []string{
		"", "&sort=name&order=asc", "&sort=createdAt&order=desc",
		"&sort=lastActivityAt&order=asc", "&sort=cpu",
	} {
		var got []string
		cursor, pages := "", 0
		for pages = 1; pages < 9; pages++ {
			var page struct {
				Items      []struct{ ID, Name string }
				NextCursor *string
			}
			query := harness.Query("labels", `{"run":"p"}`, "limit", "2") + order
			if cursor != "" {
				query += "&" + harness.Query("cursor", cursor)[1:]
			}
			c.API("GET", "/sandbox"+query, nil).Want(http.StatusOK).Into(&page)
			for _, item := range page.Items {
				got = append(got, item.ID)
			}
			if page.NextCursor == nil {
				break
			}
			cursor = *page.NextCursor
		}
		slices.Sort(got)
		if pages != 3 || !slices.Equal(got, want) {
			t.Errorf("order %q: %d pages with %v, want 3 with each of %v once", order, pages, got, want)
		}
	}
	var old struct {
		Items                   []struct{ ID string }
		Total, Page, TotalPages int
	}
	c.API("GET", "/sandbox/paginated"+harness.Query("labels", `{"run":"p"}`, "page", "3", "limit", "2"),
		nil).Want(http.StatusOK).Into(&old)
	if len(old.Items) != 1 || old.Total != 5 || old.Page != 3 || old.TotalPages != 3 {
		t.Errorf("paginated: %+v", old)
	}
}

func TestIntervalsReadBack(t *testing.T) {
	_, c := small.up(t)
	box := c.Create(map[string]any{"autoStopInterval": 30, "autoArchiveInterval": 120, "autoDeleteInterval": 60})
	check := func(stop, archive, del int) {
		t.Helper()
		box.Refresh()
		if box.AutoStopInterval != stop || box.AutoArchive != archive || box.AutoDeleteInterval != del {
			t.Errorf("intervals %d, %d, %d; want %d, %d, %d", box.AutoStopInterval, box.AutoArchive, box.AutoDeleteInterval,
				stop, archive, del)
		}
	}
	check(30, 120, 60)
	for _, path := range []string{"autostop/45", "autoarchive/30.0", "autodelete/-1"} {
		c.API("POST", "/sandbox/"+box.ID+"/"+path, nil).Want(http.StatusOK)
	}
	check(45, 30, -1)
	for _, path := range []string{"autostop/0", "autoarchive/0", "autodelete/-7"} {
		c.API("POST", "/sandbox/"+box.ID+"/"+path, nil).Want(http.StatusOK)
	}
	check(0, 43200, -1)
	for _, path := range []string{
		"autostop/-1", "autostop/x", "autostop/1.5", "autoarchive/-1", "autodelete/x",
		"autostop/99999999999999999999",
	} {
		a := c.API("POST", "/sandbox/"+box.ID+"/"+path, nil).Want(http.StatusBadRequest)
		if !strings.Contains(a.Message(), "nterval") {
			t.Errorf("%s: message %q does not name the interval", path, a.Message())
		}
	}
	check(0, 43200, -1)
}

func TestStartAndStopMayBeRepeated(t *testing.T) {
	_, c := small.up(t)
	box := c.Create(nil)
	box.MustExec("echo kept > /root/file")
	c.API("POST", "/sandbox/"+box.ID+"/start", nil).Want(http.StatusOK)
	for range 2 {
		c.API("POST", "/sandbox/"+box.ID+"/stop", nil).Want(http.StatusOK)
		box.WaitState("stopped")
	}
	a := box.Toolbox("GET", "/version", nil)
	if a.Status != http.StatusConflict && a.Status != http.StatusBadRequest && a.Status != http.StatusServiceUnavailable {
		t.Errorf("toolbox of a stopped sandbox: %d %s", a.Status, a.Body)
	}
	for range 2 {
		var again harness.Box
		c.API("POST", "/sandbox/"+box.ID+"/start", nil).Want(http.StatusOK).Into(&again)
		if again.State != "started" {
			t.Errorf("start answers state %q, want started", again.State)
		}
	}
	if got := box.MustExec("cat /root/file"); got != "kept" {
		t.Errorf("the file system was not kept: %q", got)
	}
	c.API("POST", "/sandbox/"+box.ID+"/stop?force=true", nil).Want(http.StatusOK)
	box.WaitState("stopped")
}

func TestDeleteInEveryState(t *testing.T) {
	s, c := small.up(t)
	stopped := c.Create(nil)
	c.API("POST", "/sandbox/"+stopped.ID+"/stop", nil).Want(http.StatusOK)
	stopped.WaitState("stopped")
	stopping := c.Create(nil)
	c.API("POST", "/sandbox/"+stopping.ID+"/stop", nil).Want(http.StatusOK)
	for name, box := range map[string]*harness.Box{"started": c.Create(nil), "stopped": stopped, "stopping": stopping} {
		c.API("DELETE", "/sandbox/"+box.ID, nil).Want(http.StatusOK)
		if got := box.WaitState("gone"); got != "gone" {
			t.Errorf("%s: %s", name, got)
		}
		c.API("DELETE", "/sandbox/"+box.ID, nil).Want(http.StatusNotFound)
		left, err := s.Docker("ps", "-aq", "--filter", "name="+box.ID)
		if err != nil || left != "" {
			t.Errorf("%s: container %q is left, %v", name, left, err)
		}
	}
}

func TestEphemeralIsDeletedWhenItStops(t *testing.T) {
	_, c := small.up(t)
	asked := c.Create(map[string]any{"autoDeleteInterval": 0})
	c.API("POST", "/sandbox/"+asked.ID+"/stop", nil).Want(http.StatusOK)
	asked.WaitState("gone")
}

func TestAutoStop(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for a minute")
	}
	t.Parallel()
	_, c := small.up(t)
	idle := c.Create(map[string]any{"autoStopInterval": 1, "labels": map[string]string{"run": "idle"}})
	busy := c.Create(map[string]any{"autoStopInterval": 1, "labels": map[string]string{"run": "busy"}})
	began := time.Now()
	harness.Until(t, 90*time.Second, "an idle sandbox to stop", func() bool {
		busy.Toolbox("GET", "/version", nil).Want(http.StatusOK)
		var page struct{ Items []struct{ ID, State string } }
		c.API("GET", "/sandbox"+harness.Query("labels", `{"run":"idle"}`), nil).Want(http.StatusOK).Into(&page)
		return len(page.Items) == 1 && page.Items[0].ID == idle.ID && page.Items[0].State == "stopped"
	})
	if took := time.Since(began); took < 55*time.Second {
		t.Errorf("stopped after %s of a minute", took)
	}
	if busy.Refresh().State != "started" {
		t.Errorf("the sandbox in use is %s", busy.State)
	}
}

func TestOutsideChangesAreSeen(t *testing.T) {
	s, c := small.up(t)
	killed, removed := c.Create(nil), c.Create(nil)
	if _, err := s.Docker("kill", killed.ID); err != nil {
		t.Fatal(err)
	}
	killed.WaitState("stopped", "error")
	if _, err := s.Docker("rm", "-f", removed.ID); err != nil {
		t.Fatal(err)
	}
	removed.WaitState("error", "stopped", "gone")
	c.API("DELETE", "/sandbox/"+killed.ID, nil).Want(http.StatusOK)
	killed.WaitState("gone")
	if removed.WaitState("error", "stopped", "gone") != "gone" {
		c.API("DELETE", "/sandbox/"+removed.ID, nil).Want(http.StatusOK)
		removed.WaitState("gone")
	}
}

func TestRestartKeepsSandboxes(t *testing.T) {
	s := harness.Start(t, harness.Options{Image: harness.Image(t, "", harness.Busybox)})
	c := s.As(t, s.Key)
	running, stopped := c.Create(map[string]any{"name": "running"}), c.Create(map[string]any{"name": "stopped"})
	running.MustExec("echo here > /tmp/file")
	c.API("POST", "/sandbox/"+stopped.ID+"/stop", nil).Want(http.StatusOK)
	stopped.WaitState("stopped")
	if took, err := s.Terminate(10 * time.Second); err != nil {
		t.Fatalf("after %s: %v", took, err)
	}
	if err := s.Run(); err != nil {
		t.Fatal(err)
	}
	if got := running.Refresh().State; got != "started" {
		t.Errorf("running sandbox is %q after a restart", got)
	}
	if got := running.MustExec("cat /tmp/file"); got != "here" {
		t.Errorf("file after a restart: %q", got)
	}
	if got := stopped.Refresh().State; got != "stopped" {
		t.Errorf("stopped sandbox is %q after a restart", got)
	}
	c.API("POST", "/sandbox/stopped/start", nil).Want(http.StatusOK)
	stopped.MustExec("true")
}

func TestKeyIsNowhereInClear(t *testing.T) {
	s := harness.Start(t, harness.Options{Image: harness.Image(t, "", harness.Busybox)})
	s.As(t, s.Key).API("GET", "/api-keys/current", nil).Want(http.StatusOK)
	if log := s.Process.Tail(); strings.Contains(log, s.Key) {
		t.Error("the log holds the API key")
	}
	out, err := harness.Run(nil, nil, "grep", "-rlaF", "--include=*.db*", "--include=*.sqlite*", s.Key, s.Data)
	if err == nil {
		t.Errorf("the database holds the key in clear: %s", out)
	}
}
