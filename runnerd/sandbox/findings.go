package sandbox

import (
	"math"
	"net/netip"
	"sync"

	"github.com/sandlot-dev/sandlot/internal/lifecycle"
)

// findings hold the newest finding of each sandbox. They are safe for concurrent use.
type findings struct {
	mu    sync.Mutex
	known map[string]finding
	seq   uint64 // the Seq given last
}

type finding struct {
	lifecycle.Observed

	addr netip.Addr // of a sandbox that runs
}

// always marks a look that was made while the sandbox's lock was held, so nothing newer can be known.
const always = math.MaxUint64

// last returns the number given last.
func (f *findings) last() uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.seq
}

// of returns the newest finding of a sandbox.
func (f *findings) of(id string) (finding, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	found, ok := f.known[id]
	return found, ok
}

// record numbers a new finding, keeps it and returns it.
func (f *findings) record(o lifecycle.Observed, addr netip.Addr) lifecycle.Observed {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.recordLocked(o, addr)
}

func (f *findings) recordLocked(o lifecycle.Observed, addr netip.Addr) lifecycle.Observed {
	f.seq++
	o.Seq = f.seq
	f.known[o.ID] = finding{o, addr}
	return o
}

func (f *findings) forget(id string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.known, id)
}

// update records what the engine said of a container after the number after was given, and returns the newest
// finding. The known one stays if nothing has changed, if it is newer, or if busy reports that an operation on the
// sandbox is under way. A finding that stays keeps its number and cause, so that each report repeats it until it is
// taken.
func (f *findings) update(c Container, after uint64, busy func(id string) bool) lifecycle.Observed {
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
	f.mu.Lock()
	defer f.mu.Unlock()
	before, known := f.known[c.ID]
	if known && (before.Seq > after || after != always && busy(c.ID)) {
		return before.Observed
	}
	if known && before.State == o.State && before.addr == addr {
		return before.Observed
	}
	if known && o.Cause != lifecycle.WithHost {
		o.Cause = lifecycle.Itself
	}
	if known && before.State == o.State {
		o.DaemonVersion = before.DaemonVersion
	}
	return f.recordLocked(o, addr)
}

// missing returns the known sandboxes that are not in there.
func (f *findings) missing(there map[string]bool) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var ids []string
	for id := range f.known {
		if !there[id] {
			ids = append(ids, id)
		}
	}
	return ids
}
