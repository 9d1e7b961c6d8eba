package workspace

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/sandlot-dev/sandlot/internal/fault"
)

// EventKind says what happened to a path.
type EventKind string

// The kinds. A file that is moved is Renamed under its old path and Created under its new one; one that an upload replaces is Created.
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

// Limits of watches.
const (
	maxWatches = 64               // folders watched at a time
	keptEvents = 4096             // of each, for readers that are slow or come back
	keptIdle   = 60 * time.Second // how long a watch without readers goes on, for one that comes back
)

// Manager owns the watches of a sandbox. It is safe for concurrent use. A watch runs while it has readers and for a minute
// longer; readers of the same folder share one.
type Manager struct {
	files *Files

	mu      sync.Mutex
	watches map[watchKey]*watch
	closed  bool

	running sync.WaitGroup
}

type watchKey struct {
	path      string
	recursive bool
}

// NewManager returns a Manager for f. It starts nothing.
func NewManager(f *Files) *Manager {
	return &Manager{files: f, watches: map[watchKey]*watch{}}
}

// watch is one watched folder.
type watch struct {
	m     *Manager
	key   watchKey
	id    string
	fs    *fsnotify.Watcher
	idle  *time.Timer // guarded by m.mu
	users int         // guarded by m.mu
	left  time.Time   // when the last reader did; guarded by m.mu

	mu     sync.Mutex
	events []Event // the last ones
	next   uint64  // number of the event to come
	read   uint64  // number of the first event that no reader has come to
	wake   chan struct{}
	ended  error // io.EOF, or what went wrong; nil while it runs
}

// Stream reads a watch. It belongs to one goroutine.
type Stream struct {
	w    *watch
	next uint64
	lost bool
}

// Watch follows the folder name ("" is the working folder), with all below it if recursive; links are not followed. With a cursor
// of an earlier event it goes on behind that one; when that is not possible any more, the first event is Lost. The caller closes
// the Stream. Errors: FILE_NOT_FOUND, INVALID_FILE_PATH for what is not a folder, fault.Limited over the system's or our limits.
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
	s := &Stream{w: w}
	w.mu.Lock()
	defer w.mu.Unlock()
	s.next = w.next
	if cursor != "" {
		id, number, _ := strings.Cut(cursor, ".")
		n, err := strconv.ParseUint(number, 10, 64)
		if s.lost = err != nil || id != w.id || n >= w.next; !s.lost {
			s.next = n + 1
		}
	}
	w.read = max(w.read, s.next)
	return s, nil
}

// acquire returns the running watch of a folder, or starts one.
func (m *Manager) acquire(key watchKey) (*watch, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil, fault.New(fault.Unavailable, "the sandbox is stopping")
	}
	if w := m.watches[key]; w != nil {
		w.users++
		w.idle.Stop()
		return w, nil
	}
	if len(m.watches) >= maxWatches && !m.dropIdleLocked() {
		return nil, fault.Newf(fault.Limited, "%d folders are watched already; close some of these watches first", maxWatches)
	}
	fsw, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, limits(err)
	}
	w := &watch{m: m, key: key, id: strings.ToLower(rand.Text()[:10]), fs: fsw, wake: make(chan struct{}), next: 1, users: 1}
	if err := w.add(key.path, false); err != nil {
		fsw.Close()
		return nil, err
	}
	w.idle = time.AfterFunc(keptIdle, w.stopIdle)
	w.idle.Stop()
	m.watches[key] = w
	m.running.Go(w.run)
	return w, nil
}

// dropIdleLocked ends the watch that has been without readers for longest, if there is one.
func (m *Manager) dropIdleLocked() bool {
	var oldest *watch
	for _, w := range m.watches {
		if w.users == 0 && (oldest == nil || w.left.Before(oldest.left)) {
			oldest = w
		}
	}
	if oldest == nil {
		return false
	}
	oldest.idle.Stop()
	delete(m.watches, oldest.key)
	_ = oldest.fs.Close() // ends run
	return true
}

// limits explains the system's bounds on watching.
func limits(err error) error {
	switch {
	case errors.Is(err, syscall.ENOSPC):
		return fault.Newf(fault.Limited, "there are more folders than this machine lets be watched (fs.inotify.max_user_watches); watch a smaller tree")
	case errors.Is(err, syscall.EMFILE):
		return fault.Newf(fault.Limited, "there are more watches than this machine allows (fs.inotify.max_user_instances); close some first")
	}
	return err
}

// add watches a folder, and all below it if the watch is recursive. With tell, what is found there is told as created.
func (w *watch) add(dir string, tell bool) error {
	if !w.key.recursive {
		return limits(w.fs.Add(dir))
	}
	return filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || dir == "/" && (p == "/proc" || p == "/sys" || p == "/dev") {
			if p == dir && err != nil && !tell {
				return err
			}
			return fs.SkipDir // gone, or not ours to read
		}
		if tell && p != dir {
			w.tell(Event{Kind: Created, Path: p, IsDir: d.IsDir()})
		}
		if !d.IsDir() {
			return nil
		}
		if err := limits(w.fs.Add(p)); fault.KindOf(err) == fault.Limited {
			return err
		} else if err != nil {
			return fs.SkipDir
		}
		return nil
	})
}

// run takes the system's events until the folder is gone or the watch is stopped.
func (w *watch) run() {
	err := io.EOF
	defer func() { w.end(err) }()
	defer fault.Recovered(&err)
	for {
		select {
		case e, ok := <-w.fs.Events:
			if !ok {
				return
			}
			if w.handle(e); e.Name == w.key.path && e.Op&(fsnotify.Remove|fsnotify.Rename) != 0 {
				return
			}
		case _, ok := <-w.fs.Errors: // the kernel's queue overflowed, or an event could not be read
			if !ok {
				return
			}
			_ = w.add(w.key.path, false) // folders whose creation was missed; if one cannot be watched, there is no more to tell than this:
			w.tell(Event{Kind: Lost, Path: w.key.path})
		}
	}
}

func (w *watch) handle(e fsnotify.Event) {
	if strings.HasPrefix(filepath.Base(e.Name), TempPrefix) {
		return // an upload on its way
	}
	switch {
	case e.Has(fsnotify.Create):
		st, err := os.Lstat(e.Name)
		isDir := err == nil && st.IsDir()
		w.tell(Event{Kind: Created, Path: e.Name, IsDir: isDir})
		if isDir && w.key.recursive {
			if w.add(e.Name, true) != nil {
				w.tell(Event{Kind: Lost, Path: w.key.path})
			}
		}
	case e.Has(fsnotify.Remove):
		w.tell(Event{Kind: Removed, Path: e.Name})
	case e.Has(fsnotify.Rename):
		w.forget(e.Name)
		w.tell(Event{Kind: Renamed, Path: e.Name})
	case e.Has(fsnotify.Write):
		w.tell(Event{Kind: Written, Path: e.Name})
	case e.Has(fsnotify.Chmod):
		w.tell(Event{Kind: Changed, Path: e.Name})
	}
}

// forget stops watching what was below a folder that has another name now; under that it is found anew.
func (w *watch) forget(dir string) {
	if !w.key.recursive {
		return
	}
	for _, p := range w.fs.WatchList() {
		if p == dir || strings.HasPrefix(p, dir+"/") {
			_ = w.fs.Remove(p) // gone already
		}
	}
}

// tell gives the event its number and wakes the readers. An event like the one before is left out while no reader has come to that one.
func (w *watch) tell(e Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if n := len(w.events); n > 0 && w.read < w.next {
		last := w.events[n-1]
		if last.Cursor = ""; last == e {
			return
		}
	}
	e.Cursor = fmt.Sprintf("%s.%d", w.id, w.next)
	w.next++
	if len(w.events) == keptEvents {
		w.events = append(w.events[:0], w.events[keptEvents/4:]...)
	}
	w.events = append(w.events, e)
	w.wakeLocked()
}

func (w *watch) wakeLocked() {
	close(w.wake)
	w.wake = make(chan struct{})
}

// end takes the watch out of use.
func (w *watch) end(err error) {
	w.m.mu.Lock()
	if w.m.watches[w.key] == w {
		delete(w.m.watches, w.key)
	}
	w.m.mu.Unlock()
	_ = w.fs.Close()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ended = err
	w.wakeLocked()
}

// stopIdle ends a watch that nobody came back to.
func (w *watch) stopIdle() {
	w.m.mu.Lock()
	unused := w.users == 0
	if unused && w.m.watches[w.key] == w {
		delete(w.m.watches, w.key)
	}
	w.m.mu.Unlock()
	if unused {
		_ = w.fs.Close() // ends run
	}
}

// Close leaves the watch to others.
func (s *Stream) Close() {
	m := s.w.m
	m.mu.Lock()
	defer m.mu.Unlock()
	if s.w.users--; s.w.users == 0 {
		s.w.left = time.Now()
		s.w.idle.Reset(keptIdle)
	}
}

// Cursor is where the stream stands: a Watch with it gets what comes after all that Next has returned.
func (s *Stream) Cursor() string { return fmt.Sprintf("%s.%d", s.w.id, s.next-1) }

// Folder is the watched folder's real path.
func (s *Stream) Folder() string { return s.w.key.path }

// Next waits for events and returns those that there are. io.EOF: the folder itself is gone, or the watch has ended.
func (s *Stream) Next(ctx context.Context) ([]Event, error) {
	for {
		events, wake, ended := s.take()
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

func (s *Stream) take() (events []Event, wake <-chan struct{}, ended error) {
	w := s.w
	w.mu.Lock()
	defer w.mu.Unlock()
	oldest := w.next - uint64(len(w.events))
	if s.lost || s.next < oldest {
		s.lost = false
		s.next = max(s.next, oldest)
		events = append(events, Event{Kind: Lost, Path: w.key.path, Cursor: fmt.Sprintf("%s.%d", w.id, s.next-1)})
	}
	events = append(events, w.events[s.next-oldest:]...)
	s.next, w.read = w.next, w.next
	return events, w.wake, w.ended
}

// Close ends all watches and waits for them.
func (m *Manager) Close() {
	m.mu.Lock()
	m.closed = true
	var all []*watch
	for _, w := range m.watches {
		w.idle.Stop()
		all = append(all, w)
	}
	m.mu.Unlock()
	for _, w := range all {
		_ = w.fs.Close() // ends run
	}
	m.running.Wait()
}
