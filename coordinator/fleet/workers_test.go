package fleet_test

import (
	"testing"
	"time"

	"github.com/sandlot-dev/sandlot/coordinator/fleet"
	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/internal/lifecycle"
)

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

func TestAForcedStopIsForcedOnce(t *testing.T) {
	world(t, func(t *testing.T, m *fleet.Manager, h *host, _ *memory) {
		s := create(t, m, fleet.Request{})
		h.set(func(h *host) { h.down = fault.New(fault.Unavailable, "down") })
		if _, err := m.Stop(t.Context(), org, s.ID, true); err == nil {
			t.Fatal("stopped without an engine")
		}
		h.set(func(h *host) { h.down = nil })
		if _, err := m.Stop(t.Context(), org, s.ID, true); err != nil || !h.forced {
			t.Fatalf("forced stop: %v (forced %v)", err, h.forced)
		}
		if _, err := m.Start(t.Context(), org, s.ID); err != nil {
			t.Fatal(err)
		}
		if _, err := m.Stop(t.Context(), org, s.ID, false); err != nil || h.forced {
			t.Errorf("polite stop: %v (forced %v)", err, h.forced)
		}
	})
}
