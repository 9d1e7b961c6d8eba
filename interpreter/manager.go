package interpreter

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/process"
)

const (
	maxContexts = 256
	maxWaiting  = 128
)

// Errors of this room.
var (
	ErrNotFound = fault.New(fault.NotFound, "no such context")
	ErrDeleted  = fault.New(fault.Gone, "the context was deleted")
	ErrBusy     = fault.Newf(fault.Limited, "%d cells wait in this context already: try again later", maxWaiting)
)

// Config is what a Manager needs.
type Config struct {
	Processes *process.Manager // required
	Logger    *slog.Logger     // required

	// Idle is how long the process is kept that starts Python programs and workers quickly, after its last use. 0 means
	// a minute.
	Idle time.Duration
}

// Manager owns the contexts of a sandbox.
type Manager struct {
	cfg  Config
	work sync.WaitGroup // every goroutine of this room

	large sync.Mutex // held while a large message of any worker is taken in

	forks forkServer // of programs that import little, and of contexts
	heavy forkServer // of programs that import what takes long; a process of it has that in memory

	mu       sync.Mutex
	contexts map[string]*Context
	defaults map[string]*Context // by language
	closed   bool
}

// NewManager returns a Manager without contexts.
func NewManager(cfg Config) *Manager {
	if cfg.Idle == 0 {
		cfg.Idle = idleTime
	}
	m := &Manager{cfg: cfg, contexts: map[string]*Context{}, defaults: map[string]*Context{}}
	m.forks.m, m.heavy.m = m, m
	return m
}

// Options say what context to make.
type Options struct {
	Dir      string // to start in; "" means the Manager's of processes
	Language string // "" means Default
	Memory   int64  // bytes that each of its processes may have of its own; 0 means what the sandbox has
}

// Create makes a context and waits until its worker runs. Errors: fault.Invalid for an unknown language,
// fault.NotFound for a folder that is not there, fault.Limited for too many contexts, fault.Unavailable where the
// language is not installed or its worker does not start.
func (m *Manager) Create(ctx context.Context, o Options) (*Context, error) {
	l, err := languageOf(o.Language)
	if err != nil {
		return nil, err
	}
	c := newContext(m, uuid.NewString(), l, o)
	if err := m.add(c); err != nil {
		return nil, err
	}
	if err := c.start(ctx); err != nil {
		m.remove(c)
		return nil, err
	}
	return c, nil
}

func (m *Manager) add(c *Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.closed:
		return process.ErrClosed
	case len(m.contexts) >= maxContexts:
		return fault.Newf(fault.Limited, "there are %d contexts already: delete some", maxContexts)
	}
	m.contexts[c.ID] = c
	return nil
}

func (m *Manager) remove(c *Context) {
	m.mu.Lock()
	delete(m.contexts, c.ID)
	m.mu.Unlock()
	c.end()
}

// Get finds a context that was made by Create. Error: ErrNotFound.
func (m *Manager) Get(id string) (*Context, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if c := m.contexts[id]; c != nil {
		return c, nil
	}
	return nil, fmt.Errorf("%w: %q", ErrNotFound, id)
}

// Default returns the context of a language that belongs to nobody. Its worker is started by its first cell.
func (m *Manager) Default(name string) (*Context, error) {
	l, err := languageOf(name)
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil, process.ErrClosed
	}
	c := m.defaults[l.name]
	if c == nil {
		id := "default"
		if l.name != Default {
			id += "-" + l.name
		}
		c = newContext(m, id, l, Options{})
		m.defaults[l.name] = c
	}
	return c, nil
}

// List returns the contexts made by Create, oldest first.
func (m *Manager) List() []*Context {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := make([]*Context, 0, len(m.contexts))
	for _, c := range m.contexts {
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b *Context) int { return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.ID, b.ID)) })
	return all
}

// Delete ends a context and all that it started. Its running cell ends with the error Deleted. Error: ErrNotFound.
func (m *Manager) Delete(id string) error {
	c, err := m.Get(id)
	if err != nil {
		return err
	}
	m.remove(c)
	return nil
}

// Close ends every context and returns when nothing of this room runs any more.
func (m *Manager) Close() {
	m.mu.Lock()
	m.closed = true
	all := make([]*Context, 0, len(m.contexts)+len(m.defaults))
	for _, c := range m.contexts {
		all = append(all, c)
	}
	for _, c := range m.defaults {
		all = append(all, c)
	}
	clear(m.contexts)
	m.mu.Unlock()
	var ends sync.WaitGroup
	for _, c := range all {
		ends.Go(c.end)
	}
	ends.Wait()
	m.forks.End()
	m.heavy.End()
	m.work.Wait()
}

func (m *Manager) isClosed() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.closed
}

// startTime is the longest that a worker may take to say that it runs.
const startTime = 30 * time.Second
