package session

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/process"
	"github.com/sandlot-dev/sandlot/process/journal"
)

// What one sandbox may ask for.
const (
	maxSessions = 256
	maxWaiting  = 1000   // commands of a session that have not begun
	maxCommands = 10_000 // commands that a session remembers
)

// The errors of this room.
var (
	ErrNotFound        = fault.New(fault.NotFound, "there is no such session; create it first")
	ErrCommandNotFound = fault.New(fault.NotFound, "there is no such command in the session")
	ErrExists          = fault.New(fault.Conflict, "a session of this id is running; delete it first or take another id")
	ErrReserved        = fault.New(fault.Invalid,
		`the session "entrypoint" belongs to the image's own program: it can be read, not used`)
	ErrEnded        = gone("SESSION_ENDED", "the session's shell has ended; create the session again to go on")
	ErrUnresponsive = gone("SESSION_ENDED", "the session's shell no longer answers; create the session again to go on")
	ErrCompleted    = gone("COMMAND_ALREADY_COMPLETED", "the command has completed and takes no input any more")
)

func gone(code, msg string) *fault.Error { return &fault.Error{Kind: fault.Gone, Code: code, Msg: msg} }

// Config is what a Manager needs.
type Config struct {
	Processes *process.Manager // required
	Grace     time.Duration    // from SIGTERM to SIGKILL when a session is deleted; 0 means 5 s
	Limits    journal.Limits   // of each command's output
	Shell     string           // path of the sessions' shell; "" means the sandbox's own
}

// Manager owns the sessions of a sandbox, and its entrypoint.
type Manager struct {
	cfg        Config
	entrypoint *Entrypoint
	inline     atomic.Int32   // callers that poll for a short command on their own thread
	goroutines sync.WaitGroup // of all sessions, also of deleted ones

	mu      sync.Mutex
	closed  bool
	order   []*Session            // by creation
	watched map[*Session]struct{} // those with a watch, also deleted ones that a process can write to
}

// NewManager checks cfg and returns a Manager. It starts nothing.
func NewManager(cfg Config) (*Manager, error) {
	if cfg.Processes == nil {
		return nil, fault.New(fault.Invalid, "session: Processes is required")
	}
	if cfg.Grace == 0 {
		cfg.Grace = 5 * time.Second
	}
	return &Manager{cfg: cfg, entrypoint: newEntrypoint(cfg), watched: map[*Session]struct{}{}}, nil
}

// Create starts the shell of a new session in a folder; "" is the default one. A session of the same id whose shell has
// ended is replaced, its logs included, once the new shell runs. Errors: fault.Invalid for a bad id, ErrReserved,
// ErrExists, fault.Limited, process.ErrClosed after Close, and those of process.Manager.Start.
func (m *Manager) Create(id, dir string) (*Session, error) {
	if err := checkID(id); err != nil {
		return nil, err
	}
	s := &Session{m: m, id: id, ended: make(chan struct{})}
	s.starting.Lock()
	defer s.starting.Unlock()
	replaced, err := m.add(s)
	if err != nil {
		return nil, err
	}
	if err := s.start(dir); err != nil {
		m.undoAdd(s, replaced)
		return nil, fmt.Errorf("session %q: %w", id, err)
	}
	if replaced != nil {
		replaced.discard()
	}
	return s, nil
}

// run starts the goroutines of a session whose shell runs.
func (m *Manager) run(s *Session) {
	m.mu.Lock()
	m.watched[s] = struct{}{}
	m.mu.Unlock()
	m.goroutines.Go(func() {
		s.watch()
		m.mu.Lock()
		delete(m.watched, s)
		m.mu.Unlock()
	})
	m.goroutines.Go(s.awaitShell)
}

func checkID(id string) error {
	switch {
	case id == EntrypointID:
		return ErrReserved
	case strings.TrimSpace(id) == "":
		return fault.New(fault.Invalid, "the session id is empty")
	case len(id) > 255, strings.ContainsAny(id, "/\x00"), id == ".", id == "..":
		return fault.Newf(fault.Invalid, "%.80q cannot be a session id: at most 255 bytes, no slash, no NUL, not . or ..", id)
	}
	return nil
}

// add reserves the id before the shell starts: of two calls at once, one fails. The caller holds starting until then.
func (m *Manager) add(s *Session) (replaced *Session, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	i := m.indexLocked(s.id)
	switch {
	case m.closed:
		return nil, fmt.Errorf("session %q: %w", s.id, process.ErrClosed)
	case i >= 0 && !m.order[i].Ended():
		return nil, fmt.Errorf("session %q: %w", s.id, ErrExists)
	case i >= 0:
		replaced = m.order[i]
		m.order = slices.Delete(m.order, i, i+1)
	case len(m.order) >= maxSessions:
		return nil, fault.Newf(fault.Limited,
			"the sandbox has %d sessions, which is the limit; delete some first", maxSessions)
	}
	m.order = append(m.order, s)
	return replaced, nil
}

// undoAdd puts back what was there before add.
func (m *Manager) undoAdd(s, replaced *Session) {
	m.mu.Lock()
	defer m.mu.Unlock()
	i := slices.Index(m.order, s) // s is there, since DeleteWith waits for starting
	if replaced != nil {
		m.order[i] = replaced
		return
	}
	m.order = slices.Delete(m.order, i, i+1)
}

func (m *Manager) remove(s *Session) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	i := slices.Index(m.order, s)
	if i < 0 {
		return false
	}
	m.order = slices.Delete(m.order, i, i+1)
	return true
}

func (m *Manager) indexLocked(id string) int {
	return slices.IndexFunc(m.order, func(s *Session) bool { return s.id == id })
}

// Get returns a session. Errors: ErrNotFound, ErrReserved for the id of the entrypoint.
func (m *Manager) Get(id string) (*Session, error) {
	if id == EntrypointID {
		return nil, ErrReserved
	}
	for {
		s := m.find(id)
		if s == nil {
			return nil, fmt.Errorf("session %q: %w", id, ErrNotFound)
		}
		s.starting.Lock() // wait until its shell runs
		failed := s.failed
		s.starting.Unlock()
		if !failed {
			return s, nil
		} // else the id is free again, or that of the session from before
	}
}

func (m *Manager) find(id string) *Session {
	m.mu.Lock()
	defer m.mu.Unlock()
	if i := m.indexLocked(id); i >= 0 {
		return m.order[i]
	}
	return nil
}

// Entrypoint returns the image's own program, which is always there, also if the image starts nothing.
func (m *Manager) Entrypoint() *Entrypoint { return m.entrypoint }

// StartEntrypoint runs the image's own program. It is called once at most. A program that cannot be started gives a
// command that has failed as in a shell, with exit code 127 or 126, and with the reason as its output; the error says
// the same. It is process.ErrClosed after Close.
func (m *Manager) StartEntrypoint(argv []string) (*process.Process, error) {
	return m.entrypoint.start(argv)
}

// List returns the sessions by age.
func (m *Manager) List() []*Session {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.order)
}

// Delete is DeleteWith of the session's own processes: what made itself independent, by setsid or nohup, lives on.
func (m *Manager) Delete(id string) error { return m.DeleteWith(id, process.OwnSession) }

// DeleteWith ends a session's shell and, of all that it started, what scope says, and forgets the session and its logs.
// A caller that waits for one of its commands gets ErrEnded. It returns when the processes are gone. Errors:
// ErrReserved, ErrNotFound.
func (m *Manager) DeleteWith(id string, scope process.Scope) error {
	s, err := m.Get(id)
	if err != nil {
		return err
	}
	if !m.remove(s) {
		return fmt.Errorf("session %q: %w", id, ErrNotFound)
	}
	s.end(scope, m.cfg.Grace)
	s.discard()
	return nil
}

// Close ends all sessions and the entrypoint, with all that they started, and returns when their goroutines have ended.
// It takes up to Config.Grace; after process.Manager.Close it takes no time, since nothing runs any more. What
// processes of deleted sessions still write is lost. Create fails from then on.
func (m *Manager) Close() {
	m.mu.Lock()
	m.closed = true
	m.mu.Unlock()
	var all sync.WaitGroup
	for _, s := range m.List() {
		all.Go(func() { _ = m.DeleteWith(s.id, process.Descendants) }) // an error means that it is deleted already
	}
	all.Go(m.entrypoint.close)
	all.Wait()
	m.mu.Lock()
	for s := range m.watched {
		s.poll.Close() // ends its watch
	}
	m.mu.Unlock()
	m.goroutines.Wait()
}

// mayPollInline reserves a thread for a caller that polls. One processor is left for all else, if there are several.
func (m *Manager) mayPollInline() bool {
	if int(m.inline.Add(1)) <= max(runtime.GOMAXPROCS(0)-1, 1) {
		return true
	}
	m.inline.Add(-1)
	return false
}
