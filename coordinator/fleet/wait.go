package fleet

import (
	"context"
	"time"

	"github.com/sandlot-dev/sandlot/internal/lifecycle"
)

// watcher waits for one sandbox to settle. It is made before the change it waits for, so that nothing is missed.
type watcher struct {
	m    *Manager
	id   string
	news chan news // the newest only
}

type news struct {
	s   Sandbox
	err error // of a step that failed
}

func (m *Manager) watch(id string) *watcher {
	w := &watcher{m: m, id: id, news: make(chan news, 1)}
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

func (w *watcher) tell(s Sandbox) { w.put(news{s: s}) }

// put replaces what was not read yet. The Manager's lock is held, so there is one writer.
func (w *watcher) put(n news) {
	select {
	case old := <-w.news:
		if n.s.ID == "" {
			n.s = old.s
		}
		if n.err == nil {
			n.err = old.err
		}
	default:
	}
	w.news <- n
}

func (m *Manager) tellFailure(id string, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for w := range m.watchers[id] {
		w.put(news{err: err})
	}
}

// settled waits until the sandbox is what is wanted of it, a step failed (whose error is returned), or hold is over; then it
// returns the sandbox as it is.
func (w *watcher) settled(ctx context.Context, hold time.Duration) (Sandbox, error) {
	over := time.NewTimer(hold)
	defer over.Stop()
	for {
		select {
		case n := <-w.news:
			if n.err != nil {
				return Sandbox{}, n.err
			}
			if n.s.State == n.s.Desired || n.s.State == lifecycle.Destroyed {
				return n.s, nil
			}
		case <-over.C:
			return w.m.ByID(ctx, w.id)
		case <-ctx.Done():
			return Sandbox{}, context.Cause(ctx)
		}
	}
}
