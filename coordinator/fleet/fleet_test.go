package fleet_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sandlot-dev/sandlot/coordinator/fleet"
	"github.com/sandlot-dev/sandlot/coordinator/fleet/fleettest"
	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/internal/lifecycle"
)

const org = "org"

// memory is a Store whose changes can be made to fail.
type memory struct {
	*fleettest.Memory

	mu      sync.Mutex
	fail    error          // of every change of ids that are not in spare
	spare   string         // of whose changes fail is not
	touched map[string]int // writes of activity, by sandbox
	writes  int            // of activity
	scans   int            // readings of all sandboxes
}

func newMemory(t *testing.T) *memory {
	t.Helper()
	m := &memory{Memory: fleettest.NewMemory(), touched: map[string]int{}}
	if err := m.PutSnapshot(t.Context(),
		fleet.Snapshot{ID: "s", Name: "default", Image: "img", CPU: 1, Memory: 1, Disk: 3}); err != nil {
		t.Fatal(err)
	}
	return m
}

func (m *memory) ChangeSandbox(
	ctx context.Context, id string, change func(*fleet.Sandbox) error,
) (fleet.Sandbox, error) {
	m.mu.Lock()
	fail := m.fail
	if id == m.spare {
		fail = nil
	}
	m.mu.Unlock()
	if fail != nil {
		return fleet.Sandbox{}, fail
	}
	return m.Memory.ChangeSandbox(ctx, id, change)
}

func (m *memory) set(change func(*memory)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	change(m)
}

func (m *memory) PutActivity(ctx context.Context, last map[string]time.Time) error {
	m.mu.Lock()
	m.writes++
	for id := range last {
		m.touched[id]++
	}
	fail := m.fail
	m.mu.Unlock()
	if fail != nil {
		return fail
	}
	return m.Memory.PutActivity(ctx, last)
}

func (m *memory) SandboxesOn(ctx context.Context, runner string) ([]fleet.Sandbox, error) {
	m.set(func(m *memory) { m.scans++ })
	return m.Memory.SandboxesOn(ctx, runner)
}

// calls returns how often activity was written and all sandboxes were read.
func (m *memory) calls() (writes, scans int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.writes, m.scans
}

// count returns how many records there are.
func (m *memory) count(t *testing.T) int {
	t.Helper()
	all, err := m.SandboxesOn(t.Context(), "r")
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

// host is a Runner that keeps its sandboxes in a map.
type host struct {
	mu     sync.Mutex
	has    map[string]lifecycle.State
	down   error
	took   time.Duration // each call lasts so long
	fail   error         // of the next create or start
	forced bool          // the last stop was
	seq    uint64
	found  map[string]lifecycle.Observed // the newest of each
	begun  func(id string)               // called when a start has its result, before that is returned
}

func newHost() *host {
	return &host{has: map[string]lifecycle.State{}, found: map[string]lifecycle.Observed{}}
}

func (h *host) Ready() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.down
}

func (h *host) put(ctx context.Context, id string, to lifecycle.State) (lifecycle.Observed, error) {
	h.mu.Lock()
	took, fail := h.took, h.fail
	if h.down != nil {
		fail = h.down
	}
	h.fail = nil
	h.mu.Unlock()
	select {
	case <-time.After(took):
	case <-ctx.Done():
		return lifecycle.Observed{}, ctx.Err()
	}
	if fail != nil {
		return lifecycle.Observed{}, fail
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.seeLocked(id, to, lifecycle.Unknown, ""), nil
}

// seeLocked makes a finding.
func (h *host) seeLocked(id string, state lifecycle.State, cause lifecycle.Cause, reason string) lifecycle.Observed {
	h.seq++
	h.has[id] = state
	h.found[id] = lifecycle.Observed{ID: id, Seq: h.seq, State: state, Cause: cause, Reason: reason, DaemonVersion: "v1"}
	return h.found[id]
}

// see has a sandbox change without having been asked to, and returns the report of it.
func (h *host) see(id string, state lifecycle.State, cause lifecycle.Cause, reason string) lifecycle.Report {
	h.mu.Lock()
	defer h.mu.Unlock()
	return lifecycle.Report{Runner: "r", Sandboxes: []lifecycle.Observed{h.seeLocked(id, state, cause, reason)}}
}

func (h *host) Create(ctx context.Context, spec lifecycle.Spec) (lifecycle.Observed, error) {
	return h.put(ctx, spec.ID, lifecycle.Started)
}

func (h *host) Start(ctx context.Context, id string) (lifecycle.Observed, error) {
	h.mu.Lock()
	_, there := h.has[id]
	h.mu.Unlock()
	if !there {
		return lifecycle.Observed{}, fault.New(fault.NotFound, "no such container")
	}
	o, err := h.put(ctx, id, lifecycle.Started)
	if h.begun != nil {
		h.begun(id)
	}
	return o, err
}

func (h *host) Stop(ctx context.Context, id string, force bool) (lifecycle.Observed, error) {
	h.mu.Lock()
	h.forced = force
	h.mu.Unlock()
	return h.put(ctx, id, lifecycle.Stopped)
}

func (h *host) Remove(_ context.Context, id string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.down != nil {
		return h.down
	}
	delete(h.has, id)
	return nil
}

func (h *host) set(change func(*host)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	change(h)
}

func (h *host) report() lifecycle.Report {
	h.mu.Lock()
	defer h.mu.Unlock()
	r := lifecycle.Report{Runner: "r", Full: true, Seq: h.seq}
	for id := range h.has {
		r.Sandboxes = append(r.Sandboxes, h.found[id])
	}
	return r
}

func manager(t *testing.T, db fleet.Store, h *host) *fleet.Manager {
	t.Helper()
	m, err := fleet.New(fleet.Config{
		Store: db, Runners: fleet.SoleRunner{ID: "r", Region: "us", Runner: h}, Region: "us", DefaultSnapshot: "default",
		MaxCPU: 4, MaxMemory: 8, MaxDisk: 10, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// world runs do with a fleet on a fake host, in a bubble where time is free, and checks that nothing outlives the
// fleet.
func world(t *testing.T, do func(t *testing.T, m *fleet.Manager, h *host, db *memory)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		db := newMemory(t)
		h := newHost()
		m := manager(t, db, h)
		ctx, end := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- m.Run(ctx) }()
		report(t, m, h.report())
		do(t, m, h, db)
		end()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func create(t *testing.T, m *fleet.Manager, req fleet.Request) fleet.Sandbox {
	t.Helper()
	req.Organization = org
	s, err := m.Create(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func mustBe(t *testing.T, m *fleet.Manager, id string, want lifecycle.State) fleet.Sandbox {
	t.Helper()
	synctest.Wait()
	s, err := m.ByID(t.Context(), id)
	switch {
	case want == lifecycle.Destroyed && errors.Is(err, fleet.ErrNotFound):
	case err != nil || s.Shown() != want:
		t.Fatalf("sandbox is %q (%q), %v; want %s", s.Shown(), s.Reason, err, want)
	}
	return s
}

func TestMemory(t *testing.T) {
	fleettest.Store(t, func(*testing.T) (fleet.Store, string) { return fleettest.NewMemory(), org })
}

// TestHost holds the fake host to what a real one is held to.
func TestHost(t *testing.T) {
	fleettest.Runner(t, func(*testing.T) (fleet.Runner, string) { return newHost(), "image" })
}

func report(t *testing.T, m *fleet.Manager, r lifecycle.Report) {
	t.Helper()
	if deleted, err := m.Report(t.Context(), r); err != nil || len(deleted) > 0 {
		t.Errorf("report %+v: %v is to be removed, %v", r, deleted, err)
	}
}
