package fleet

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sandlot-dev/sandlot/internal/auth"
	"github.com/sandlot-dev/sandlot/internal/lifecycle"
)

// Adopt writes a record of a sandbox that has none, from the description that its runner has. The sandbox is in region
// on runner and belongs to spec.Organization. Its intervals are not known, so it neither stops nor ends by itself until
// a request sets them. If the name is taken, the id is appended to it. Errors are those of the store.
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
