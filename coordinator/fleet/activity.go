package fleet

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/sandlot-dev/sandlot/internal/logkey"
)

// activityInterval is how much newer activity must be to be written.
const activityInterval = 5 * time.Second

// activity knows the traffic of every sandbox that had some lately. It is kept here so that a busy sandbox is not a write per request.
type activity struct {
	store  Store
	logger *slog.Logger
	ctx    context.Context //nolint:containedctx // of the writes, which outlive the requests that cause them; ended by close
	cancel context.CancelFunc
	writes sync.WaitGroup

	mu     sync.Mutex
	closed bool
	byID   map[string]*traffic
}

// traffic is that of one sandbox.
type traffic struct {
	last, stored time.Time
	open         int // proxied connections
}

func newActivity(store Store, logger *slog.Logger) *activity {
	ctx, cancel := context.WithCancel(context.Background())
	return &activity{store: store, logger: logger, ctx: ctx, cancel: cancel, byID: map[string]*traffic{}}
}

// touch notes traffic of a sandbox. It reports whether its last open connection ended.
func (a *activity) touch(id string, opened int) (idle bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	t := a.byID[id]
	if t == nil {
		if opened < 0 { // it was removed, with its connections open
			return false
		}
		t = &traffic{}
		a.byID[id] = t
	}
	t.last = time.Now().UTC()
	t.open += opened
	if t.last.Sub(t.stored) >= activityInterval && !a.closed {
		at := t.last
		t.stored = at
		a.writes.Go(func() { a.write(a.ctx, id, at) })
	}
	return opened < 0 && t.open == 0
}

func (a *activity) write(ctx context.Context, id string, at time.Time) {
	switch err := a.store.Touch(ctx, id, at); {
	case errors.Is(err, ErrNotFound): // a request that was on its way when the sandbox was removed
		a.forget(id)
	case err != nil && ctx.Err() == nil:
		a.logger.Warn("activity not written", logkey.Sandbox, id, logkey.Err, err)
	}
}

// addTo sets activity that is not stored yet.
func (a *activity) addTo(s Sandbox) Sandbox {
	a.mu.Lock()
	defer a.mu.Unlock()
	if t := a.byID[s.ID]; t != nil && t.last.After(s.LastActivityAt) {
		s.LastActivityAt = t.last
	}
	return s
}

// open reports whether a sandbox has open connections.
func (a *activity) open(id string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.byID[id] != nil && a.byID[id].open > 0
}

func (a *activity) forget(id string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.byID, id)
}

// flush writes what is not stored yet.
func (a *activity) flush(ctx context.Context) {
	a.mu.Lock()
	last := map[string]time.Time{}
	for id, t := range a.byID {
		if t.last.After(t.stored) {
			last[id] = t.last
		}
	}
	a.mu.Unlock()
	for id, at := range last {
		a.write(ctx, id, at)
	}
}

// close ends the writes under way and writes the rest.
func (a *activity) close(ctx context.Context) {
	a.mu.Lock()
	a.closed = true
	a.mu.Unlock()
	a.cancel()
	a.writes.Wait()
	a.flush(ctx)
}
