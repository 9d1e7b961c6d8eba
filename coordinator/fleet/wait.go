package fleet

import (
	"context"
	"errors"
	"time"

	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/internal/lifecycle"
)

// watcher waits for one sandbox to settle. It is made before the change it waits for, so that nothing is missed. It is woken, and reads for itself
// what is: news that overtake one another cannot mislead it.
type watcher struct {
	m    *Manager
	id   string
	wake chan struct{} // holds one

	failure error // of the newest step that failed; guarded by m.mu, as the next
	of      int64 // version of the record that this step was planned for
}

func (m *Manager) watch(id string) *watcher {
	w := &watcher{m: m, id: id, wake: make(chan struct{}, 1)}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.watchers[id] == nil {
		m.watchers[id] = map[*watcher]struct{}{}
	}
	m.watchers[id][w] = struct{}{}
	return w
}

func (w *watcher) stop() {
	w.m.mu.Lock()
	defer w.m.mu.Unlock()
	delete(w.m.watchers[w.id], w)
	if len(w.m.watchers[w.id]) == 0 {
		delete(w.m.watchers, w.id)
	}
}

// wake has everybody look who waits for a sandbox.
func (m *Manager) wake(id string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for w := range m.watchers[id] {
		select {
		case w.wake <- struct{}{}:
		default: // it has yet to look
		}
	}
}

// noteFailure keeps the failure of a step that was planned for s. Its watchers see it when they are woken.
func (m *Manager) noteFailure(s Sandbox, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for w := range m.watchers[s.ID] {
		w.failure, w.of = err, s.Version
	}
}

// failed returns the failure of a step that was planned for the record as of a version, or later.
func (w *watcher) failed(since int64) error {
	w.m.mu.Lock()
	defer w.m.mu.Unlock()
	if w.of < since {
		return nil
	}
	return w.failure
}

// settled waits until the sandbox is what is wanted of it, a step failed (whose error is returned), or hold is over; then it
// returns the sandbox as it is. since is the record with the change that is waited for; what failed before is not looked at.
func (w *watcher) settled(ctx context.Context, hold time.Duration, since Sandbox) (Sandbox, error) {
	over := time.NewTimer(hold)
	defer over.Stop()
	for {
		select {
		case <-w.wake:
			if err := w.failed(since.Version); err != nil {
				return Sandbox{}, err
			}
			switch s, err := w.m.ByID(ctx, w.id); {
			case errors.Is(err, ErrNotFound):
				since.State, since.Desired = lifecycle.Destroyed, lifecycle.Destroyed
				return since, nil
			case err != nil:
				return Sandbox{}, err
			case s.State == s.Desired:
				return s, nil
			case s.State == lifecycle.Error && s.Desired != lifecycle.Destroyed:
				return Sandbox{}, fault.New(fault.Internal, s.Reason)
			}
		case <-over.C:
			return w.m.ByID(ctx, w.id)
		case <-ctx.Done():
			return Sandbox{}, context.Cause(ctx)
		}
	}
}
