package fleet_test

import (
	"context"
	"log/slog"
	"testing"

	"github.com/sandlot-dev/sandlot/coordinator/fleet"
	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/internal/lifecycle"
)

// hosts is a Runners of several hosts, all in the region "us".
type hosts map[string]*host

func (hs hosts) ByID(id string) (fleet.Runner, error) {
	if hs[id] == nil {
		return nil, fault.New(fault.Unavailable, "not connected")
	}
	return hs[id], nil
}

func (hs hosts) In(region string) []string {
	if region != "us" {
		return nil
	}
	return []string{"gone", "down", "up"} // the first is not connected
}

func TestSandboxesArePlacedOnARunnerThatIsReadyAndStayThere(t *testing.T) {
	hs := hosts{"down": newHost(), "up": newHost()}
	hs["down"].down = fault.New(fault.Unavailable, "engine down")
	m, err := fleet.New(fleet.Config{
		Store: newMemory(t), Runners: hs, Region: "us", DefaultSnapshot: "default",
		MaxCPU: 1, MaxMemory: 1, MaxDisk: 1, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, end := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- m.Run(ctx) }()
	defer func() {
		end()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	s := create(t, m, fleet.Request{})
	if s.Runner != "up" || s.Region != "us" || hs["up"].has[s.ID] != lifecycle.Started {
		t.Errorf("placed on %q in %q; want the runner that is ready", s.Runner, s.Region)
	}
	hs["down"].set(func(h *host) { h.down = nil })
	if _, err := m.Stop(t.Context(), org, s.ID, false); err != nil || hs["up"].has[s.ID] != lifecycle.Stopped ||
		len(hs["down"].has) > 0 {
		t.Errorf("stopped on its runner: %v; %v, %v", err, hs["up"].has, hs["down"].has)
	}
	hs["up"].set(func(h *host) { h.down = fault.New(fault.Unavailable, "engine down") })
	if _, err := m.Start(t.Context(), org, s.ID); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("start on a runner that is down: %v, want unavailable", err)
	}
}
