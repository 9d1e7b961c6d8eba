package pty

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/process"
)

// The errors of this room.
var (
	ErrNotFound = fault.New(fault.NotFound, "there is no such terminal; it may have ended")
	ErrExists   = fault.New(fault.Conflict, "a terminal of this id is open; delete it first or take another id")
	ErrEnded    = fault.New(fault.Gone, "the terminal's process has ended")
)

const maxTerminals = 256

// Size is that of a terminal, in characters.
type Size struct{ Cols, Rows uint16 }

// maxSide is the most columns, and the most rows.
const maxSide = 1000

func (s Size) check() error {
	if s.Cols < 1 || s.Rows < 1 || s.Cols > maxSide || s.Rows > maxSide {
		return fault.Newf(fault.Invalid,
			"a terminal of %d columns and %d rows cannot be: both must be from 1 to %d", s.Cols, s.Rows, maxSide)
	}
	return nil
}

// Spec says what terminal to make.
type Spec struct {
	ID   string
	Dir  string            // "" is the default folder
	Env  map[string]string // TERM is xterm-256color unless it is in here
	Size Size              // a side that is 0 is that of 80 by 24
	Lazy bool              // start the shell when the first client attaches
	Argv []string          // what to run; nil is the shell as an interactive login shell
}

// Manager owns the terminals of a sandbox.
type Manager struct {
	processes  *process.Manager
	goroutines sync.WaitGroup // of all terminals, also of deleted ones

	mu     sync.Mutex
	closed bool
	order  []*Terminal // by creation
}

// NewManager returns a Manager. It starts nothing.
func NewManager(processes *process.Manager) *Manager { return &Manager{processes: processes} }

// Create makes a terminal and, unless it is lazy, starts its shell. Errors: fault.Invalid for a bad id, size or
// variable, ErrExists, fault.Limited, fault.Unavailable without /dev/pts, process.ErrClosed after Close, and those of
// process.Manager.Start.
func (m *Manager) Create(spec Spec) (*Terminal, error) {
	t, err := m.newTerminal(spec)
	if err != nil {
		return nil, err
	}
	t.mu.Lock() // until the shell runs
	defer t.mu.Unlock()
	if err := m.add(t); err != nil {
		return nil, err
	}
	if spec.Lazy {
		return t, nil
	}
	if err := t.startLocked(); err != nil {
		m.remove(t)
		t.ended = true
		return nil, fmt.Errorf("terminal %q: %w", spec.ID, err)
	}
	return t, nil
}

func (m *Manager) newTerminal(spec Spec) (*Terminal, error) {
	if strings.TrimSpace(spec.ID) == "" || len(spec.ID) > 255 || strings.Contains(spec.ID, "\x00") {
		return nil, fault.New(fault.Invalid, "the terminal's id must have 1 to 255 bytes, and no NUL among them")
	}
	if spec.Size.Cols == 0 {
		spec.Size.Cols = 80
	}
	if spec.Size.Rows == 0 {
		spec.Size.Rows = 24
	}
	if err := spec.Size.check(); err != nil {
		return nil, err
	}
	if err := process.CheckVariables(spec.Env); err != nil { // here and not at the start, which may be a client's
		return nil, err
	}
	env := map[string]string{"TERM": "xterm-256color"}
	maps.Copy(env, spec.Env)
	spec.Env = env
	return newTerminal(m, spec, time.Now()), nil
}

func (m *Manager) add(t *Terminal) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return fmt.Errorf("terminal %q: %w", t.spec.ID, process.ErrClosed)
	}
	if m.indexLocked(t.spec.ID) >= 0 {
		return fmt.Errorf("terminal %q: %w", t.spec.ID, ErrExists)
	}
	if len(m.order) >= maxTerminals {
		return fault.Newf(fault.Limited,
			"the sandbox has %d terminals, which is the limit; delete some first", maxTerminals)
	}
	m.order = append(m.order, t)
	return nil
}

func (m *Manager) remove(t *Terminal) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	i := slices.Index(m.order, t)
	if i < 0 {
		return false
	}
	m.order = slices.Delete(m.order, i, i+1)
	return true
}

func (m *Manager) indexLocked(id string) int {
	return slices.IndexFunc(m.order, func(t *Terminal) bool { return t.spec.ID == id })
}

// Get returns a terminal that has not ended. Error: ErrNotFound.
func (m *Manager) Get(id string) (*Terminal, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if i := m.indexLocked(id); i >= 0 {
		return m.order[i], nil
	}
	return nil, fmt.Errorf("terminal %q: %w", id, ErrNotFound)
}

// List returns the terminals by age.
func (m *Manager) List() []*Terminal {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.order)
}

// Delete is DeleteWith of the terminal's own processes: what made itself independent, by setsid or nohup, lives on.
func (m *Manager) Delete(id string) error { return m.DeleteWith(id, process.OwnSession) }

// DeleteWith kills a terminal's shell and, of all that it started, what scope says; its clients see exit code 137. It
// returns when they are gone. Error: ErrNotFound.
func (m *Manager) DeleteWith(id string, scope process.Scope) error {
	t, err := m.Get(id)
	if err != nil {
		return err
	}
	if !m.remove(t) {
		return fmt.Errorf("terminal %q: %w", id, ErrNotFound)
	}
	t.kill(scope)
	return nil
}

// Close kills all terminals with all that they started, and returns when their goroutines have ended. Create fails from
// then on.
func (m *Manager) Close() {
	m.mu.Lock()
	m.closed = true
	m.mu.Unlock()
	var all sync.WaitGroup
	for _, t := range m.List() {
		all.Go(func() { _ = m.DeleteWith(t.spec.ID, process.Descendants) }) // an error means that it has ended
	}
	all.Wait()
	m.goroutines.Wait()
}
