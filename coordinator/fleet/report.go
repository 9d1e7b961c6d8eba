package fleet

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/sandlot-dev/sandlot/internal/lifecycle"
)

// errOld is returned by observe for what changes nothing: the record has taken something newer, or says the same
// already.
var errOld = errors.New("nothing new")

// Report takes what a runner sees and returns the sandboxes that were deleted, of which the runner still has
// something. What a runner has and no record knows is no such sandbox: it is left alone and told to the operator.
// Findings are taken in the order of their numbers, whatever the order in which they come. One that cannot be taken
// does not keep the others; its error is returned, and the next full report has it again.
func (m *Manager) Report(ctx context.Context, r lifecycle.Report) (deleted []string, err error) {
	if !r.Full {
		for _, o := range r.Sandboxes {
			err = errors.Join(err, m.observe(ctx, o.ID, func(s *Sandbox) error { return s.observe(o) }))
		}
		return nil, err
	}
	records, err := m.cfg.Store.SandboxesOn(ctx, r.Runner)
	if err != nil {
		return nil, err
	}
	seen := map[string]lifecycle.Observed{}
	for _, o := range r.Sandboxes {
		seen[o.ID] = o
	}
	for _, s := range records {
		o, there := seen[s.ID]
		delete(seen, s.ID)
		look := func(s *Sandbox) error { return s.observe(o) }
		if !there {
			look = func(s *Sandbox) error { return s.miss(r.Seq) }
		}
		if old := s; look(&old) == nil { // worth a transaction
			err = errors.Join(err, m.observe(ctx, s.ID, look))
		} else {
			m.workers.enqueueIfPlanned(s)
		}
	}
	strangers := make([]string, 0, len(seen))
	for id := range seen {
		strangers = append(strangers, id)
	}
	if err != nil {
		return nil, err
	}
	if deleted, err = m.cfg.Store.Deleted(ctx, strangers); err != nil {
		return nil, err
	}
	m.strangers.log(slices.DeleteFunc(strangers, func(id string) bool { return slices.Contains(deleted, id) }))
	m.clock.trust(r.Runner)
	return deleted, nil
}

// observe changes a record by a finding and has the difference closed that is left. No record is no error.
func (m *Manager) observe(ctx context.Context, id string, look func(*Sandbox) error) error {
	s, err := m.records.change(ctx, id, look)
	switch {
	case errors.Is(err, errOld), errors.Is(err, ErrNotFound):
		return nil
	case err != nil:
		return err
	}
	m.workers.enqueueIfPlanned(s)
	return nil
}

// observe takes what a runner saw of the sandbox. It returns errOld and changes nothing when the record has something
// newer, or nothing is new.
//
// What ended without having been asked for is not wanted to run any more, unless it ended with its engine. What runs
// without having been asked for is wanted to run. What is under way stays with its worker, but for an end that the
// runner saw happen. Nothing takes back a deletion.
func (s *Sandbox) observe(o lifecycle.Observed) error {
	if o.Seq <= s.Seen || s.Desired == lifecycle.Destroyed {
		return errOld
	}
	switch {
	case o.State == lifecycle.Stopped && s.State == lifecycle.Started:
		s.State, s.Reason = lifecycle.Stopped, o.Reason
		if o.Cause != lifecycle.WithHost {
			s.Desired = lifecycle.Stopped
		}
	case o.State == lifecycle.Stopped && o.Cause == lifecycle.Itself && s.State != lifecycle.Stopped:
		s.State, s.Desired, s.Reason = lifecycle.Stopped, lifecycle.Stopped, o.Reason
	case o.State == lifecycle.Started &&
		(s.State == lifecycle.Stopped || s.State == lifecycle.Error && o.Cause == lifecycle.Itself):
		s.State, s.Desired, s.Reason = lifecycle.Started, lifecycle.Started, ""
	case o.State == lifecycle.Destroyed && s.State != lifecycle.Error:
		s.State, s.Reason = lifecycle.Error, o.Reason
	case o.State == lifecycle.Stopped && s.State == lifecycle.Stopped && o.Since.After(s.StateAt.Add(time.Minute)):
		s.StateAt = o.Since // it ran since, as this record, from an older database, cannot know
	case o.Cause == lifecycle.Itself && o.State == s.State: // restarted: whoever knows its address must learn the new one
	default:
		return errOld
	}
	s.Seen = o.Seq
	return nil
}

// miss takes that a full report of a number has no such sandbox.
func (s *Sandbox) miss(seq uint64) error {
	if seq < s.Seen || s.Desired == lifecycle.Destroyed || s.State != lifecycle.Started && s.State != lifecycle.Stopped {
		return errOld
	}
	s.State, s.Reason = lifecycle.Error, "its container is no longer on the runner; delete it"
	return nil
}
