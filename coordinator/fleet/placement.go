package fleet

import (
	"cmp"
	"context"
	"fmt"

	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/internal/lifecycle"
)

// Runner is what a Manager asks of a Docker host. Every method may be repeated safely. Each operation returns its
// finding, with a higher Seq than all before. fleettest.Runner holds an implementation to this contract.
type Runner interface {
	Ready() error // nil, or why the runner cannot create or start sandboxes now
	Create(ctx context.Context, spec lifecycle.Spec) (lifecycle.Observed, error)
	Start(ctx context.Context, id string) (lifecycle.Observed, error)
	Stop(ctx context.Context, id string, force bool) (lifecycle.Observed, error)
	Remove(ctx context.Context, id string) error
}

// Runners finds the runners of an installation.
type Runners interface {
	ByID(id string) (Runner, error) // fault.Unavailable for one that is not connected
	In(region string) []string      // ids of its runners; none for a region that does not exist
}

// SoleRunner is the Runners of an installation on one host. It answers for every runner id, also in old records.
type SoleRunner struct {
	ID, Region string
	Runner     Runner
}

// ByID implements Runners.
func (r SoleRunner) ByID(string) (Runner, error) { return r.Runner, nil }

// In implements Runners.
func (r SoleRunner) In(region string) []string {
	if region != r.Region {
		return nil
	}
	return []string{r.ID}
}

var _ Runners = SoleRunner{}

// placement chooses where new sandboxes are made.
type placement struct {
	runners Runners
	region  string // of requests that name none
}

// place returns the region of a new sandbox, which is target unless that is empty, and its runner: the first one of
// the region that is ready. Errors: fault.NotFound for a region that does not exist, or why the first runner is not
// ready.
func (p placement) place(target string) (region, runner string, err error) {
	region = cmp.Or(target, p.region)
	ids := p.runners.In(region)
	if len(ids) == 0 {
		return "", "", fault.Codef(fault.NotFound, "REGION_NOT_FOUND", "target %q: no such region; there is %q", target,
			p.region)
	}
	for _, id := range ids {
		notReady := p.ready(id)
		if notReady == nil {
			return region, id, nil
		}
		err = cmp.Or(err, notReady)
	}
	return "", "", fmt.Errorf("create sandbox: %w", err)
}

// ready returns nil, or why a runner cannot create or start sandboxes now.
func (p placement) ready(id string) error {
	r, err := p.runners.ByID(id)
	if err != nil {
		return err
	}
	return r.Ready()
}
