package coordinator_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sandlot-dev/sandlot/coordinator"
	"github.com/sandlot-dev/sandlot/coordinator/fleet"
	"github.com/sandlot-dev/sandlot/coordinator/store"
	"github.com/sandlot-dev/sandlot/coordinator/tenancy"
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
