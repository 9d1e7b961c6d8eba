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

// work takes steps until what is is what should be, or a step fails.
func (m *Manager) work(id string, w *worker) {
	for {
		more, err := m.step(m.ctx, id)
		if err != nil && m.ctx.Err() == nil {
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
		return m.fail(ctx, s, action, err)
	}
	if action == lifecycle.Remove {
		return false, m.gone(ctx, s)
	}
	m.cfg.Logger.Info("sandbox "+string(o.State), logkey.Sandbox, id, logkey.Took, time.Since(began))
	_, err = m.change(ctx, id, func(s *Sandbox) error {
		if o.Seq <= s.Seen { // the runner has told of something that came after
			return errOld
		}
		s.State, s.Reason, s.Seen, s.Forced = o.State, "", o.Seq, false
		if o.State == lifecycle.Started {
			if action == lifecycle.Start {
				s.PreviewToken = auth.NewToken()
			}
			s.DaemonVersion = o.DaemonVersion
		}
		return nil
	})
	if errors.Is(err, errOld) { // whoever took what is newer asked for the next step
		return false, nil
	}
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
		return m.cfg.Runner.Stop(ctx, s.ID, s.Forced)
	default:
		return lifecycle.Observed{}, m.cfg.Runner.Remove(ctx, s.ID)
	}
}

// fail keeps the record of a failed step that was planned for s, and tells those who wait for it. Where something was down the step stays to be
// taken again; where something else is wanted by now, that is what comes next.
func (m *Manager) fail(ctx context.Context, planned Sandbox, action lifecycle.Action, cause error) (more bool, err error) {
	m.noteFailure(planned, cause)
	defer m.wake(planned.ID)
	if ctx.Err() != nil || fault.KindOf(cause) == fault.Unavailable || action == lifecycle.Remove && fault.Retryable(cause) {
		return false, cause
	}
	_, err = m.change(ctx, planned.ID, func(s *Sandbox) error {
		if s.Desired == lifecycle.Destroyed { // removal is tried again, whatever came in between
			return errOld
		}
		if s.Desired != planned.Desired || s.State != planned.State {
			more = true
			return errOld
		}
		s.State, s.Reason = lifecycle.Error, cause.Error()
		return nil
	})
	if errors.Is(err, errOld) || errors.Is(err, ErrNotFound) {
		err = nil
	}
	return more, errors.Join(cause, err)
}

// gone forgets a sandbox that is removed.
func (m *Manager) gone(ctx context.Context, s Sandbox) error {
	if err := m.cfg.Store.DeleteSandbox(ctx, s.ID); err != nil {
		return err
	}
	m.mu.Lock()
	delete(m.active, s.ID)
	m.mu.Unlock()
	m.changed(s.ID)
	return nil
}
