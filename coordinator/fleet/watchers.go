package fleet

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/internal/lifecycle"
)

// watchers are the requests that wait for sandboxes to settle. A notification carries no record: each watcher reads the
// record itself, so the order of notifications does not matter.
type watchers struct {
	mu   sync.Mutex
	byID map[string]map[*watcher]struct{}
}

// watcher waits for one sandbox. Make it before the change that it waits for; otherwise it may miss a notification.
type watcher struct {
	all      *watchers
	id       string
	notified chan struct{} // of one; full when the record has changed

	failure error // of the newest step that failed; all.mu guards failure and planned
	planned int64 // version of the record that this step was planned for
}

func newWatchers() *watchers { return &watchers{byID: map[string]map[*watcher]struct{}{}} }

// watch returns a watcher of a sandbox. Its stop must be called.
func (ws *watchers) watch(id string) *watcher {
	w := &watcher{all: ws, id: id, notified: make(chan struct{}, 1)}
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if ws.byID[id] == nil {
		ws.byID[id] = map[*watcher]struct{}{}
	}
	ws.byID[id][w] = struct{}{}
	return w
}

// notify makes the watchers of a sandbox read its record.
func (ws *watchers) notify(id string) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	for w := range ws.byID[id] {
		select {
		case w.notified <- struct{}{}:
		default: // it has not read the record yet
		}
	}
}

// fail keeps the failure of a step that was planned for s. The watchers see it at their next notification.
func (ws *watchers) fail(s Sandbox, err error) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	for w := range ws.byID[s.ID] {
		w.failure, w.planned = err, s.Version
	}
}

func (w *watcher) stop() {
	w.all.mu.Lock()
	defer w.all.mu.Unlock()
	delete(w.all.byID[w.id], w)
	if len(w.all.byID[w.id]) == 0 {
		delete(w.all.byID, w.id)
	}
}

// failed returns the failure of a step, if it was planned for the version since of the record or for a later one.
func (w *watcher) failed(since int64) error {
	w.all.mu.Lock()
	defer w.all.mu.Unlock()
	if w.planned < since {
		return nil
	}
	return w.failure
}

// settled waits until the sandbox has its desired state, a step fails, or hold is over, and returns the record. If a
// step failed, its error is returned. since is the record after the change that the caller made; failures of steps that
// were planned before are ignored.
func (w *watcher) settled(ctx context.Context, from *records, hold time.Duration, since Sandbox) (Sandbox, error) {
	over := time.NewTimer(hold)
	defer over.Stop()
	for {
		select {
		case <-w.notified:
			if err := w.failed(since.Version); err != nil {
				return Sandbox{}, err
			}
			switch s, err := from.byID(ctx, w.id); {
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
			return from.byID(ctx, w.id)
		case <-ctx.Done():
			return Sandbox{}, context.Cause(ctx)
		}
	}
}
