package proxy

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/internal/logkey"
	"github.com/sandlot-dev/sandlot/internal/serve"
)

const (
	// farewell bounds the time a client has to read the answer, or the close frame, of a request that the proxy ended.
	farewell = 500 * time.Millisecond
	// lookUpWithin bounds one look-up after a change.
	lookUpWithin = 5 * time.Second
	// retryAfter is the wait after a look-up that failed.
	retryAfter = time.Second
)

// registry knows the sandboxes and their open requests. It is safe for concurrent use.
//
// A request is registered before its sandbox is looked up, and a look-up that a change overtook is repeated. So a
// request either has seen the sandbox after the change, or is found when the change is examined.
type registry struct {
	locator Locator
	doors   *doors
	logger  *slog.Logger
	wake    chan struct{} // capacity 1; full while changed is not empty

	mu      sync.Mutex
	entries map[string]*entry
	changed map[string]struct{} // sandboxes to examine
}

// entry is kept while a sandbox is known or has open requests.
type entry struct {
	known   *sandbox // nil before the look-up and after each change
	changes uint64
	open    map[*request]struct{}
}

// request is one open request to a sandbox.
type request struct {
	to     *sandbox // nil during the look-up
	in     *body
	cancel context.CancelCauseFunc
	client *http.ResponseController

	mu       sync.Mutex
	link     string // the token of the link that admitted it
	trusted  bool   // it showed a credential and may be told reasons
	upgraded bool
	left     bool
	why      error // why the proxy ended it; nil while it did not
}

func newRegistry(locator Locator, doors *doors, logger *slog.Logger) *registry {
	return &registry{
		locator: locator, doors: doors, logger: logger, wake: make(chan struct{}, 1),
		entries: map[string]*entry{}, changed: map[string]struct{}{},
	}
}

// begin registers a request to a sandbox, sets q.to, and looks the sandbox up if it is not known. The caller calls
// end after a nil error.
func (g *registry) begin(ctx context.Context, id string, q *request) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	e := g.entries[id]
	if e == nil {
		e = &entry{open: map[*request]struct{}{}}
		g.entries[id] = e
	}
	e.open[q] = struct{}{}
	for e.known == nil {
		changes := e.changes
		g.mu.Unlock()
		t, err := g.locator.Locate(ctx, id)
		g.mu.Lock()
		if err != nil {
			g.removeLocked(id, e, q)
			return err
		}
		if e.changes != changes {
			continue
		}
		if !t.Addr.IsValid() { // not kept: the sandbox may come back without a change
			q.to = newSandbox(t)
			return nil
		}
		if e.known == nil {
			e.known = newSandbox(t)
		}
	}
	q.to = e.known
	return nil
}

// end removes a request. The registry does not end it any more.
func (g *registry) end(q *request) {
	q.mu.Lock()
	q.left = true
	q.mu.Unlock()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.removeLocked(q.to.ID, g.entries[q.to.ID], q)
}

func (g *registry) removeLocked(id string, e *entry, q *request) {
	delete(e.open, q)
	if len(e.open) == 0 && e.known == nil {
		delete(g.entries, id)
	}
}

// forget drops what is known of a sandbox, "" means all, and has run examine the open requests. It does not block.
func (g *registry) forget(id string) {
	g.mu.Lock()
	ids := []string{id}
	if id == "" {
		ids = g.doors.sandboxes()
		for id := range g.entries {
			ids = append(ids, id)
		}
	}
	var gone []*sandbox
	for _, id := range ids {
		e := g.entries[id]
		if e == nil && !g.doors.has(id) {
			continue
		}
		g.enqueueLocked(id)
		if e == nil {
			continue
		}
		if e.known != nil {
			gone = append(gone, e.known)
		}
		e.known = nil
		e.changes++
		if len(e.open) == 0 {
			delete(g.entries, id)
		}
	}
	g.mu.Unlock()
	for _, s := range gone {
		s.transport.Close()
	}
}

// enqueue has run examine a sandbox, which closes the doors of one that is gone. It does not block.
func (g *registry) enqueue(id string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.enqueueLocked(id)
}

func (g *registry) enqueueLocked(id string) {
	g.changed[id] = struct{}{}
	select {
	case g.wake <- struct{}{}:
	default:
	}
}

// run ends the open requests of sandboxes that no longer run, until ctx ends. A change only wakes it: the Locator
// says what the sandbox is now.
func (g *registry) run(ctx context.Context) {
	var again <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-g.wake:
		case <-again:
		}
		again = nil
		g.mu.Lock()
		changed := g.changed
		g.changed = map[string]struct{}{}
		g.mu.Unlock()
		for id := range changed {
			if err := g.examine(ctx, id); err != nil && ctx.Err() == nil {
				g.logger.Warn("sandbox not looked up after a change; trying again",
					logkey.Sandbox, id, logkey.Err, serve.Cut(err.Error(), serve.MaxWords))
				g.mu.Lock()
				g.changed[id] = struct{}{}
				g.mu.Unlock()
				again = time.After(retryAfter)
			}
		}
	}
}

// examine ends the open requests of one sandbox that were sent to a run that is over.
func (g *registry) examine(ctx context.Context, id string) error {
	g.mu.Lock()
	e := g.entries[id]
	if e == nil && !g.doors.has(id) {
		g.mu.Unlock()
		return nil
	}
	var changes uint64
	if e != nil {
		changes = e.changes
	}
	g.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, lookUpWithin)
	defer cancel()
	now, err := g.locator.Locate(ctx, id)
	if fault.KindOf(err) == fault.NotFound {
		now = Target{ID: id, State: "destroyed"}
		g.doors.close(id)
	} else if err != nil {
		return err
	}
	g.mu.Lock()
	var over, linked []*request
	if e != nil && e.changes == changes { // else another change came: it is examined again, and newer requests may be open
		for q := range e.open {
			switch {
			case q.to != nil && !q.to.sameRun(now):
				over = append(over, q)
			case q.byLink() != "":
				linked = append(linked, q)
			}
		}
	}
	g.mu.Unlock()
	if len(over) > 0 {
		g.logger.Info("open requests ended with their sandbox",
			logkey.Sandbox, id, logkey.State, now.State, "requests", len(over))
	}
	for _, q := range over {
		q.stop(now)
	}
	for _, q := range linked {
		if _, err := g.locator.Link(ctx, q.byLink()); fault.KindOf(err) == fault.NotFound {
			q.cut(errNoLink)
		} else if err != nil {
			return err
		}
	}
	return nil
}

// admittedBy records the link that admitted the request, which ends with the link. The caller calls stop when the
// request has ended.
func (q *request) admittedBy(token string, l Link) (stop func() bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.trusted, q.link = true, token
	return time.AfterFunc(time.Until(l.Until), func() { q.cut(errNoLink) }).Stop
}

// byLink returns the token of the link that admitted the request, "" for none.
func (q *request) byLink() string {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.link
}

// stop ends a request because of the state that its sandbox is in now.
func (q *request) stop(now Target) {
	q.mu.Lock()
	trusted := q.trusted
	q.mu.Unlock()
	q.cut(notStarted(now, trusted))
}

// cut ends a request, whatever it waits for.
func (q *request) cut(why error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.left || q.why != nil {
		return
	}
	q.why = why
	q.cancel(why)
	// The handler may be blocked in a read or write of a client that neither sends nor reads.
	if q.upgraded {
		q.allowFarewell()
		return
	}
	_ = q.client.SetWriteDeadline(time.Now().Add(farewell)) // fails on a closed connection, where nothing waits
	if !q.in.whole.Load() {
		_ = q.client.SetReadDeadline(time.Now()) // likewise
	}
}

// allowFarewell gives the client of a websocket time to receive the close frame and answer it.
func (q *request) allowFarewell() {
	at := time.Now().Add(farewell)
	_ = q.client.SetWriteDeadline(at) // as in cut
	_ = q.client.SetReadDeadline(at)
}

// ended returns why the proxy ended the request, nil while it did not.
func (q *request) ended() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.why
}

// admitted records that a credential admitted the request.
func (q *request) admitted() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.trusted = true
}

// refused returns why a request cannot be sent to its sandbox in the state that the sandbox had when the request
// began; nil if it can.
func (q *request) refused() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch t := q.to.Target; {
	case t.Addr.IsValid():
		return nil
	case t.State == started:
		return fault.Newf(fault.Unavailable,
			"sandbox %s cannot be reached: its runner has lost the container engine; try again", t.ID)
	default:
		return notStarted(t, q.trusted)
	}
}

// started is the one state in which a sandbox takes requests.
const started = "started"

// inState has, for each state but started, words for the state and for what the caller can do.
var inState = map[string][2]string{
	"creating":   {"is being created", "try again in a moment"},
	"starting":   {"is starting", "try again in a moment"},
	"stopping":   {"is stopping", "wait until it is stopped, then start it"},
	"stopped":    {"is stopped", "start it first"},
	"error":      {"is in error", "start it to recover it, or delete it and make a new one"},
	"destroying": {"is being deleted", "make a new one"},
	"destroyed":  {"is deleted", "make a new one"},
}

// notStarted is the answer to a request whose sandbox does not run, or not any more in the run that the request was
// sent to. Only callers that showed a credential are told the reason.
func notStarted(t Target, trusted bool) error {
	words, known := inState[t.State]
	if !known {
		words = [2]string{"is " + t.State, "it takes requests when it is started"}
	}
	if t.State == started {
		words = [2]string{"was started again, and the request went to what ran before", "send it again"}
	} else if t.Reason != "" && trusted {
		words[0] += ": " + serve.Cut(t.Reason, serve.MaxWords)
	}
	return fault.Codef(fault.Conflict, "SANDBOX_NOT_STARTED", "sandbox %s %s; %s", t.ID, words[0], words[1])
}
