package lifecycle_test

import (
	"strings"
	"testing"

	"github.com/sandlot-dev/sandlot/internal/lifecycle"
)

func TestPlanOverAllPairs(t *testing.T) {
	type plan struct {
		do     lifecycle.Action
		during lifecycle.State
	}
	const (
		creating, starting, started = lifecycle.Creating, lifecycle.Starting, lifecycle.Started
		stopping, stopped, failed   = lifecycle.Stopping, lifecycle.Stopped, lifecycle.Error
		destroying, destroyed       = lifecycle.Destroying, lifecycle.Destroyed
	)
	want := map[lifecycle.State]map[lifecycle.State]plan{ // is → desired → plan
		creating: {
			started: {lifecycle.Create, creating}, stopped: {lifecycle.Create, creating},
			destroyed: {lifecycle.Remove, destroying},
		},
		starting: {
			started: {lifecycle.Start, starting}, stopped: {lifecycle.Stop, stopping},
			destroyed: {lifecycle.Remove, destroying},
		},
		started: {
			started: {lifecycle.Nothing, started}, stopped: {lifecycle.Stop, stopping},
			destroyed: {lifecycle.Remove, destroying},
		},
		stopping: {
			started: {lifecycle.Start, starting}, stopped: {lifecycle.Stop, stopping},
			destroyed: {lifecycle.Remove, destroying},
		},
		stopped: {
			started: {lifecycle.Start, starting}, stopped: {lifecycle.Nothing, stopped},
			destroyed: {lifecycle.Remove, destroying},
		},
		failed: {
			started: {lifecycle.Nothing, failed}, stopped: {lifecycle.Nothing, failed},
			destroyed: {lifecycle.Remove, destroying},
		},
		destroying: {
			started: {lifecycle.Nothing, destroying}, stopped: {lifecycle.Nothing, destroying},
			destroyed: {lifecycle.Remove, destroying},
		},
		destroyed: {
			started: {lifecycle.Nothing, destroyed}, stopped: {lifecycle.Nothing, destroyed},
			destroyed: {lifecycle.Nothing, destroyed},
		},
	}
	for _, is := range lifecycle.States {
		for _, desired := range lifecycle.Wanted {
			w, ok := want[is][desired]
			if !ok {
				t.Fatalf("no expectation for %s → %s", is, desired)
			}
			do, during := lifecycle.Plan(is, desired)
			if do != w.do || during != w.during {
				t.Errorf("Plan(%s, %s) = %v, %s; want %v, %s", is, desired, do, during, w.do, w.during)
			}
		}
	}
}

// TestPlanKeepsToTheAllowedSteps holds the two tables against each other.
func TestPlanKeepsToTheAllowedSteps(t *testing.T) {
	underway := map[lifecycle.State]bool{}
	for _, is := range lifecycle.States {
		for _, desired := range lifecycle.Wanted {
			do, during := lifecycle.Plan(is, desired)
			if do == lifecycle.Nothing {
				if during != is {
					t.Errorf("Plan(%s, %s) does nothing and yet moves to %s", is, desired, during)
				}
				continue
			}
			underway[during] = true
			if !lifecycle.CanStep(is, during) {
				t.Errorf("Plan(%s, %s) moves to %s, which is no allowed step", is, desired, during)
			}
			if do == lifecycle.Create && desired == lifecycle.Stopped {
				continue // it is started first, and stopped by the next step
			}
			if !lifecycle.CanStep(during, desired) {
				t.Errorf("Plan(%s, %s) cannot end: %s may not become %s", is, desired, during, desired)
			}
		}
	}
	for _, s := range lifecycle.States {
		if s.Settled() == underway[s] {
			t.Errorf("%s: settled %v, and a step is under way in it: %v", s, s.Settled(), underway[s])
		}
	}
}

func TestStepsOverAllPairs(t *testing.T) {
	allowed := map[lifecycle.State]string{ // to: space-separated list of what may follow
		lifecycle.Creating:   "creating started stopped error destroying",
		lifecycle.Starting:   "starting started stopping stopped error destroying",
		lifecycle.Started:    "started stopping stopped error destroying",
		lifecycle.Stopping:   "stopping stopped starting started error destroying",
		lifecycle.Stopped:    "stopped starting started error destroying",
		lifecycle.Error:      "error starting stopping started stopped destroying",
		lifecycle.Destroying: "destroying destroyed error",
		lifecycle.Destroyed:  "destroyed",
	}
	for _, from := range lifecycle.States {
		for _, to := range lifecycle.States {
			want := false
			for _, word := range strings.Fields(allowed[from]) {
				want = want || word == string(to)
			}
			if got := lifecycle.CanStep(from, to); got != want {
				t.Errorf("CanStep(%s, %s) = %v, want %v", from, to, got, want)
			}
		}
	}
}

func TestShownTellsARequestAtOnce(t *testing.T) {
	for _, tc := range []struct{ is, desired, want lifecycle.State }{
		{lifecycle.Started, lifecycle.Stopped, lifecycle.Stopping},
		{lifecycle.Started, lifecycle.Destroyed, lifecycle.Destroying},
		{lifecycle.Stopped, lifecycle.Started, lifecycle.Starting},
		{lifecycle.Creating, lifecycle.Destroyed, lifecycle.Destroying},
		{lifecycle.Error, lifecycle.Started, lifecycle.Error},
		{lifecycle.Error, lifecycle.Destroyed, lifecycle.Destroying},
		{lifecycle.Creating, lifecycle.Started, lifecycle.Creating},
		{lifecycle.Started, lifecycle.Started, lifecycle.Started},
		{lifecycle.Destroyed, lifecycle.Destroyed, lifecycle.Destroyed},
	} {
		if got := lifecycle.Shown(tc.is, tc.desired); got != tc.want {
			t.Errorf("Shown(%s, %s) = %s, want %s", tc.is, tc.desired, got, tc.want)
		}
	}
}
