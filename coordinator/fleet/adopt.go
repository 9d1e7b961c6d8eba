package fleet

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sandlot-dev/sandlot/internal/auth"
	"github.com/sandlot-dev/sandlot/internal/lifecycle"
)

// Adopt writes the record of a sandbox that a runner has and no record knows, from its description: region and runner
// are where it is, and spec.Organization is who it belongs to. It neither stops nor ends by itself until somebody
// sets its intervals, since nobody knows what they were. Where the name is taken its id is added to it. The error is
// the store's.
func Adopt(
	ctx context.Context, store Store, spec lifecycle.Spec, running bool, region, runner string, createdAt time.Time,
) (Sandbox, error) {
	now := time.Now().UTC()
	s := Sandbox{
		ID: spec.ID, Organization: spec.Organization, Name: spec.Name, Region: region, Runner: runner,
		Snapshot: spec.Snapshot, Image: spec.Image, User: spec.User, Env: spec.Env, Labels: spec.Labels,
		CPU: max(1, spec.CPU), Memory: max(1, spec.Memory), Disk: spec.Disk, AutoArchive: defaultAutoArchive,
		AutoDelete: -1, State: lifecycle.Stopped, Desired: lifecycle.Stopped, Reason: "adopted: its record was lost",
		PreviewToken: auth.NewToken(), CreatedAt: createdAt, UpdatedAt: now, LastActivityAt: now, StateAt: now,
	}
	if running {
		s.State, s.Desired = lifecycle.Started, lifecycle.Started
	}
	if s.Name == "" {
		s.Name = s.ID
	}
	err := store.InsertSandbox(ctx, s)
	if errors.Is(err, ErrNameTaken) {
		s.Name += "-" + s.ID
		err = store.InsertSandbox(ctx, s)
	}
	if err != nil {
		return Sandbox{}, fmt.Errorf("adopt sandbox %s: %w", s.ID, err)
	}
	return s, nil
}
