package fleet

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/sandlot-dev/sandlot/internal/lifecycle"
)

// errOld is returned for a finding that changes nothing: the record has a newer one, or has the same state.
var errOld = errors.New("nothing new")

// Report stores the findings of a runner. It returns the sandboxes that the runner still has although their deletion is
// on record. A sandbox without a record is not among them: it is left alone, and the operator finds it in the log.
// Findings take effect in the order of their numbers, not in that of their arrival. If one cannot be stored, the others
// are; its error is returned, and the next full report repeats it.
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
		if old := s; look(&old) == nil { // only a finding that changes the record costs a transaction
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

// observe stores a finding and enqueues the sandbox if a step is needed then. A missing record is no error.
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

// observe applies a finding to the record. It returns errOld and changes nothing if the record has a newer finding or
// the same state.
//
// A sandbox that ended by itself becomes desired stopped, unless it ended with its engine. A sandbox that runs by
// itself becomes desired started. A step under way is left to its worker, unless the runner saw the sandbox end. A
// deletion is never taken back.
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
		s.StateAt = o.Since // it ran since; this record is from an older database
	case o.Cause == lifecycle.Itself && o.State == s.State: // restarted: a change publishes its new address
	default:
		return errOld
	}
	s.Seen = o.Seq
	return nil
}

// miss applies a full report, taken at the number seq, that does not have the sandbox.
func (s *Sandbox) miss(seq uint64) error {
	if seq < s.Seen || s.Desired == lifecycle.Destroyed || s.State != lifecycle.Started && s.State != lifecycle.Stopped {
		return errOld
	}
	s.State, s.Reason = lifecycle.Error, "its container is no longer on the runner; delete it"
	return nil
}
