package workspace

import (
	"crypto/rand"
	"fmt"
	"strconv"
	"strings"
	"sync"
)

// EventKind says what happened to a path.
type EventKind string

// The kinds. A file that is moved is Renamed under its old path and Created under its new one; one that an upload
// replaces is Created.
const (
	Created EventKind = "create"
	Written EventKind = "write"
	Removed EventKind = "remove"
	Renamed EventKind = "rename"
	Changed EventKind = "chmod"    // mode, owner or times
	Lost    EventKind = "overflow" // events are missing here: look at the tree anew
)

// Event is one change below a watched folder.
type Event struct {
	Kind   EventKind
	Path   string // absolute; of Lost the watched folder
	IsDir  bool   // known of Created alone
	Cursor string // goes on behind this event, see Manager.Watch
}

// keptEvents is how many events a log keeps for readers that are slow or come back.
const keptEvents = 4096

// eventLog keeps the last events of one watched folder, numbered from 1, for any number of readers. It is safe for
// concurrent use.
type eventLog struct {
	folder string
	id     string // tells its cursors from those of other logs

	mu     sync.Mutex
	events []Event       // the last ones
	next   uint64        // number of the event to come
	read   uint64        // number of the first event that no reader has come to
	wake   chan struct{} // closed and replaced at each change
	ended  error         // io.EOF, or what went wrong; nil while events come
}

func newEventLog(folder string) *eventLog {
	return &eventLog{folder: folder, id: strings.ToLower(rand.Text()[:10]), next: 1, wake: make(chan struct{})}
}

// cursor is the place behind event n.
func (l *eventLog) cursor(n uint64) string { return fmt.Sprintf("%s.%d", l.id, n) }

// gap is the event that stands for those that are missing.
func (l *eventLog) gap() Event { return Event{Kind: Lost, Path: l.folder} }

// publish numbers the event and wakes the readers. An event like the one before is left out while no reader has come to
// that one.
func (l *eventLog) publish(e Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := len(l.events); n > 0 && l.read < l.next {
		last := l.events[n-1]
		if last.Cursor = ""; last == e {
			return
		}
	}
	e.Cursor = l.cursor(l.next)
	l.next++
	if len(l.events) == keptEvents {
		l.events = append(l.events[:0], l.events[keptEvents/4:]...)
	}
	l.events = append(l.events, e)
	l.wakeLocked()
}

// end says that no more events come, and why.
func (l *eventLog) end(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = err
	l.wakeLocked()
}

func (l *eventLog) wakeLocked() {
	close(l.wake)
	l.wake = make(chan struct{})
}

// seek returns the number of the first event behind a cursor, and of the next one to come for "". lost says that the
// cursor is of another log or of no event.
func (l *eventLog) seek(cursor string) (next uint64, lost bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	next = l.next
	if cursor != "" {
		id, number, _ := strings.Cut(cursor, ".")
		n, err := strconv.ParseUint(number, 10, 64)
		if lost = err != nil || id != l.id || n >= l.next; !lost {
			next = n + 1
		}
	}
	l.read = max(l.read, next)
	return next, lost
}

// since returns the events from number next on, and the number behind them. If events before those are missing (lost,
// or no longer kept), the first is Lost. wake is closed when there may be more; ended is not nil if there never will
// be.
func (l *eventLog) since(next uint64, lost bool) (events []Event, after uint64, wake <-chan struct{}, ended error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	oldest := l.next - uint64(len(l.events))
	if lost || next < oldest {
		next = max(next, oldest)
		e := l.gap()
		e.Cursor = l.cursor(next - 1)
		events = append(events, e)
	}
	events = append(events, l.events[next-oldest:]...)
	l.read = l.next
	return events, l.next, l.wake, l.ended
}
