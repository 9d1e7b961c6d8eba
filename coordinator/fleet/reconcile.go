package fleet

import (
	"context"
	"errors"
	"time"

	"github.com/sandlot-dev/sandlot/internal/auth"
	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/internal/lifecycle"
	"github.com/sandlot-dev/sandlot/internal/logkey"
)

// retry is how long a step waits that failed because something was down. A full report, which follows when it is up again, ends
// the wait earlier.
const retry = 5 * time.Second

// stepLimit bounds one call of a runner.
const stepLimit = 5 * time.Minute

// kick makes sure that somebody looks at a sandbox after now.
func (m *Manager) kick(id string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return
	}
	if w := m.workers[id]; w != nil {
		w.again = true
		return
	}
	w := &worker{}
	m.workers[id] = w
	m.wg.Go(func() { m.work(id, w) })
}

func (m *Manager) busy(id string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.workers[id] != nil
}

// work takes steps until what is is what should be, or a step fails.
func (m *Manager) work(id string, w *worker) {
	for {
		more, err := m.step(m.ctx, id)
		if err != nil && m.ctx.Err() == nil {
			m.tellFailure(id, err)
			if fault.Retryable(err) {
				time.AfterFunc(retry, func() { m.kick(id) })
			}
			m.cfg.Logger.Warn("step failed", logkey.Sandbox, id, logkey.Err, err)
		}
		m.mu.Lock()
		if (!more && !w.again) || m.closed {
			delete(m.workers, id)
			m.mu.Unlock()
			return
		}
		w.again = false
		m.mu.Unlock()
	}
}

// step does what lifecycle.Plan says and stores the result. more asks for another step.
func (m *Manager) step(ctx context.Context, id string) (more bool, err error) {
	s, err := m.cfg.Store.SandboxByID(ctx, id)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	action, during := lifecycle.Plan(s.State, s.Desired)
	if action == lifecycle.Nothing {
		return false, nil
	}
	if s.State != during {
		if s, err = m.change(ctx, id, func(s *Sandbox) error { s.State = during; return nil }); err != nil {
			return false, err
		}
	}
	began := time.Now()
	o, err := m.do(ctx, action, s)
	if err != nil {
		return false, m.fail(ctx, id, action, err)
	}
	if action == lifecycle.Remove {
		s.State = lifecycle.Destroyed
		return false, m.gone(ctx, s)
	}
	m.cfg.Logger.Info("sandbox "+string(o.State), logkey.Sandbox, id, logkey.Took, time.Since(began))
	_, err = m.change(ctx, id, func(s *Sandbox) error {
		s.State, s.Reason = o.State, ""
		if o.State == lifecycle.Started {
			if action == lifecycle.Start {
				s.PreviewToken = auth.NewToken()
			}
			s.DaemonVersion = o.DaemonVersion
		}
		return nil
	})
	return true, err
}

func (m *Manager) do(ctx context.Context, action lifecycle.Action, s Sandbox) (lifecycle.Observed, error) {
	ctx, cancel := context.WithTimeout(ctx, stepLimit)
	defer cancel()
	switch action {
	case lifecycle.Create:
		return m.cfg.Runner.Create(ctx, s.spec())
	case lifecycle.Start:
		return m.cfg.Runner.Start(ctx, s.ID)
	case lifecycle.Stop:
		m.mu.Lock()
		force := m.forced[s.ID]
		delete(m.forced, s.ID)
		m.mu.Unlock()
		return m.cfg.Runner.Stop(ctx, s.ID, force)
	default:
		return lifecycle.Observed{}, m.cfg.Runner.Remove(ctx, s.ID)
	}
}

// fail keeps the record of a failed step. Where something was down the step stays to be taken again.
func (m *Manager) fail(ctx context.Context, id string, action lifecycle.Action, cause error) error {
	if ctx.Err() != nil || fault.KindOf(cause) == fault.Unavailable || action == lifecycle.Remove && fault.Retryable(cause) {
		return cause
	}
	_, err := m.change(ctx, id, func(s *Sandbox) error {
		if s.Desired == lifecycle.Destroyed { // removal is tried again, whatever came in between
			return nil
		}
		s.State, s.Reason = lifecycle.Error, cause.Error()
		return nil
	})
	return errors.Join(cause, err)
}

// gone forgets a sandbox that is removed.
func (m *Manager) gone(ctx context.Context, s Sandbox) error {
	if err := m.cfg.Store.DeleteSandbox(ctx, s.ID); err != nil {
		return err
	}
	m.mu.Lock()
	delete(m.active, s.ID)
	m.mu.Unlock()
	m.changed(s)
	return nil
}

// Report takes what a runner sees and returns the ids it should not have. It is safe against reports that are late: what a worker
// holds is left to the worker, whose own result is newer.
func (m *Manager) Report(ctx context.Context, r lifecycle.Report) ([]string, error) {
	if !r.Full {
		for _, o := range r.Sandboxes {
			if err := m.endedByItself(ctx, o); err != nil && !errors.Is(err, ErrNotFound) {
				return nil, err
			}
		}
		return nil, nil
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
		if m.busy(s.ID) {
			continue
		}
		if err := m.compare(ctx, s, o, there, r.At); err != nil {
			return nil, err
		}
	}
	surplus := make([]string, 0, len(seen))
	for id := range seen {
		surplus = append(surplus, id)
	}
	return surplus, nil
}

// compare holds a record against a full report made at a time.
func (m *Manager) compare(ctx context.Context, s Sandbox, o lifecycle.Observed, there bool, at time.Time) error {
	if s.State.Settled() && s.State != lifecycle.Error && s.StateAt.Before(at) {
		to, reason := o.State, o.Reason
		if !there {
			to, reason = lifecycle.Error, "its container is no longer on the runner; delete it"
		}
		if to != s.State {
			changed, err := m.change(ctx, s.ID, func(s *Sandbox) error { s.State, s.Reason = to, reason; return nil })
			if err != nil {
				return err
			}
			s = changed
		}
	}
	if action, _ := lifecycle.Plan(s.State, s.Desired); action != lifecycle.Nothing {
		m.kick(s.ID)
	}
	return nil
}

// endedByItself takes one change that nobody asked for.
func (m *Manager) endedByItself(ctx context.Context, o lifecycle.Observed) error {
	if m.busy(o.ID) {
		m.kick(o.ID)
		return nil
	}
	_, err := m.change(ctx, o.ID, func(s *Sandbox) error {
		switch {
		case !s.State.Settled():
		case o.State == lifecycle.Stopped:
			s.State, s.Desired, s.Reason = lifecycle.Stopped, lifecycle.Stopped, o.Reason
		case o.State == lifecycle.Started:
			s.State, s.Desired = lifecycle.Started, lifecycle.Started
		default:
			s.State, s.Reason = lifecycle.Error, o.Reason
		}
		return nil
	})
	return err
}
