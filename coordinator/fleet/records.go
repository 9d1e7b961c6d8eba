package fleet

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/internal/lifecycle"
	"github.com/sandlot-dev/sandlot/internal/logkey"
)

// errDeleted is returned for requests to a sandbox that is being deleted.
var errDeleted = fault.New(fault.Conflict, "it is being deleted; make a new one")

// records reads and changes the records of sandboxes. Reads include the activity that is not stored yet.
type records struct {
	store    Sandboxes
	activity *activity
	publish  func(id string) // called after every change is stored
	logger   *slog.Logger
}

// get returns a sandbox of an organisation by id or name. ErrNotFound.
func (r *records) get(ctx context.Context, organization, idOrName string) (Sandbox, error) {
	s, err := r.store.Sandbox(ctx, organization, idOrName)
	if err != nil {
		return Sandbox{}, fmt.Errorf("sandbox %q: %w", idOrName, err)
	}
	return r.activity.addTo(s), nil
}

// byID returns a sandbox of any organisation. ErrNotFound.
func (r *records) byID(ctx context.Context, id string) (Sandbox, error) {
	s, err := r.store.SandboxByID(ctx, id)
	if err != nil {
		return Sandbox{}, fmt.Errorf("sandbox %q: %w", id, err)
	}
	return r.activity.addTo(s), nil
}

// insert stores and publishes a new record. ErrNameTaken.
func (r *records) insert(ctx context.Context, s Sandbox) error {
	if err := r.store.InsertSandbox(ctx, s); err != nil {
		return err
	}
	r.publish(s.ID)
	return nil
}

// change stores and publishes a change. If change returns an error, nothing is stored. errDeleted for a change that
// would take back a deletion.
func (r *records) change(ctx context.Context, id string, change func(*Sandbox) error) (Sandbox, error) {
	s, err := r.store.ChangeSandbox(ctx, id, func(s *Sandbox) error {
		before := *s
		if err := change(s); err != nil {
			return err
		}
		if before.Desired == lifecycle.Destroyed && s.Desired != lifecycle.Destroyed {
			return errDeleted
		}
		s.UpdatedAt = time.Now().UTC()
		if s.State != before.State {
			if !lifecycle.CanStep(before.State, s.State) {
				return fault.Newf(fault.Conflict, "sandbox %s cannot go from %s to %s", s.ID, before.State, s.State)
			}
			s.StateAt = s.UpdatedAt
		}
		return nil
	})
	if err != nil {
		return Sandbox{}, err
	}
	r.logger.Debug("sandbox changed", logkey.Sandbox, s.ID, logkey.State, s.State, "desired", s.Desired)
	r.publish(id)
	return r.activity.addTo(s), nil
}

// remove deletes the record and the activity of a sandbox that the runner has removed.
func (r *records) remove(ctx context.Context, id string) error {
	if err := r.store.DeleteSandbox(ctx, id); err != nil {
		return err
	}
	r.activity.forget(id)
	r.publish(id)
	return nil
}
