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

// clockInterval is the least time between two look-ups of the clock, no matter how much changes.
const clockInterval = time.Second

// clock expires sandboxes: it stops idle ones and deletes those that have reached their end. It ignores the deadlines
// of a runner that has not reported yet, because its records may be out of date.
type clock struct {
	store   Deadlines
	records *records
	workers *workers
	logger  *slog.Logger
	began   time.Time     // UTC; idle time is counted from here at the earliest
	changed chan struct{} // of one; full when a deadline may have changed

	mu      sync.Mutex
	trusted map[string]bool // runners that have reported
}

// wake makes the clock look up the next deadline.
func (c *clock) wake() {
	select {
	case c.changed <- struct{}{}:
	default: // a look-up is pending
	}
}

// trust makes the clock keep the deadlines of a runner, which has sent a full report.
func (c *clock) trust(runner string) {
	c.mu.Lock()
	c.trusted[runner] = true
	c.mu.Unlock()
	c.wake()
}

// run expires sandboxes at their deadlines until ctx ends.
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

// expire expires all sandboxes that are due and returns the next deadline, zero for none.
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

// expireBatch is how many sandboxes that may be due are read at once.
const expireBatch = 500

// expireOn is expire for one runner. It reads only the sandboxes that are due in the store. It postpones those of them
// that have been active since or have an open connection.
func (c *clock) expireOn(ctx context.Context, runner string, now time.Time) (next time.Time, err error) {
	for more := true; more; {
		due, err := c.store.Due(ctx, runner, now, expireBatch)
		if err != nil {
			return time.Time{}, err
		}
		more = len(due) == expireBatch
		var later []Postponed
		for _, s := range due {
			at, to := c.deadline(s, now)
			if to == "" || at.After(now) {
				later = append(later, Postponed{ID: s.ID, Version: s.Version, DueAt: at})
			} else if err := c.expireOne(ctx, s.ID, now, to); err != nil {
				return time.Time{}, err
			}
		}
		if len(later) == 0 {
			continue
		}
		if err := c.store.Postpone(ctx, later); err != nil {
			return time.Time{}, err
		}
	}
	return c.store.NextDue(ctx, runner)
}

// expireOne changes what is wanted of a sandbox, if that is still due.
func (c *clock) expireOne(ctx context.Context, id string, now time.Time, to lifecycle.State) error {
	_, err := c.records.change(ctx, id, func(s *Sandbox) error {
		at, again := c.deadline(*s, now)
		if again != to || at.After(now) {
			return errOld
		}
		s.Desired = to
		return nil
	})
	switch {
	case errors.Is(err, errOld), errors.Is(err, ErrNotFound): // the record has changed; the next look-up decides
		return nil
	case err != nil:
		return err
	}
	c.logger.Info("deadline reached", logkey.Sandbox, id, logkey.State, to)
	c.workers.enqueue(id)
	return nil
}

// deadline is Sandbox.deadline with the activity of the moment.
func (c *clock) deadline(s Sandbox, now time.Time) (at time.Time, to lifecycle.State) {
	return s.deadline(latest(c.records.activity.lastOf(s, now), c.began))
}

// Due returns the earliest time at which the sandbox may expire, zero for never. It is computed from the record alone.
// Activity that is not in the record only postpones the deadline, so no deadline is before Due.
func (s *Sandbox) Due() time.Time {
	at, _ := s.deadline(s.LastActivityAt)
	return at
}

// deadline returns when a sandbox expires and the state that it then should have; zero and "" for never. active is the
// time of its latest activity.
func (s *Sandbox) deadline(active time.Time) (at time.Time, to lifecycle.State) {
	if s.Desired == lifecycle.Destroyed {
		return time.Time{}, ""
	}
	if !s.DestroyAt.IsZero() {
		at, to = s.DestroyAt, lifecycle.Destroyed
	}
	sooner := func(t time.Time, state lifecycle.State) {
		if to == "" || t.Before(at) {
			at, to = t, state
		}
	}
	switch {
	case s.State == lifecycle.Started && s.Desired == lifecycle.Started && s.AutoStop > 0:
		sooner(latest(active, s.StateAt).Add(time.Duration(s.AutoStop)*time.Minute), lifecycle.Stopped)
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

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
