package fleet_test

import (
	"errors"
	"testing"
	"time"

	"github.com/sandlot-dev/sandlot/coordinator/fleet"
	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/internal/lifecycle"
)

var errBase = errors.New("database is gone")

// mustStayStopped looks for a minute of heartbeats that a sandbox is not started again.
func mustStayStopped(t *testing.T, m *fleet.Manager, h *host, id, reason string) {
	t.Helper()
	for range 3 {
		mustBe(t, m, id, lifecycle.Stopped)
		time.Sleep(30 * time.Second)
		report(t, m, h.report())
	}
	if got := mustBe(t, m, id, lifecycle.Stopped); got.Reason != reason || got.Desired != lifecycle.Stopped {
		t.Errorf("after its end: %q, wanted %s", got.Reason, got.Desired)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.has[id] != lifecycle.Stopped {
		t.Error("it runs")
	}
}

func TestEndedByItselfStaysStopped(t *testing.T) {
	const reason = "out of memory"
	for name, tell := range map[string]func(t *testing.T, m *fleet.Manager, h *host, db *memory, id string){
		"told at once": func(t *testing.T, m *fleet.Manager, h *host, _ *memory, id string) {
			report(t, m, h.see(id, lifecycle.Stopped, lifecycle.Itself, reason))
		},
		"a full report is first": func(t *testing.T, m *fleet.Manager, h *host, _ *memory, id string) {
			r := h.see(id, lifecycle.Stopped, lifecycle.Itself, reason)
			report(t, m, h.report())
			report(t, m, r)
		},
		"the report was lost": func(t *testing.T, m *fleet.Manager, h *host, _ *memory, id string) {
			h.see(id, lifecycle.Stopped, lifecycle.Itself, reason)
			time.Sleep(30 * time.Second)
			report(t, m, h.report())
		},
		"the database failed": func(t *testing.T, m *fleet.Manager, h *host, db *memory, id string) {
			db.set(func(db *memory) { db.fail = errBase })
			if _, err := m.Report(t.Context(), h.see(id, lifecycle.Stopped, lifecycle.Itself, reason)); !errors.Is(err,
				errBase) {
				t.Errorf("report without a database: %v", err)
			}
			time.Sleep(time.Second)
			db.set(func(db *memory) { db.fail = nil })
			report(t, m, h.report())
		},
		"while nobody looked": func(t *testing.T, m *fleet.Manager, h *host, _ *memory, id string) {
			h.see(id, lifecycle.Stopped, lifecycle.Unknown, reason)
			report(t, m, h.report())
		},
		"while it was being started": func(t *testing.T, m *fleet.Manager, h *host, _ *memory, id string) {
			if _, err := m.Stop(t.Context(), org, id, false); err != nil {
				t.Fatal(err)
			}
			h.set(func(h *host) {
				h.begun = func(string) { report(t, m, h.see(id, lifecycle.Stopped, lifecycle.Itself, reason)) }
			})
			_, _ = m.Start(t.Context(), org, id) // it did start, and it does not run
			h.set(func(h *host) { h.begun = nil })
		},
	} {
		t.Run(name, func(t *testing.T) {
			world(t, func(t *testing.T, m *fleet.Manager, h *host, db *memory) {
				s := create(t, m, fleet.Request{})
				tell(t, m, h, db, s.ID)
				mustStayStopped(t, m, h, s.ID, reason)
				if _, err := m.Start(t.Context(), org, s.ID); err != nil {
					t.Error(err)
				}
				report(t, m, h.report())
				mustBe(t, m, s.ID, lifecycle.Started)
			})
		})
	}
}

func TestFullReportMendsEverything(t *testing.T) {
	world(t, func(t *testing.T, m *fleet.Manager, h *host, db *memory) {
		ended, lost := create(t, m, fleet.Request{}), create(t, m, fleet.Request{})
		half := ended // a create that was cut off between record and container
		half.ID, half.Name, half.State, half.StateAt, half.Seen = "half", "half", lifecycle.Creating, time.Now(), 0
		if err := db.InsertSandbox(t.Context(), half); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		h.see(ended.ID, lifecycle.Stopped, lifecycle.WithHost, "its engine went down")
		h.set(func(h *host) { delete(h.has, lost.ID) })
		report(t, m, h.report())
		mustBe(t, m, ended.ID, lifecycle.Started) // it went down with its engine: started again
		mustBe(t, m, "half", lifecycle.Started)
		if got := mustBe(t, m, lost.ID, lifecycle.Error); got.Reason == "" {
			t.Error("a lost container has no reason")
		}
	})
}

func TestOldFindingsChangeNothing(t *testing.T) {
	world(t, func(t *testing.T, m *fleet.Manager, h *host, _ *memory) {
		s := create(t, m, fleet.Request{})
		late := create(t, m, fleet.Request{})
		old := h.report() // says that both run
		h.set(func(h *host) { delete(h.has, late.ID) })
		older := h.report() // and that the second does not exist
		h.set(func(h *host) { h.seeLocked(late.ID, lifecycle.Started, lifecycle.Unknown, "") })
		if _, err := m.Stop(t.Context(), org, s.ID, false); err != nil {
			t.Fatal(err)
		}
		if _, err := m.Stop(t.Context(), org, late.ID, false); err != nil {
			t.Fatal(err)
		}
		report(t, m, old)
		report(t, m, older)
		mustBe(t, m, s.ID, lifecycle.Stopped)
		mustBe(t, m, late.ID, lifecycle.Stopped)
		ended := h.see(s.ID, lifecycle.Stopped, lifecycle.Itself, "")
		if _, err := m.Start(t.Context(), org, s.ID); err != nil {
			t.Fatal(err)
		}
		report(t, m, ended)
		mustBe(t, m, s.ID, lifecycle.Started)
	})
}

func TestNothingTakesBackADeletion(t *testing.T) {
	one := 1
	world(t, func(t *testing.T, m *fleet.Manager, h *host, _ *memory) {
		s := create(t, m, fleet.Request{AutoStop: &one})
		h.set(func(h *host) { h.down = fault.New(fault.Unavailable, "down") })
		if _, err := m.Delete(t.Context(), org, s.ID); err != nil {
			t.Fatal(err)
		}
		for _, o := range []lifecycle.State{lifecycle.Stopped, lifecycle.Started, lifecycle.Destroyed} {
			report(t, m, h.see(s.ID, o, lifecycle.Itself, "odd"))
			if got := mustBe(t, m, s.ID, lifecycle.Destroying); got.Desired != lifecycle.Destroyed {
				t.Errorf("after a report of %s it is wanted %s", o, got.Desired)
			}
		}
		h.set(func(h *host) { h.has[s.ID] = lifecycle.Started })
		time.Sleep(2 * time.Minute) // its idle stop is due
		if _, err := m.Start(t.Context(), org, s.ID); fault.KindOf(err) != fault.Conflict {
			t.Errorf("start of a deleted sandbox: %v, want a conflict", err)
		}
		mustBe(t, m, s.ID, lifecycle.Destroying)
		h.set(func(h *host) { h.down = nil })
		time.Sleep(10 * time.Second)
		mustBe(t, m, s.ID, lifecycle.Destroyed)
	})
}

func TestOneRecordThatFailsDoesNotKeepTheOthers(t *testing.T) {
	world(t, func(t *testing.T, m *fleet.Manager, h *host, db *memory) {
		all := []fleet.Sandbox{create(t, m, fleet.Request{}), create(t, m, fleet.Request{}), create(t, m, fleet.Request{})}
		for _, s := range all {
			h.see(s.ID, lifecycle.Stopped, lifecycle.Itself, "")
		}
		for _, s := range all { // whatever the order, one is taken
			db.set(func(db *memory) { db.fail, db.spare = errBase, s.ID })
			if _, err := m.Report(t.Context(), h.report()); err == nil && s.ID != all[2].ID {
				t.Error("a report of which most was not taken has no error")
			}
			mustBe(t, m, s.ID, lifecycle.Stopped)
		}
	})
}

// TestObserveOverAllPairs holds what is done with a finding against a table: one line for each state, desired state
// and finding.
func TestObserveOverAllPairs(t *testing.T) {
	const (
		creating, starting, started = lifecycle.Creating, lifecycle.Starting, lifecycle.Started
		stopping, stopped, failed   = lifecycle.Stopping, lifecycle.Stopped, lifecycle.Error
		destroyed                   = lifecycle.Destroyed
	)
	type is struct{ state, desired lifecycle.State }
	none := is{}
	for _, tc := range []struct {
		o     lifecycle.State
		cause lifecycle.Cause
		from  []lifecycle.State // with every desired state but destroyed
		to    is                // none: nothing changes; an empty desired stays
	}{
		{stopped, lifecycle.Itself, []lifecycle.State{creating, starting, started, stopping, failed}, is{stopped, stopped}},
		{stopped, lifecycle.Unknown, []lifecycle.State{started}, is{stopped, stopped}},
		{stopped, lifecycle.WithHost, []lifecycle.State{started}, is{stopped, ""}},
		{stopped, lifecycle.Unknown, []lifecycle.State{creating, starting, stopping, stopped, failed}, none},
		{stopped, lifecycle.WithHost, []lifecycle.State{creating, starting, stopping, stopped, failed}, none},
		{started, lifecycle.Itself, []lifecycle.State{stopped, failed}, is{started, started}},
		{started, lifecycle.Unknown, []lifecycle.State{stopped}, is{started, started}},
		{started, lifecycle.Itself, []lifecycle.State{creating, starting, stopping}, none},
		{started, lifecycle.Unknown, []lifecycle.State{creating, starting, started, stopping, failed}, none},
		{destroyed, lifecycle.Itself, []lifecycle.State{creating, starting, started, stopping, stopped}, is{failed, ""}},
	} {
		for _, state := range tc.from {
			for _, desired := range lifecycle.Wanted {
				for _, old := range []bool{false, true} {
					s := fleet.Sandbox{ID: "a", State: state, Desired: desired, Seen: 5}
					o := lifecycle.Observed{ID: "a", Seq: 6, State: tc.o, Cause: tc.cause}
					want := is{state, desired}
					if old {
						o.Seq = 5
					} else if tc.to != none && desired != destroyed {
						want.state = tc.to.state
						if tc.to.desired != "" {
							want.desired = tc.to.desired
						}
					}
					err := fleet.Observe(&s, o)
					if got := (is{s.State, s.Desired}); got != want || (err == nil) != (want != is{state, desired}) {
						t.Errorf("%s/%s sees %s (cause %d, old %v): %v, %v; want %v", state, desired, tc.o, tc.cause, old, got, err, want)
					}
				}
			}
		}
	}
}
