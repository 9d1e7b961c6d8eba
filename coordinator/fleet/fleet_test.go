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

func TestCreateAnswersWhenStarted(t *testing.T) {
	world(t, func(t *testing.T, m *fleet.Manager, h *host, _ *memory) {
		h.took = 300 * time.Millisecond
		s := create(t, m, fleet.Request{Name: "a"})
		if s.State != lifecycle.Started || s.Desired != lifecycle.Started || s.DaemonVersion != "v1" || s.CPU != 1 ||
			s.AutoStop != 15 || s.AutoDelete != -1 {
			t.Errorf("created = %+v", s)
		}
		if _, err := m.Create(t.Context(), fleet.Request{Organization: org, Name: "a"}); !errors.Is(err, fleet.ErrNameTaken) {
			t.Errorf("same name again: %v, want ErrNameTaken", err)
		}
	})
}

func TestCreateHoldsNoLongerThanClientsDo(t *testing.T) {
	world(t, func(t *testing.T, m *fleet.Manager, h *host, _ *memory) {
		h.took = 30 * time.Second
		began := time.Now()
		s := create(t, m, fleet.Request{})
		if took := time.Since(began); s.Shown() != lifecycle.Creating || took != 8*time.Second {
			t.Errorf("answered %s after %v, want creating after 8s", s.Shown(), took)
		}
		time.Sleep(30 * time.Second)
		mustBe(t, m, s.ID, lifecycle.Started)
	})
}

func TestFailedCreateLeavesNothing(t *testing.T) {
	for name, fail := range map[string]error{
		"bad image":   fault.New(fault.Invalid, "no such image"),
		"disk full":   fault.New(fault.Full, "no room"),
		"engine lost": fault.New(fault.Unavailable, "gone"),
		"unknown":     errors.New("odd"),
	} {
		t.Run(name, func(t *testing.T) {
			world(t, func(t *testing.T, m *fleet.Manager, h *host, db *memory) {
				h.set(func(h *host) { h.fail = fail })
				if _, err := m.Create(t.Context(), fleet.Request{Organization: org}); !errors.Is(err, fail) {
					t.Errorf("error = %v, want %v", err, fail)
				}
				synctest.Wait()
				if db.count(t) != 0 || len(h.has) != 0 {
					t.Errorf("%d records and %d containers are left", db.count(t), len(h.has))
				}
			})
		})
	}
}

func TestCreateIsRefusedWhileTheEngineIsDown(t *testing.T) {
	world(t, func(t *testing.T, m *fleet.Manager, h *host, db *memory) {
		h.set(func(h *host) { h.down = fault.New(fault.Unavailable, "engine down") })
		if _, err := m.Create(t.Context(), fleet.Request{Organization: org}); fault.KindOf(err) != fault.Unavailable {
			t.Errorf("error = %v, want unavailable", err)
		}
		if db.count(t) != 0 {
			t.Error("a refused create left a record")
		}
	})
}

func TestCallerGoneMeansNoSandbox(t *testing.T) {
	world(t, func(t *testing.T, m *fleet.Manager, h *host, db *memory) {
		h.took = 2 * time.Second
		ctx, leave := context.WithTimeout(t.Context(), time.Second)
		defer leave()
		if _, err := m.Create(ctx, fleet.Request{Organization: org}); err == nil {
			t.Error("no error after the caller had gone")
		}
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if db.count(t) != 0 || len(h.has) != 0 {
			t.Errorf("%d records and %d containers are left", db.count(t), len(h.has))
		}
	})
}

func TestBadInputNamesTheFieldAndTheRange(t *testing.T) {
	minus := -1
	for name, tc := range map[string]struct {
		req  fleet.Request
		kind fault.Kind
		text string
	}{
		"cpu":             {fleet.Request{CPU: 5}, fault.Invalid, "cpu must be from 1 to 4 cores, not 5"},
		"negative memory": {fleet.Request{Memory: -2}, fault.Invalid, "memory must be from 1 to 8 GiB, not -2"},
		"disk":            {fleet.Request{Disk: 11}, fault.Invalid, "disk must be from 1 to 10 GiB, not 11"},
		"interval": {
			fleet.Request{AutoStop: &minus},
			fault.Invalid,
			"autoStopInterval must be from 0 to 5256000 minutes, not -1",
		},
		"snapshot": {fleet.Request{Snapshot: "nope"}, fault.Invalid, `snapshot "nope" not found`},
		"size of a snapshot": {
			fleet.Request{Snapshot: "default", CPU: 2},
			fault.Invalid,
			"cpu, memory and disk are the snapshot's own and cannot be given together with snapshot",
		},
		"region":  {fleet.Request{Target: "mars"}, fault.NotFound, `target "mars": no such region; there is "us"`},
		"markup":  {fleet.Request{Name: "<b>x"}, fault.Invalid, "name must not contain HTML tags or web addresses"},
		"link":    {fleet.Request{Name: "see https://x"}, fault.Invalid, "name must not contain HTML tags or web addresses"},
		"control": {fleet.Request{Name: "a\x00"}, fault.Invalid, "name must not contain control characters"},
		"variable": {
			fleet.Request{Env: map[string]string{"A=B": ""}},
			fault.Invalid,
			`env: "A=B" cannot be the name of a variable`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			world(t, func(t *testing.T, m *fleet.Manager, _ *host, db *memory) {
				tc.req.Organization = org
				_, err := m.Create(t.Context(), tc.req)
				if fault.KindOf(err) != tc.kind || err == nil || err.Error() != tc.text {
					t.Errorf("error = %v (%v), want %v: %s", err, fault.KindOf(err), tc.kind, tc.text)
				}
				if db.count(t) != 0 {
					t.Error("a refused create left a record")
				}
			})
		})
	}
}

func TestStopStartDelete(t *testing.T) {
	world(t, func(t *testing.T, m *fleet.Manager, h *host, db *memory) {
		s := create(t, m, fleet.Request{Name: "a"})
		h.set(func(h *host) { h.took = 100 * time.Millisecond })
		for range 2 { // the second of each changes nothing
			if got, err := m.Stop(t.Context(), org, "a", true); err != nil || got.State != lifecycle.Stopped || !h.forced {
				t.Fatalf("Stop = %s, %v (forced %v)", got.State, err, h.forced)
			}
		}
		again, err := m.Start(t.Context(), org, s.ID)
		if err != nil || again.State != lifecycle.Started || again.PreviewToken == s.PreviewToken {
			t.Fatalf("Start = %s, %v; the preview token changed: %v", again.State, err, again.PreviewToken != s.PreviewToken)
		}
		if _, err := m.Stop(t.Context(), org, "a", false); err != nil || h.forced {
			t.Errorf("a polite stop: %v (forced %v)", err, h.forced)
		}
		gone, err := m.Delete(t.Context(), org, "a")
		if err != nil || gone.Shown() != lifecycle.Destroying {
			t.Errorf("Delete = %s, %v", gone.Shown(), err)
		}
		if create(t, m, fleet.Request{Name: "a"}).ID == s.ID {
			t.Error("the name was not free at once")
		}
		mustBe(t, m, s.ID, lifecycle.Destroyed)
		if db.count(t) != 1 || len(h.has) != 1 {
			t.Errorf("%d records, %d containers; want 1 of each", db.count(t), len(h.has))
		}
	})
}

func TestDeleteDuringCreate(t *testing.T) {
	world(t, func(t *testing.T, m *fleet.Manager, h *host, db *memory) {
		h.took = time.Second
		go func() {
			time.Sleep(500 * time.Millisecond)
			if _, err := m.Delete(t.Context(), org, "a"); err != nil {
				t.Error(err)
			}
		}()
		if s, err := m.Create(t.Context(), fleet.Request{Organization: org, Name: "a"}); err == nil &&
			s.Desired != lifecycle.Destroyed {
			t.Errorf("created = %+v", s)
		}
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if db.count(t) != 0 || len(h.has) != 0 {
			t.Errorf("%d records and %d containers are left", db.count(t), len(h.has))
		}
	})
}

// TestAStepThatFailsLeavesTheWayToWhatIsWantedByThen has a request come during a step of the other kind, and that
// step fail.
func TestAStepThatFailsLeavesTheWayToWhatIsWantedByThen(t *testing.T) {
	refuse := fault.New(fault.Invalid, "no")
	world(t, func(t *testing.T, m *fleet.Manager, h *host, _ *memory) {
		s := create(t, m, fleet.Request{})
		flip := func(first, second func() error) { // second comes while first is under way, and first fails
			h.set(func(h *host) { h.took, h.fail = 2*time.Second, refuse })
			failed := make(chan error)
			go func() { failed <- first() }()
			time.Sleep(time.Second)
			if err := second(); err != nil {
				t.Errorf("the later request: %v", err)
			}
			<-failed
		}
		stop := func() error { _, err := m.Stop(t.Context(), org, s.ID, false); return err }
		start := func() error { _, err := m.Start(t.Context(), org, s.ID); return err }
		flip(stop, start)
		mustBe(t, m, s.ID, lifecycle.Started)
		h.set(func(h *host) { h.took = 0 })
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		flip(start, stop)
		mustBe(t, m, s.ID, lifecycle.Stopped)
	})
}

func report(t *testing.T, m *fleet.Manager, r lifecycle.Report) {
	t.Helper()
	if deleted, err := m.Report(t.Context(), r); err != nil || len(deleted) > 0 {
		t.Errorf("report %+v: %v is to be removed, %v", r, deleted, err)
	}
}

func TestDeleteWaitsForTheEngine(t *testing.T) {
	world(t, func(t *testing.T, m *fleet.Manager, h *host, _ *memory) {
		s := create(t, m, fleet.Request{})
		h.set(func(h *host) { h.down = fault.New(fault.Unavailable, "down") })
		if _, err := m.Delete(t.Context(), org, s.ID); err != nil {
			t.Fatalf("delete while the engine is down: %v", err)
		}
		mustBe(t, m, s.ID, lifecycle.Destroying)
		h.set(func(h *host) { h.down = nil })
		time.Sleep(10 * time.Second)
		mustBe(t, m, s.ID, lifecycle.Destroyed)
	})
}

func TestIdleSandboxesStopAndEnd(t *testing.T) {
	two, zero := 2, 0
	t.Run("stop after idle minutes", func(t *testing.T) {
		world(t, func(t *testing.T, m *fleet.Manager, _ *host, _ *memory) {
			s := create(t, m, fleet.Request{AutoStop: &two})
			time.Sleep(119 * time.Second)
			mustBe(t, m, s.ID, lifecycle.Started)
			m.Touch(s.ID, 0)
			time.Sleep(100 * time.Second)
			mustBe(t, m, s.ID, lifecycle.Started)
			time.Sleep(22 * time.Second)
			mustBe(t, m, s.ID, lifecycle.Stopped)
		})
	})
	t.Run("an open connection is not idle", func(t *testing.T) {
		world(t, func(t *testing.T, m *fleet.Manager, _ *host, _ *memory) {
			s := create(t, m, fleet.Request{AutoStop: &two})
			m.Touch(s.ID, +1)
			time.Sleep(time.Hour)
			mustBe(t, m, s.ID, lifecycle.Started)
			m.Touch(s.ID, -1)
			time.Sleep(122 * time.Second)
			mustBe(t, m, s.ID, lifecycle.Stopped)
		})
	})
	t.Run("never", func(t *testing.T) {
		world(t, func(t *testing.T, m *fleet.Manager, _ *host, _ *memory) {
			s := create(t, m, fleet.Request{AutoStop: &zero})
			time.Sleep(48 * time.Hour)
			mustBe(t, m, s.ID, lifecycle.Started)
		})
	})
	t.Run("ephemeral", func(t *testing.T) {
		world(t, func(t *testing.T, m *fleet.Manager, _ *host, _ *memory) {
			s := create(t, m, fleet.Request{AutoDelete: &zero})
			if _, err := m.Stop(t.Context(), org, s.ID, false); err != nil {
				t.Fatal(err)
			}
			time.Sleep(2 * time.Second)
			mustBe(t, m, s.ID, lifecycle.Destroyed)
		})
	})
	t.Run("delete after stopped minutes", func(t *testing.T) {
		world(t, func(t *testing.T, m *fleet.Manager, _ *host, _ *memory) {
			s := create(t, m, fleet.Request{AutoDelete: &two})
			time.Sleep(10 * time.Minute)
			if _, err := m.Stop(t.Context(), org, s.ID, false); err != nil {
				t.Fatal(err)
			}
			time.Sleep(119 * time.Second)
			mustBe(t, m, s.ID, lifecycle.Stopped)
			time.Sleep(3 * time.Second)
			mustBe(t, m, s.ID, lifecycle.Destroyed)
		})
	})
	t.Run("time to live", func(t *testing.T) {
		world(t, func(t *testing.T, m *fleet.Manager, _ *host, _ *memory) {
			s := create(t, m, fleet.Request{TTL: &two})
			m.Touch(s.ID, +1)
			time.Sleep(122 * time.Second)
			mustBe(t, m, s.ID, lifecycle.Destroyed)
		})
	})
}
