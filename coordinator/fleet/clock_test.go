package fleet_test

import (
	"testing"
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
