package coordinator_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sandlot-dev/sandlot/coordinator"
	"github.com/sandlot-dev/sandlot/coordinator/fleet"
	"github.com/sandlot-dev/sandlot/coordinator/store"
	"github.com/sandlot-dev/sandlot/coordinator/tenancy"
	"github.com/sandlot-dev/sandlot/internal/auth"
	"github.com/sandlot-dev/sandlot/internal/lifecycle"
)

const firstKey = "dtn_first"

// host is a runner whose sandboxes do at once what is asked. It counts what it is asked.
type host struct {
	mu    sync.Mutex
	asked int
}

func (h *host) answer(id string, state lifecycle.State) (lifecycle.Observed, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.asked++
	return lifecycle.Observed{ID: id, Seq: uint64(h.asked), State: state, DaemonVersion: "v1"}, nil
}

func (h *host) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.asked
}

func (h *host) Ready() error { return nil }

func (h *host) Create(_ context.Context, spec lifecycle.Spec) (lifecycle.Observed, error) {
	return h.answer(spec.ID, lifecycle.Started)
}

func (h *host) Start(_ context.Context, id string) (lifecycle.Observed, error) {
	return h.answer(id, lifecycle.Started)
}

func (h *host) Stop(_ context.Context, id string, _ bool) (lifecycle.Observed, error) {
	return h.answer(id, lifecycle.Stopped)
}

func (h *host) Remove(_ context.Context, id string) error {
	_, err := h.answer(id, lifecycle.Destroyed)
	return err
}

// control is a control API over a database of its own.
type control struct {
	t    *testing.T
	url  string
	addr string
	host *host
	db   *store.DB
	org  string
}

func newControl(t *testing.T) *control {
	t.Helper()
	db, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "sandlot.db"))
	if err != nil {
		t.Fatal(err)
	}
	tenants := tenancy.New(db, nil)
	if err := tenants.Begin(t.Context(), firstKey); err != nil {
		t.Fatal(err)
	}
	org, err := db.PersonalOrganization(t.Context(), tenancy.Administrator)
	if err != nil {
		t.Fatal(err)
	}
	snapshot := fleet.Snapshot{ID: "s", Name: "default", Image: "i", CPU: 1, Memory: 1, Disk: 1}
	if err := db.PutSnapshot(t.Context(), snapshot); err != nil {
		t.Fatal(err)
	}
	h, logger := &host{}, slog.New(slog.DiscardHandler)
	boxes, err := fleet.New(fleet.Config{
		Store: db, Runners: fleet.SoleRunner{ID: "r", Region: "us", Runner: h}, Region: "us", DefaultSnapshot: "default",
		MaxCPU: 4, MaxMemory: 4, MaxDisk: 4, Logger: logger,
	})
	if err != nil {
		t.Fatal(err)
	}
	toolboxes := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { // tells what it was asked
		_, _ = fmt.Fprintf(w, "%s %s %s %s ", r.Method, r.Host, r.URL.RequestURI(), r.Header.Get("Authorization"))
		_, _ = io.Copy(w, r.Body)
	})
	s, err := coordinator.New(coordinator.Config{
		Fleet: boxes, Tenancy: tenants, Ready: h.Ready, Toolboxes: toolboxes, Version: "v1", Region: "us", Runner: "r",
		DefaultSnapshot: "default", ToolboxURL: "http://t/toolbox", PreviewURL: "http://{{PORT}}-{{sandboxId}}.t",
		Previews: previews{}, Logger: logger,
	})
	if err != nil {
		t.Fatal(err)
	}
	s.SetBodiesWithin(2 * time.Second)
	ctx, end := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- boxes.Run(ctx) }()
	server := httptest.NewServer(s.Handler())
	t.Cleanup(func() {
		server.Close()
		end()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return &control{t: t, url: server.URL + "/api", addr: server.Listener.Addr().String(), host: h, db: db, org: org.ID}
}

// previews has addresses that tell what they were made of.
type previews struct{}

func (previews) Address(_ context.Context, sandbox string, port int, link string) (string, error) {
	return fmt.Sprintf("http://%d-%s.t/%s", port, sandbox, link), nil
}

// as calls with a key and returns status and body.
func (c *control) as(key, method, path, body string) (int, string) {
	c.t.Helper()
	r, err := http.NewRequestWithContext(c.t.Context(), method, c.url+path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+key)
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

func (c *control) call(method, path, body string) (int, string) {
	c.t.Helper()
	return c.as(firstKey, method, path, body)
}

// create makes a sandbox and returns its id.
func (c *control) create(body string) string {
	c.t.Helper()
	status, answer := c.call("POST", "/sandbox", body)
	var box struct{ ID string }
	if err := json.Unmarshal([]byte(answer), &box); err != nil || status != http.StatusOK {
		c.t.Fatalf("create: %d %s", status, answer)
	}
	return box.ID
}

// everything is all records of the organisation.
func (c *control) everything() string {
	c.t.Helper()
	list, _, err := c.db.ListSandboxes(c.t.Context(), fleet.Query{Organization: c.org, Sort: fleet.SortID, Limit: 1000})
	if err != nil {
		c.t.Fatal(err)
	}
	return fmt.Sprintf("%+v", list)
}

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

// TestRefusalsAreShort has callers whose words are refused, and are much longer than an answer should be.
func TestRefusalsAreShort(t *testing.T) {
	c := newControl(t)
	long := strings.Repeat("9", 1<<20-200)
	for _, tc := range []struct{ method, path, body string }{
		{"POST", "/sandbox", `{"env":{"=` + long + `":""}}`},
		{"POST", "/sandbox", `{"cpu":` + long + `}`},
		{"POST", "/sandbox", `{"name":` + long + `}`},
		{"POST", "/sandbox", `{"snapshot":"` + long + `"}`},
		{"POST", "/api-keys", `{"name":"x","permissions":["` + long + `"]}`},
		{"POST", "/api-keys", `{"name":"x","permissions":[],"expiresAt":"` + long + `"}`},
		{"GET", "/sandbox?limit=" + long[:50000], ""},
		{"GET", "/sandbox/" + long[:50000], ""},
		{"GET", "/regions/" + long[:50000], ""},
	} {
		status, answer := c.call(tc.method, tc.path, tc.body)
		var body struct{ Message string }
		if err := json.Unmarshal([]byte(answer), &body); err != nil || status >= 500 || status < 400 ||
			len(body.Message) > 9000 || body.Message == "" {
			t.Errorf("%s %.30s %.40s: %d with a message of %d bytes, %v", tc.method, tc.path, tc.body, status,
				len(body.Message), err)
		}
	}
}

// TestKeysAskForWhatTheyNeed has keys that would be less, or more, than was meant.
func TestKeysAskForWhatTheyNeed(t *testing.T) {
	c := newControl(t)
	for _, body := range []string{
		`{"name":"no permissions"}`, `{"name":"no list","permissions":null}`,
		`{"name":"year one","permissions":[],"expiresAt":"0001-01-01T00:00:00Z"}`,
		`{"name":"first key 12345678","permissions":[]}`, `{"name":"..","permissions":[]}`,
	} {
		if status, answer := c.call("POST", "/api-keys", body); status != http.StatusBadRequest {
			t.Errorf("%s: %d %s, want 400", body, status, answer)
		}
	}
}

// TestAStalledBodyIsAnswered has callers that announce a body and never send it, with and without a key, to routes
// that read one and that do not.
func TestAStalledBodyIsAnswered(t *testing.T) {
	c := newControl(t)
	for name, head := range map[string]string{
		"without a key":       "POST /api/sandbox HTTP/1.1\r\n",
		"no such route":       "POST /api/nothing HTTP/1.1\r\n",
		"a route without one": "GET /api/users/me HTTP/1.1\r\nAuthorization: Bearer " + firstKey + "\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var d net.Dialer
			conn, err := d.DialContext(t.Context(), "tcp", c.addr)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
			_, _ = fmt.Fprintf(conn, "%sHost: x\r\nContent-Length: 10\r\n\r\n", head)
			if answer, err := bufio.NewReader(conn).ReadString('\n'); err != nil {
				t.Errorf("answered with %q, %v", answer, err)
			}
		})
	}
}

// TestKeysAreListedByUse lists by last use, and what was never used by age.
func TestKeysAreListedByUse(t *testing.T) {
	c := newControl(t)
	var values []string
	for _, name := range []string{"a", "b", "c", "d"} {
		status, answer := c.call("POST", "/api-keys", `{"name":"`+name+`","permissions":["read:volumes","read:volumes"]}`)
		var made struct {
			Value       string
			Permissions []string
		}
		if err := json.Unmarshal([]byte(answer), &made); err != nil || status != http.StatusCreated ||
			len(made.Permissions) != 1 {
			t.Fatalf("%d %s", status, answer)
		}
		values = append(values, made.Value)
	}
	for _, i := range []int{2, 0} {
		if status, answer := c.as(values[i], "GET", "/users/me", ""); status != http.StatusOK {
			t.Fatalf("%d %s", status, answer)
		}
	}
	_, answer := c.call("GET", "/api-keys", "")
	var list []struct{ Name, Value string }
	if err := json.Unmarshal([]byte(answer), &list); err != nil {
		t.Fatalf("%s: %v", answer, err)
	}
	var names []string
	for _, k := range list {
		if !strings.HasPrefix(k.Name, "first key ") {
			names = append(names, k.Name)
		}
	}
	if got := strings.Join(names, " "); got != "a c d b" || len(list) != 5 {
		t.Errorf("listed %s of %d, want a c d b: the last used first, then the youngest", got, len(list))
	}
	for _, v := range values {
		if strings.Contains(answer, v) {
			t.Errorf("the list tells a key: %s", answer)
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
