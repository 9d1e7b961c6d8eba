package fleet

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/sandlot-dev/sandlot/internal/lifecycle"
	"github.com/sandlot-dev/sandlot/internal/logkey"
)

// clockInterval is the least time between two looks of the clock, however much changes.
const clockInterval = time.Second

// clock expires sandboxes: it stops the idle and deletes what has reached its end. It keeps no deadline of a runner that has not reported: until
// then the records may be older than what is.
type clock struct {
	records *records
	workers *workers
	logger  *slog.Logger
	began   time.Time     // UTC; nobody saw before it whether a sandbox was idle
	changed chan struct{} // holds one: a deadline may have changed

	mu      sync.Mutex
	trusted map[string]bool // runners that have reported
}

// wake has the clock look for new deadlines.
func (c *clock) wake() {
	select {
	case c.changed <- struct{}{}:
	default: // it has yet to look
	}
}

// trust has the clock keep the deadlines of a runner from now on: it has reported what it has.
func (c *clock) trust(runner string) {
	c.mu.Lock()
	c.trusted[runner] = true
	c.mu.Unlock()
	c.wake()
}

// run expires what is due, and sleeps until the next deadline, until ctx ends.
func (c *clock) run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	var last time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.changed:
			if wait := clockInterval - time.Since(last); wait > 0 {
				timer.Reset(wait)
				continue
			}
		case <-timer.C:
		}
		last = time.Now()
		next, err := c.expire(ctx, last)
		if err != nil && ctx.Err() == nil {
			c.logger.Warn("idle sandboxes not looked at; trying again", logkey.Err, err)
			next = last.Add(retryInterval)
		}
		if next.IsZero() {
			timer.Stop()
		} else {
			timer.Reset(max(time.Until(next), clockInterval))
		}
	}
}

// expire does what is due now and returns the next deadline, zero for none.
func (c *clock) expire(ctx context.Context, now time.Time) (next time.Time, err error) {
	c.mu.Lock()
	trusted := slices.Collect(maps.Keys(c.trusted))
	c.mu.Unlock()
	for _, runner := range trusted {
		at, err := c.expireOn(ctx, runner, now)
		if err != nil {
			return time.Time{}, err
		}
		next = earliest(next, at)
	}
	return next, nil
}

// expireOn is expire for one runner.
func (c *clock) expireOn(ctx context.Context, runner string, now time.Time) (next time.Time, err error) {
	all, err := c.records.store.SandboxesOn(ctx, runner)
	if err != nil {
		return time.Time{}, err
	}
	for _, s := range all {
		at, to := c.deadline(s)
		switch {
		case at.IsZero():
		case !at.After(now):
			if err := c.expireOne(ctx, s.ID, now, to); err != nil {
				return time.Time{}, err
			}
		default:
			next = earliest(next, at)
		}
	}
	return next, nil
}

// expireOne changes what is wanted of a sandbox, if that is still due.
func (c *clock) expireOne(ctx context.Context, id string, now time.Time, to lifecycle.State) error {
	_, err := c.records.change(ctx, id, func(s *Sandbox) error {
		at, again := c.deadline(*s)
		if again != to || at.After(now) {
			return errOld
		}
		s.Desired = to
		return nil
	})
	switch {
	case errors.Is(err, errOld), errors.Is(err, ErrNotFound): // something came in between, which wakes the clock
		return nil
	case err != nil:
		return err
	}
	c.logger.Info("deadline reached", logkey.Sandbox, id, logkey.State, to)
	c.workers.enqueue(id)
	return nil
}

// deadline returns when a sandbox is to be stopped or destroyed by itself, zero for never.
func (c *clock) deadline(s Sandbox) (at time.Time, to lifecycle.State) {
	if s.Desired == lifecycle.Destroyed {
		return time.Time{}, ""
	}
	sooner := func(t time.Time, state lifecycle.State) {
		if earliest(at, t) != at {
			at, to = t, state
		}
	}
	if !s.DestroyAt.IsZero() {
		sooner(s.DestroyAt, lifecycle.Destroyed)
	}
	s = c.records.activity.addTo(s)
	switch {
	case s.State == lifecycle.Started && s.Desired == lifecycle.Started && s.AutoStop > 0 && !c.records.activity.open(s.ID):
		sooner(latest(s.LastActivityAt, s.StateAt, c.began).Add(time.Duration(s.AutoStop)*time.Minute), lifecycle.Stopped)
	case s.State == lifecycle.Stopped && s.Desired == lifecycle.Stopped && s.AutoDelete >= 0:
		sooner(s.StateAt.Add(time.Duration(s.AutoDelete)*time.Minute), lifecycle.Destroyed)
	}
	return at, to
}

// earliest returns the earlier of two times; zero is none.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

func latest(of ...time.Time) (last time.Time) {
	for _, t := range of {
		if t.After(last) {
			last = t
		}
	}
	return last
}
