package fleet

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/sandlot-dev/sandlot/internal/logkey"
)

// activityInterval is the time between two writes of activity. Each write is for all sandboxes. A crash loses the
// activity of one interval.
const activityInterval = 5 * time.Second

// activity has the latest traffic and the open connections of sandboxes. A sandbox without either is not in it.
type activity struct {
	store   Activities
	logger  *slog.Logger
	changed chan struct{} // of one; full when there is something to write or to forget

	mu   sync.Mutex
	byID map[string]*traffic
}

// traffic is the activity of one sandbox.
type traffic struct {
	last, stored time.Time
	open         int // proxied connections
}

func newActivity(store Activities, logger *slog.Logger) *activity {
	return &activity{store: store, logger: logger, changed: make(chan struct{}, 1), byID: map[string]*traffic{}}
}

// touch records traffic of a sandbox. opened is +1 when a proxied connection begins, -1 when it ends, and 0 for traffic
// without a connection.
func (a *activity) touch(id string, opened int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	t := a.byID[id]
	if t == nil {
		if opened < 0 { // the sandbox was removed while the connection was open
			return
		}
		t = &traffic{}
		a.byID[id] = t
	}
	t.last = time.Now().UTC()
	t.open = max(0, t.open+opened)
	a.notify()
}

func (a *activity) notify() {
	select {
	case a.changed <- struct{}{}:
	default: // it is full already
	}
}

// addTo sets activity that is not stored yet.
func (a *activity) addTo(s Sandbox) Sandbox {
	a.mu.Lock()
	defer a.mu.Unlock()
	if t := a.byID[s.ID]; t != nil {
		s.LastActivityAt = latest(t.last, s.LastActivityAt)
	}
	return s
}

// lastOf returns when a sandbox was active last: now, if it has an open connection.
func (a *activity) lastOf(s Sandbox, now time.Time) time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch t := a.byID[s.ID]; {
	case t == nil:
		return s.LastActivityAt
	case t.open > 0:
		return now
	default:
		return latest(t.last, s.LastActivityAt)
	}
}

func (a *activity) forget(id string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.byID, id)
}

// run writes activity, at most once in activityInterval, until ctx ends. Then it writes the rest.
func (a *activity) run(ctx context.Context) {
	defer a.flush(context.WithoutCancel(ctx))
	for {
		select {
		case <-a.changed:
		case <-ctx.Done():
			return
		}
		select {
		case <-time.After(activityInterval):
		case <-ctx.Done():
			return
		}
		a.flush(ctx)
	}
}

// flush writes all activity that is not stored yet, and forgets what the previous flush stored. It keeps what it stores
// itself until the next flush, for requests that read the record before this write.
func (a *activity) flush(ctx context.Context) {
	last := a.unstored()
	if len(last) == 0 {
		return
	}
	defer a.notify()
	if err := a.store.PutActivity(ctx, last); err != nil {
		if ctx.Err() == nil {
			a.logger.Warn("activity not written; trying again", "count", len(last), logkey.Err, err)
		}
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for id, at := range last {
		if t := a.byID[id]; t != nil {
			t.stored = at
		}
	}
}

// unstored returns the activity that is not stored. It forgets the stored activity of sandboxes without an open
// connection.
func (a *activity) unstored() map[string]time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	last := map[string]time.Time{}
	for id, t := range a.byID {
		switch {
		case t.last.After(t.stored):
			last[id] = t.last
		case t.open == 0:
			delete(a.byID, id)
		}
	}
	return last
}
