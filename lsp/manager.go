package lsp

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/process"
)

// Config is what a Manager needs.
type Config struct {
	Processes *process.Manager // starts the servers; required
	Dir       string           // absolute folder that relative projects start from; required
	Logger    *slog.Logger     // nil logs nothing
	Languages []Language       // nil means Languages()
	Timeout   time.Duration    // of a start and of each request, where its context has none sooner; 0 means 30 s
}

// MaxServers is the most servers of a Manager.
const MaxServers = 32

// Manager owns the language servers of a sandbox. It is safe for concurrent use. It must be closed.
type Manager struct {
	cfg       Config
	languages languages
	big       chan struct{} // see stream

	mu      sync.Mutex
	servers map[Key]*Server
	closed  bool
}

// Key names a server: a language and a project's folder, as the caller of Start wrote it. Relative folders start from
// Config.Dir.
type Key struct{ Language, Project string }

// NewManager checks cfg and returns a Manager. It starts nothing.
func NewManager(cfg Config) (*Manager, error) {
	if cfg.Processes == nil || !filepath.IsAbs(cfg.Dir) {
		return nil, fault.New(fault.Invalid, "lsp: Processes must be set and Dir an absolute path")
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Languages == nil {
		cfg.Languages = Languages()
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = 30 * time.Second
	}
	return &Manager{
		cfg: cfg, languages: newLanguages(cfg.Languages), servers: map[Key]*Server{}, big: make(chan struct{}, 1),
	}, nil
}

// key finds the language of a Key and makes its name the canonical one.
func (m *Manager) key(k Key) (Key, *Language, error) {
	l, err := m.languages.find(k.Language)
	if err != nil {
		return Key{}, nil, err
	}
	if strings.TrimSpace(k.Project) == "" {
		return Key{}, nil, fault.New(fault.Invalid, "pathToProject is empty: give the project's folder")
	}
	k.Language = l.Name
	return k, l, nil
}

// Start starts a server, unless it is started already, and returns when it is ready for requests. Callers of the same
// Key share one start; it goes on when a caller leaves. Errors: fault.Invalid for an unknown language, with those there
// are, or a project that is no folder; fault.NotFound for a missing one; fault.NotBuilt when no server for the language
// is installed, with how to install it; ErrCrashed; ErrTimeout; fault.Limited; ErrClosed.
func (m *Manager) Start(ctx context.Context, k Key) error {
	k, l, err := m.key(k)
	if err != nil {
		return err
	}
	s, err := m.enter(k, l)
	if err != nil {
		return err
	}
	_, _, err = s.live(ctx)
	if err != nil && ctx.Err() == nil {
		m.leave(s) // unless it has been up before
	}
	return err
}

// enter returns the server of a Key, a new one where there is none.
func (m *Manager) enter(k Key, l *Language) (*Server, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil, ErrClosed
	}
	if s := m.servers[k]; s != nil {
		return s, nil
	}
	if len(m.servers) >= MaxServers {
		return nil, fault.Newf(fault.Limited, "%d language servers are started, which is the most: stop one", MaxServers)
	}
	root, err := resolver{dir: m.cfg.Dir}.project(k.Project)
	if err != nil {
		return nil, err
	}
	s := newServer(m, k, l, root)
	m.servers[k] = s
	return s, nil
}

// leave removes a server that never came up.
func (m *Manager) leave(s *Server) {
	if s.wasUp() {
		return
	}
	m.mu.Lock()
	if m.servers[s.key] == s {
		delete(m.servers, s.key)
	}
	m.mu.Unlock()
	s.stop()
}

// Stop ends a server and all its processes, and returns when they are gone, after some 6 s at most. Requests that it
// has not answered fail with ErrNotStarted. What is not started is stopped already. Error: fault.Invalid for an unknown
// language.
func (m *Manager) Stop(k Key) error {
	k, _, err := m.key(k)
	if err != nil {
		return err
	}
	m.mu.Lock()
	s := m.servers[k]
	delete(m.servers, k)
	m.mu.Unlock()
	if s != nil {
		s.stop()
	}
	return nil
}

// Server returns the server of a Key. Errors: ErrNotStarted, fault.Invalid for an unknown language.
func (m *Manager) Server(k Key) (*Server, error) {
	k, _, err := m.key(k)
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if s := m.servers[k]; s != nil {
		return s, nil
	}
	return nil, fmt.Errorf("%s in %s: %w", k.Language, clip(k.Project), ErrNotStarted)
}

// Servers lists the keys of all servers, in order.
func (m *Manager) Servers() []Key {
	m.mu.Lock()
	defer m.mu.Unlock()
	keys := make([]Key, 0, len(m.servers))
	for k := range m.servers {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b Key) int {
		return strings.Compare(a.Language+"\x00"+a.Project, b.Language+"\x00"+b.Project)
	})
	return keys
}

// Available is a language and whether a server for it is installed.
type Available struct {
	Language string
	Server   string // the program, "" when none is installed
	Install  string // a command that installs one
}

// Available lists the languages that are known.
func (m *Manager) Available() []Available {
	all := make([]Available, 0, len(m.languages.names))
	for _, name := range m.languages.names {
		l := m.languages.byName[name]
		a := Available{Language: name, Install: l.Install}
		if p, err := l.program(m.cfg.Processes.LookPath); err == nil {
			a.Server = p.Argv[0]
		}
		all = append(all, a)
	}
	return all
}

// Close stops all servers, at the same time, and returns when nothing of them is left. None starts any more.
func (m *Manager) Close() {
	m.mu.Lock()
	m.closed = true
	servers := m.servers
	m.servers = map[Key]*Server{}
	m.mu.Unlock()
	var stopping sync.WaitGroup
	for _, s := range servers {
		stopping.Go(s.stop)
	}
	stopping.Wait()
}
