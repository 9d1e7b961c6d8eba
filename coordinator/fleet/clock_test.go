package fleet_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sandlot-dev/sandlot/coordinator/fleet"
	"github.com/sandlot-dev/sandlot/internal/lifecycle"
)

// TestDueOverAllPairs has a sandbox that was active 2 minutes after its state changed, stops after 10 and is deleted
// after 20.
func TestDueOverAllPairs(t *testing.T) {
	state := time.Now().UTC()
	active, end := state.Add(2*time.Minute), state.Add(5*time.Minute)
	for _, is := range lifecycle.States {
		for _, desired := range lifecycle.Wanted {
			s := fleet.Sandbox{State: is, Desired: desired, StateAt: state, LastActivityAt: active, AutoStop: 10, AutoDelete: 20}
			var want time.Time
			switch {
			case is == lifecycle.Started && desired == lifecycle.Started:
				want = active.Add(10 * time.Minute)
			case is == lifecycle.Stopped && desired == lifecycle.Stopped:
				want = state.Add(20 * time.Minute)
			}
			if got := s.Due(); !got.Equal(want) {
				t.Errorf("%s, wanted %s: due %v, want %v", is, desired, got, want)
			}
			s.AutoStop, s.AutoDelete = 0, -1
			if got := s.Due(); !got.IsZero() {
				t.Errorf("%s, wanted %s, without intervals: due %v, want never", is, desired, got)
			}
			s.AutoStop, s.AutoDelete, s.DestroyAt = 10, 20, end
			want = end
			if desired == lifecycle.Destroyed {
				want = time.Time{}
			}
			if got := s.Due(); !got.Equal(want) {
				t.Errorf("%s, wanted %s, with an end: due %v, want %v", is, desired, got, want)
			}
		}
	}
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

// TestAnOldDatabaseDeletesNothing has records of last week: a sandbox in them was stopped, and has run since.
func TestAnOldDatabaseDeletesNothing(t *testing.T) {
	one, zero := 1, 0
	synctest.Test(t, func(t *testing.T) {
		h := newHost()
		db := newMemory(t)
		old := func(id string, state lifecycle.State, autoDelete int) {
			at := time.Now().Add(-7 * 24 * time.Hour)
			if err := db.InsertSandbox(t.Context(), fleet.Sandbox{
				ID: id, Organization: org, Name: id, State: state, Desired: state, StateAt: at, LastActivityAt: at, AutoStop: one,
				AutoDelete: autoDelete, Runner: "r",
			}); err != nil {
				t.Fatal(err)
			}
		}
		old("runs again", lifecycle.Stopped, zero)
		old("ran since", lifecycle.Stopped, 60)
		old("ran on", lifecycle.Started, zero)
		h.see("runs again", lifecycle.Started, lifecycle.Unknown, "")
		h.see("ran since", lifecycle.Stopped, lifecycle.Unknown, "")
		o := h.found["ran since"]
		o.Since = time.Now().Add(-time.Minute)
		h.found["ran since"] = o
		h.see("ran on", lifecycle.Started, lifecycle.Unknown, "")
		m := manager(t, db, h)
		ctx, end := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- m.Run(ctx) }()
		time.Sleep(10 * time.Second)
		mustBe(t, m, "runs again", lifecycle.Stopped) // so the record says, and nothing is done about it
		report(t, m, h.report())
		time.Sleep(45 * time.Second)
		mustBe(t, m, "runs again", lifecycle.Started)
		mustBe(t, m, "ran since", lifecycle.Stopped)
		mustBe(t, m, "ran on", lifecycle.Started)
		end()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}
