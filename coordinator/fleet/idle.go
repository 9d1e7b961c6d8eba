package fleet

import (
	"context"
	"errors"
	"time"

	"github.com/sandlot-dev/sandlot/internal/lifecycle"
	"github.com/sandlot-dev/sandlot/internal/logkey"
)

// activityStep is how much newer activity must be to be written.
const activityStep = 5 * time.Second

// Touch notes traffic of a sandbox: opened is +1 when a proxied connection begins, -1 when it ends and 0 for a moment's.
func (m *Manager) Touch(id string, opened int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	a := m.active[id]
	if a == nil {
		if opened < 0 { // it was removed, with its connections open
			return
		}
		a = &activity{}
		m.active[id] = a
	}
	a.last = time.Now().UTC()
	a.open += opened
	if a.open == 0 && opened < 0 {
		m.ringLocked()
	}
	if a.last.Sub(a.stored) >= activityStep && !m.closed {
		at := a.last
		a.stored = at
		m.wg.Go(func() {
			switch err := m.cfg.Store.Touch(m.ctx, id, at); {
			case errors.Is(err, ErrNotFound): // a request that was on its way when the sandbox was removed
				m.mu.Lock()
				delete(m.active, id)
				m.mu.Unlock()
			case err != nil && m.ctx.Err() == nil:
				m.cfg.Logger.Warn("activity not written", logkey.Sandbox, id, logkey.Err, err)
			}
		})
	}
}

// Refresh notes activity of a sandbox of an organisation. ErrNotFound.
func (m *Manager) Refresh(ctx context.Context, organization, idOrName string) error {
	s, err := m.Get(ctx, organization, idOrName)
	if err != nil {
		return err
	}
	m.Touch(s.ID, 0)
	return nil
}

func (m *Manager) withActivity(s Sandbox) Sandbox {
	m.mu.Lock()
	defer m.mu.Unlock()
	if a := m.active[s.ID]; a != nil && a.last.After(s.LastActivityAt) {
		s.LastActivityAt = a.last
	}
	return s
}

func (m *Manager) storeActivity(ctx context.Context) {
	m.mu.Lock()
	last := map[string]time.Time{}
	for id, a := range m.active {
		if a.last.After(a.stored) {
			last[id] = a.last
		}
	}
	m.mu.Unlock()
	for id, at := range last {
		if err := m.cfg.Store.Touch(ctx, id, at); err != nil && !errors.Is(err, ErrNotFound) {
			m.cfg.Logger.Warn("activity not written", logkey.Sandbox, id, logkey.Err, err)
		}
	}
}

func (m *Manager) ring() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ringLocked()
}

func (m *Manager) ringLocked() {
	select {
	case m.alarm <- struct{}{}:
	default:
	}
}

// look is the least time between two looks of the clock, however much changes.
const look = time.Second

// clock stops, deletes and ends what is due, and sleeps until the next is.
func (m *Manager) clock(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	var last time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-m.alarm:
			if wait := look - time.Since(last); wait > 0 {
				timer.Reset(wait)
				continue
			}
		case <-timer.C:
		}
		last = time.Now()
		next, err := m.tidy(ctx, last)
		if err != nil && ctx.Err() == nil {
			m.cfg.Logger.Warn("idle sandboxes not looked at; trying again", logkey.Err, err)
			next = last.Add(retry)
		}
		if next.IsZero() {
			timer.Stop()
		} else {
			timer.Reset(max(time.Until(next), look))
		}
	}
}

// tidy does what is due now and returns when the next will be, zero for never. Before the first full report nothing is done: the records may
// be old.
func (m *Manager) tidy(ctx context.Context, now time.Time) (time.Time, error) {
	m.mu.Lock()
	reported := m.reported
	m.mu.Unlock()
	if !reported {
		return time.Time{}, nil
	}
	all, err := m.cfg.Store.SandboxesOn(ctx, m.cfg.RunnerID)
	if err != nil {
		return time.Time{}, err
	}
	var next time.Time
	for _, s := range all {
		at, to := m.deadline(m.withActivity(s))
		if at.IsZero() {
			continue
		}
		if at.After(now) {
			if next.IsZero() || at.Before(next) {
				next = at
			}
			continue
		}
		switch _, err := m.change(ctx, s.ID, func(s *Sandbox) error {
			at, again := m.deadline(m.withActivity(*s))
			if again != to || at.After(now) {
				return errOld
			}
			s.Desired = to
			return nil
		}); {
		case errors.Is(err, errOld), errors.Is(err, ErrNotFound): // something came in between, which has the clock look again
		case err != nil:
			return time.Time{}, err
		default:
			m.cfg.Logger.Info("deadline reached", logkey.Sandbox, s.ID, logkey.State, to)
			m.kick(s.ID)
		}
	}
	return next, nil
}

// deadline returns when a sandbox is to be stopped or destroyed by itself, zero for never.
func (m *Manager) deadline(s Sandbox) (at time.Time, to lifecycle.State) {
	if s.Desired == lifecycle.Destroyed {
		return time.Time{}, ""
	}
	sooner := func(t time.Time, state lifecycle.State) {
		if at.IsZero() || t.Before(at) {
			at, to = t, state
		}
	}
	if !s.DestroyAt.IsZero() {
		sooner(s.DestroyAt, lifecycle.Destroyed)
	}
	m.mu.Lock()
	open := m.active[s.ID] != nil && m.active[s.ID].open > 0
	m.mu.Unlock()
	switch {
	case s.State == lifecycle.Started && s.Desired == lifecycle.Started && s.AutoStop > 0 && !open:
		sooner(latest(latest(s.LastActivityAt, s.StateAt), m.began).Add(time.Duration(s.AutoStop)*time.Minute), lifecycle.Stopped)
	case s.State == lifecycle.Stopped && s.Desired == lifecycle.Stopped && s.AutoDelete >= 0:
		sooner(s.StateAt.Add(time.Duration(s.AutoDelete)*time.Minute), lifecycle.Destroyed)
	}
	return at, to
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
