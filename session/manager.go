package session

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
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

// The session of the image's own program, and its one command.
const (
	EntrypointID      = "entrypoint"
	EntrypointCommand = "entrypoint_command"
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
	ErrReserved        = fault.New(fault.Invalid, `the session "entrypoint" belongs to the image's own program: it can be read, not used`)
	ErrEnded           = &fault.Error{Kind: fault.Gone, Code: "SESSION_ENDED", Msg: "the session's shell has ended; create the session again to go on"}
	ErrDeaf            = &fault.Error{Kind: fault.Gone, Code: "SESSION_ENDED", Msg: "the session's shell no longer answers; create the session again to go on"}
	ErrCompleted       = &fault.Error{Kind: fault.Gone, Code: "COMMAND_ALREADY_COMPLETED", Msg: "the command has completed and takes no input any more"}
)

// Config is what a Manager needs.
type Config struct {
	Processes *process.Manager // required
	Grace     time.Duration    // from SIGTERM to SIGKILL when a session is deleted; 0 means 5 s
	Limits    journal.Limits   // of each command's output
	Shell     string           // path of the sessions' shell; "" means the sandbox's own
}

// Manager owns the sessions of a sandbox.
type Manager struct {
	cfg       Config
	attending atomic.Int32 // callers that wait for a short command in their own thread

	mu         sync.Mutex
	order      []*Session // by creation
	entrypoint *Session
}

// NewManager checks cfg and returns a Manager. It starts nothing.
func NewManager(cfg Config) (*Manager, error) {
	if cfg.Processes == nil {
		return nil, fault.New(fault.Invalid, "session: Processes is required")
	}
	if cfg.Grace == 0 {
		cfg.Grace = 5 * time.Second
	}
	m := &Manager{cfg: cfg}
	m.entrypoint = &Session{m: m, id: EntrypointID, ended: true}
	return m, nil
}

// Create starts the shell of a new session in a folder; "" is the default one. A session of the same id whose shell has ended is replaced, its logs included,
// once the new shell runs. Errors: fault.Invalid for a bad id, ErrReserved, ErrExists, fault.Limited, and those of process.Manager.Start.
func (m *Manager) Create(id, dir string) (*Session, error) {
	if err := checkID(id); err != nil {
		return nil, err
	}
	s := &Session{m: m, id: id, fifos: map[int32]fifo{}, over: make(chan struct{})}
	s.starting.Lock()
	defer s.starting.Unlock()
	replaced, err := m.add(s)
	if err != nil {
		return nil, err
	}
	if err := s.start(dir); err != nil {
		m.takeBack(s, replaced)
		return nil, fmt.Errorf("session %q: %w", id, err)
	}
	if replaced != nil {
		replaced.discard()
	}
	return s, nil
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

// add takes the id before the shell starts, so that of two calls at once one fails. The caller holds starting until then.
func (m *Manager) add(s *Session) (replaced *Session, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	i := m.indexLocked(s.id)
	switch {
	case i >= 0 && !m.order[i].Ended():
		return nil, fmt.Errorf("session %q: %w", s.id, ErrExists)
	case i >= 0:
		replaced = m.order[i]
		m.order = slices.Delete(m.order, i, i+1)
	case len(m.order) >= maxSessions:
		return nil, fault.Newf(fault.Limited, "the sandbox has %d sessions, which is the limit; delete some first", maxSessions)
	}
	m.order = append(m.order, s)
	return replaced, nil
}

// takeBack undoes add.
func (m *Manager) takeBack(s, replaced *Session) {
	m.mu.Lock()
	defer m.mu.Unlock()
	i := slices.Index(m.order, s) // it is there: who deletes it waits for starting
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

// Get returns a session, the entrypoint's too, which is always there. Error: ErrNotFound.
func (m *Manager) Get(id string) (*Session, error) {
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
	if id == EntrypointID {
		return m.entrypoint
	}
	if i := m.indexLocked(id); i >= 0 {
		return m.order[i]
	}
	return nil
}

// List returns the sessions by age, without the entrypoint's.
func (m *Manager) List() []*Session {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.order)
}

// Delete is DeleteWith of the session's own processes: what made itself independent, by setsid or nohup, lives on.
func (m *Manager) Delete(id string) error { return m.DeleteWith(id, process.OwnSession) }

// DeleteWith ends a session's shell and, of all that it started, what scope says, and forgets the session and its logs. A caller that waits for one of
// its commands gets ErrEnded. It returns when the processes are gone. Errors: ErrReserved, ErrNotFound.
func (m *Manager) DeleteWith(id string, scope process.Scope) error {
	if id == EntrypointID {
		return ErrReserved
	}
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

// StartEntrypoint runs the image's own program as the entrypoint session. It is to be called at most once. A program that cannot be
// started gives a session whose command has failed as in a shell, with 127 or 126, and with the reason as its output; the error says the same.
func (m *Manager) StartEntrypoint(argv []string) (*process.Process, error) {
	quoted := make([]string, len(argv))
	for i, a := range argv {
		quoted[i] = "'" + strings.ReplaceAll(a, "'", `'\''`) + "'"
	}
	c := &Command{ID: EntrypointCommand, Text: strings.Join(quoted, " "), Given: time.Now(), stdin: -1, done: make(chan struct{})}
	p, err := m.cfg.Processes.Start(process.Spec{Argv: argv, Streams: process.Capture{Split: true, Limits: m.cfg.Limits}})
	if err != nil {
		c.output = m.cfg.Processes.NewJournal(m.cfg.Limits)
		c.output.Append(journal.Stderr, []byte(err.Error()+"\n"))
		code, _ := process.StartCode(err)
		c.complete(code, nil)
		c.output.Settle()
	} else {
		c.output = p.Output()
		go func() {
			res := p.Result()
			c.oom = res.OutOfMemory
			c.complete(res.ExitCode, nil)
			<-p.Drained()
			c.output.Settle()
		}()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.entrypoint = &Session{m: m, id: EntrypointID, commands: []*Command{c}, ended: true}
	return p, err
}

// mayAttend takes a place among the callers that hold a thread; one processor is left to all else, if there are several.
func (m *Manager) mayAttend() bool {
	if int(m.attending.Add(1)) <= max(runtime.GOMAXPROCS(0)-1, 1) {
		return true
	}
	m.attending.Add(-1)
	return false
}

// scratch makes the folder of a session's files, where memory is best: a disk would cost more than the commands.
func scratch() (string, error) {
	var errs []error
	for _, parent := range []string{"/dev/shm", os.TempDir(), "/var/tmp", "/run", "."} {
		var err error
		for range 100 { // a short name: some shells read it byte by byte, for each command
			dir := filepath.Join(parent, "sl-"+strings.ToLower(rand.Text()[:5]))
			if err = os.Mkdir(dir, 0o700); err == nil {
				return filepath.Abs(dir)
			}
			if !errors.Is(err, os.ErrExist) {
				break
			}
		}
		errs = append(errs, err)
	}
	return "", fault.Newf(fault.Full, "a session needs a folder to write to (/dev/shm, /tmp or /var/tmp): %w", errors.Join(errs...))
}
