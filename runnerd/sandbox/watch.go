package sandbox

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"time"

	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/internal/lifecycle"
	"github.com/sandlot-dev/sandlot/internal/logkey"
)

// Run follows the engine and reports until ctx ends. While the engine is away it tries again, at first after 100 ms and at most
// every 2 s; when it is back everything is reported in full.
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
		if fault.KindOf(err) != fault.Unavailable { // else it says by itself what to do
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

// heartbeats reports in full with every heartbeat, and soon after a report that was not taken: after a second, then twice as long each time.
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

// reportAll lists, reports in full and removes what is left of deleted sandboxes. A sandbox that an operation holds is reported as it was
// seen last: the operation's own result follows.
func (m *Manager) reportAll(ctx context.Context, to Reporter) (taken bool, err error) {
	m.mu.Lock()
	r := lifecycle.Report{Runner: m.cfg.Runner, Full: true, Seq: m.seq}
	m.mu.Unlock()
	list, err := m.cfg.Driver.List(ctx)
	if err != nil {
		return false, err
	}
	there := map[string]bool{}
	for _, c := range list {
		there[c.ID] = true
		r.Sandboxes = append(r.Sandboxes, m.note(c, r.Seq))
	}
	for _, id := range m.missing(there) {
		unlock, err := m.locks.Lock(ctx, id) // whoever held it may just have made it
		if err != nil {
			return false, err
		}
		if _, err := m.cfg.Driver.Inspect(ctx, id); errors.Is(err, ErrNotFound) {
			m.forget(id)
		}
		unlock()
	}
	deleted, err := to.Report(ctx, r)
	if err != nil {
		m.notTaken("full report was not taken; another follows", err)
		return false, nil
	}
	for _, id := range deleted {
		m.wg.Go(func() {
			if err := m.Remove(ctx, id); err != nil {
				m.cfg.Logger.Warn("what is left of a deleted sandbox stays until the next heartbeat", logkey.Sandbox, id, logkey.Err, err)
			}
		})
	}
	return true, nil
}

// changed looks again at one sandbox and reports it if it is not as it was seen last. Many changes of one sandbox that come while
// a look waits are one look.
func (m *Manager) changed(ctx context.Context, to Reporter, id string, ended bool) {
	m.mu.Lock()
	if c := m.starting[id]; c != nil && ended {
		select {
		case c <- struct{}{}:
		default: // it was told already
		}
	}
	waiting := m.dirty[id]
	m.dirty[id] = true
	m.mu.Unlock()
	if waiting {
		return
	}
	m.wg.Go(func() {
		unlock, err := m.locks.Lock(ctx, id)
		if err == nil {
			defer unlock()
		}
		m.mu.Lock()
		delete(m.dirty, id)
		before, known := m.seen[id]
		addr := m.addrs[id]
		m.mu.Unlock()
		if !known || err != nil {
			return // never reported, or removed by this runner; after an error the next full report tells
		}
		var o lifecycle.Observed
		switch c, err := m.cfg.Driver.Inspect(ctx, id); {
		case errors.Is(err, ErrNotFound):
			o = m.remember(lifecycle.Observed{
				ID: id, State: lifecycle.Destroyed, Cause: lifecycle.Itself, Reason: "its container was removed from the engine by someone else",
			}, netip.Addr{})
			m.forget(id)
		case err != nil:
			return // the engine is going away: the next full report tells
		default:
			o = m.note(c, always)
		}
		m.mu.Lock()
		moved := m.addrs[id] != addr // restarted behind our back: who goes to the old address has to learn it
		m.mu.Unlock()
		if o.State == before.State && !moved {
			return
		}
		m.cfg.Logger.Info("sandbox changed by itself", logkey.Sandbox, id, logkey.State, o.State, "reason", o.Reason)
		if _, err := to.Report(ctx, lifecycle.Report{Runner: m.cfg.Runner, Sandboxes: []lifecycle.Observed{o}}); err != nil {
			m.notTaken("change was not taken; a full report follows", err)
		}
	})
}

// notTaken asks for a full report soon.
func (m *Manager) notTaken(what string, err error) {
	m.cfg.Logger.Warn(what, logkey.Err, err)
	select {
	case m.untaken <- struct{}{}:
	default: // asked for already
	}
}

// always marks a look that was made under the sandbox's lock, so that nothing newer can be known.
const always = math.MaxUint64

// note keeps what the engine said of one sandbox after a point in seq, unless something newer is known. Without a change it returns what was
// found out before, by its number: so an end is told, as what it was, until it is taken.
func (m *Manager) note(c Container, after uint64) lifecycle.Observed {
	o := lifecycle.Observed{ID: c.ID, State: lifecycle.Stopped, Since: c.Since}
	var addr netip.Addr
	switch {
	case c.Running:
		o.State, addr = lifecycle.Started, c.Addr
	case c.WithHost:
		o.Cause, o.Reason = lifecycle.WithHost, "its engine or host went down"
	case c.Started && (c.OutOfMemory || c.ExitCode != 0):
		o.Reason = exitReason(c)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	before, known := m.seen[c.ID]
	if known && (before.Seq > after || after != always && m.locks.InUse(c.ID)) {
		return before
	}
	if known && before.State == o.State && m.addrs[c.ID] == addr {
		return before
	}
	if known && o.Cause != lifecycle.WithHost {
		o.Cause = lifecycle.Itself
	}
	if known && before.State == o.State {
		o.DaemonVersion = before.DaemonVersion
	}
	return m.rememberLocked(o, addr)
}

// missing returns the sandboxes seen before that are not in there.
func (m *Manager) missing(there map[string]bool) []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var ids []string
	for id := range m.seen {
		if !there[id] {
			ids = append(ids, id)
		}
	}
	return ids
}
