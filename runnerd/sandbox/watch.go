package sandbox

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/internal/lifecycle"
	"github.com/sandlot-dev/sandlot/internal/logkey"
)

// Run follows the engine and reports until ctx ends. While the engine does not answer, Run tries again after 100 ms,
// and later at most every 2 s. Once the engine answers, everything is reported in full.
func (m *Manager) Run(ctx context.Context, to Reporter) error {
	defer m.wg.Wait()
	wait := 100 * time.Millisecond
	for ctx.Err() == nil {
		err := m.follow(ctx, to, func() {
			wait = 100 * time.Millisecond
			m.setDown(nil)
		})
		if ctx.Err() != nil {
			break
		}
		if fault.KindOf(err) != fault.Unavailable { // an Unavailable error says itself what to do
			err = fmt.Errorf("%w: %w", ErrEngineDown, err)
		}
		m.setDown(err)
		m.cfg.Logger.Warn("lost the container engine; trying again", logkey.Err, err, "wait", wait)
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
		wait = min(2*wait, 2*time.Second)
	}
	return nil
}

// follow watches one connection to the engine.
func (m *Manager) follow(ctx context.Context, to Reporter, connected func()) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	m.wg.Go(func() { m.heartbeats(ctx, cancel, to) })
	return m.cfg.Driver.Watch(ctx, func() {
		if _, err := m.reportAll(ctx, to); err != nil {
			cancel(err)
			return
		}
		connected()
	}, func(id string, ended bool) { m.changed(ctx, to, id, ended) })
}

// heartbeats reports in full at every heartbeat. After a report that was not taken it reports again sooner: after a
// second, then after twice as long each time.
func (m *Manager) heartbeats(ctx context.Context, cancel context.CancelCauseFunc, to Reporter) {
	next := time.NewTimer(m.cfg.Heartbeat)
	defer next.Stop()
	for again := time.Second; ; {
		select {
		case <-ctx.Done():
			return
		case <-m.untaken:
			next.Reset(again)
			continue
		case <-next.C:
		}
		taken, err := m.reportAll(ctx, to)
		if err != nil {
			cancel(err)
			return
		}
		if again = min(2*again, m.cfg.Heartbeat); taken {
			again = time.Second
		}
		next.Reset(m.cfg.Heartbeat)
	}
}

// reportAll lists all containers, reports them in full and removes what is left of deleted sandboxes. A sandbox that an
// operation holds is reported as it was last seen; the operation returns the newer finding.
func (m *Manager) reportAll(ctx context.Context, to Reporter) (taken bool, err error) {
	r := lifecycle.Report{Runner: m.cfg.Runner, Full: true, Seq: m.found.last()}
	list, err := m.cfg.Driver.List(ctx)
	if err != nil {
		return false, err
	}
	there := map[string]bool{}
	for _, c := range list {
		there[c.ID] = true
		r.Sandboxes = append(r.Sandboxes, m.found.update(c, r.Seq, m.locks.InUse))
	}
	for _, id := range m.found.missing(there) {
		if err := m.forgetIfGone(ctx, id); err != nil {
			return false, err
		}
	}
	deleted, err := to.Report(ctx, r)
	if err != nil {
		m.notTaken("full report was not taken; another follows", err)
		return false, nil
	}
	for _, id := range deleted {
		m.wg.Go(func() {
			if err := m.Remove(ctx, id); err != nil {
				m.cfg.Logger.Warn("what is left of a deleted sandbox stays until the next heartbeat", logkey.Sandbox, id,
					logkey.Err, err)
			}
		})
	}
	return true, nil
}

// forgetIfGone forgets a sandbox that a list did not have. It looks again under the sandbox's lock, since an
// operation may have made the container after the list.
func (m *Manager) forgetIfGone(ctx context.Context, id string) error {
	unlock, err := m.locks.Lock(ctx, id)
	if err != nil {
		return err
	}
	defer unlock()
	if _, err := m.cfg.Driver.Inspect(ctx, id); notHere(err) {
		m.found.forget(id)
	}
	return nil
}

// changed looks again at one sandbox. Changes that come while a look is pending cause no further look.
func (m *Manager) changed(ctx context.Context, to Reporter, id string, ended bool) {
	m.mu.Lock()
	if c := m.starting[id]; c != nil && ended {
		select {
		case c <- struct{}{}:
		default: // it holds a value already
		}
	}
	pending := m.dirty[id]
	m.dirty[id] = true
	m.mu.Unlock()
	if !pending {
		m.wg.Go(func() { m.lookAgain(ctx, to, id) })
	}
}

// lookAgain reports a sandbox if it is not as it was last seen.
func (m *Manager) lookAgain(ctx context.Context, to Reporter, id string) {
	unlock, err := m.locks.Lock(ctx, id)
	if err == nil {
		defer unlock()
	}
	m.mu.Lock()
	delete(m.dirty, id)
	m.mu.Unlock()
	before, known := m.found.of(id)
	if !known || err != nil {
		return // never reported, or removed by this runner; after an error the next full report tells
	}
	var o lifecycle.Observed
	switch c, err := m.cfg.Driver.Inspect(ctx, id); {
	case notHere(err):
		o = m.found.record(lifecycle.Observed{
			ID: id, State: lifecycle.Destroyed, Cause: lifecycle.Itself,
			Reason: "its container was removed from the engine by someone else",
		}, netip.Addr{})
		m.found.forget(id)
	case err != nil:
		return // the connection to the engine is ending: the next full report tells
	default:
		o = m.found.update(c, always, nil)
	}
	// A sandbox that somebody restarted may have a new address, which callers have to learn.
	if after, _ := m.found.of(id); o.State == before.State && after.addr == before.addr {
		return
	}
	m.cfg.Logger.Info("sandbox changed by itself", logkey.Sandbox, id, logkey.State, o.State, "reason", o.Reason)
	if _, err := to.Report(ctx, lifecycle.Report{Runner: m.cfg.Runner, Sandboxes: []lifecycle.Observed{o}}); err != nil {
		m.notTaken("change was not taken; a full report follows", err)
	}
}

// notTaken asks for a full report soon.
func (m *Manager) notTaken(what string, err error) {
	m.cfg.Logger.Warn(what, logkey.Err, err)
	select {
	case m.untaken <- struct{}{}:
	default: // one is asked for already
	}
}
