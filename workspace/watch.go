package workspace

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/sandlot-dev/sandlot/internal/fault"
)

// Limits of watches.
const (
	maxWatches = 64               // folders watched at a time
	keptIdle   = 60 * time.Second // how long a watch without readers goes on, for one that comes back
)

// Manager owns the watches of a sandbox. It is safe for concurrent use. A watch runs while it has readers and for a
// minute longer; readers of the same folder share one.
type Manager struct {
	files *Files
	walk  func(root string, each fs.WalkDirFunc) error // filepath.WalkDir; tests hold it up

	mu      sync.Mutex // held for look-ups alone: trees are walked outside it
	watches map[watchKey]*watch
	closed  bool

	running sync.WaitGroup
}

type watchKey struct {
	path      string
	recursive bool
}

// watch is one watched folder: run carries what happens in its tree to its log.
type watch struct {
	key  watchKey
	log  *eventLog
	stop context.CancelFunc // ends run

	started chan struct{} // closed when the whole tree is watched, or cannot be
	failed  error         // why it cannot be; set before started is closed

	// Guarded by Manager.mu.
	users int
	left  time.Time   // when the last reader did
	idle  *time.Timer // ends the watch; runs while there are no readers
}

var errStopping = fault.New(fault.Unavailable, "the sandbox is stopping")

// NewManager returns a Manager for f. It starts nothing.
func NewManager(f *Files) *Manager {
	return &Manager{files: f, walk: filepath.WalkDir, watches: map[watchKey]*watch{}}
}

// Watch follows the folder name ("" is the working folder), with all below it if recursive; links are not followed. It
// returns when all of these are watched. With a cursor of an earlier event it goes on behind that one; when that is not
// possible any more, the first event is Lost. The caller closes the Stream. Errors: FILE_NOT_FOUND, INVALID_FILE_PATH
// for what is not a folder, fault.Limited over the system's or our limits, fault.Unavailable after Close.
func (m *Manager) Watch(name string, recursive bool, cursor string) (*Stream, error) {
	abs := m.files.dir
	if name != "" {
		var err error
		if abs, err = m.files.resolve(name); err != nil {
			return nil, err
		}
	}
	real, err := filepath.EvalSymlinks(abs)
	if err != nil {
		return nil, m.files.missing(name, explain("watch", orDot(name), err))
	}
	if st, err := os.Stat(real); err != nil {
		return nil, explain("watch", orDot(name), err)
	} else if !st.IsDir() {
		return nil, invalidPath("watch %s: it is not a folder; watch the one that it is in", name)
	}
	w, err := m.acquire(watchKey{real, recursive})
	if err != nil {
		return nil, explain("watch", orDot(name), err)
	}
	next, lost := w.log.seek(cursor)
	return &Stream{log: w.log, next: next, lost: lost, release: func() { m.release(w) }}, nil
}

// acquire returns the watch of a folder when its tree is watched; if there is none, it starts one. It is given back by
// release.
func (m *Manager) acquire(key watchKey) (*watch, error) {
	w, err := m.find(key)
	if err != nil {
		return nil, err
	}
	<-w.started
	return w, w.failed
}

// find counts one more reader of a folder's watch, and starts the watch if there is none.
func (m *Manager) find(key watchKey) (*watch, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil, errStopping
	}
	if w := m.watches[key]; w != nil {
		w.users++
		w.idle.Stop()
		return w, nil
	}
	if len(m.watches) >= maxWatches && !m.endIdleLocked() {
		return nil, fault.Newf(fault.Limited, "%d folders are watched already; close some of these watches first", maxWatches)
	}
	ctx, stop := context.WithCancel(context.Background())
	w := &watch{key: key, log: newEventLog(key.path), stop: stop, started: make(chan struct{}), users: 1}
	w.idle = time.AfterFunc(keptIdle, func() { m.endUnused(w) })
	w.idle.Stop()
	m.watches[key] = w
	m.running.Go(func() { m.run(ctx, w) })
	return w, nil
}

// run watches the tree of w until its folder is gone or w is stopped. Readers hear of the end when w is out of use, so
// that they can start anew.
func (m *Manager) run(ctx context.Context, w *watch) {
	tree := &watchedTree{root: w.key.path, recursive: w.key.recursive, walk: m.walk}
	defer tree.close()
	w.failed = tree.open(ctx)
	if w.failed != nil {
		m.remove(w)
		close(w.started)
		return
	}
	close(w.started)
	err := tree.follow(ctx, w.log)
	m.remove(w)
	w.log.end(err)
}

func (m *Manager) remove(w *watch) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.removeLocked(w)
}

// removeLocked takes a watch out of use and makes its run end.
func (m *Manager) removeLocked(w *watch) {
	if m.watches[w.key] == w {
		delete(m.watches, w.key)
	}
	w.idle.Stop()
	w.stop()
}

// release counts one reader less.
func (m *Manager) release(w *watch) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if w.users--; w.users == 0 {
		w.left = time.Now()
		w.idle.Reset(keptIdle)
	}
}

// endUnused ends a watch that nobody came back to.
func (m *Manager) endUnused(w *watch) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if w.users == 0 {
		m.removeLocked(w)
	}
}

// endIdleLocked ends the watch that has been without readers for longest. It returns false if every watch has readers.
func (m *Manager) endIdleLocked() bool {
	var oldest *watch
	for _, w := range m.watches {
		if w.users == 0 && (oldest == nil || w.left.Before(oldest.left)) {
			oldest = w
		}
	}
	if oldest == nil {
		return false
	}
	m.removeLocked(oldest)
	return true
}

// Close ends all watches and waits for them.
func (m *Manager) Close() {
	m.mu.Lock()
	m.closed = true
	for _, w := range m.watches {
		m.removeLocked(w)
	}
	m.mu.Unlock()
	m.running.Wait()
}

// Stream reads a watch. It belongs to one goroutine.
type Stream struct {
	log     *eventLog
	next    uint64 // number of the event to read next
	lost    bool   // events before next are missing, and the reader has not been told
	release func()
}

// Close leaves the watch to others.
func (s *Stream) Close() { s.release() }

// Cursor is where the stream stands: a Watch with it gets what comes after all that Next has returned.
func (s *Stream) Cursor() string { return s.log.cursor(s.next - 1) }

// Folder is the watched folder's real path.
func (s *Stream) Folder() string { return s.log.folder }

// Next waits for events and returns those that there are. io.EOF: the folder itself is gone, or the watch has ended.
func (s *Stream) Next(ctx context.Context) ([]Event, error) {
	for {
		events, wake, ended := s.pending()
		switch {
		case len(events) > 0:
			return events, nil
		case ended != nil:
			return nil, ended
		}
		select {
		case <-wake:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// pending returns the events that the reader has not had. wake is closed when there may be more; ended is not nil if
// there never will be.
func (s *Stream) pending() (events []Event, wake <-chan struct{}, ended error) {
	events, s.next, wake, ended = s.log.since(s.next, s.lost)
	s.lost = false
	return events, wake, ended
}
