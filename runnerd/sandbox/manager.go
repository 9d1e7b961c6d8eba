package sandbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/sandlot-dev/sandlot/internal/auth"
	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/internal/keyed"
	"github.com/sandlot-dev/sandlot/internal/lifecycle"
	"github.com/sandlot-dev/sandlot/internal/logkey"
)

// ErrNotFound is returned for a sandbox that is not on this runner.
var ErrNotFound = fault.New(fault.NotFound, "no such sandbox on this runner")

// ErrForeign is returned where a container that is not of this instance has the name that a sandbox's must have.
var ErrForeign = fault.New(fault.Conflict, "a container that is not this installation's has the sandbox's name; it was left alone")

// ErrEngineDown is returned while the container engine does not answer.
var ErrEngineDown = fault.New(fault.Unavailable, "the container engine does not answer; `sandlot doctor` says how to mend it")

// Container is what a Driver sees of one sandbox.
type Container struct {
	ID          string // the sandbox's
	Running     bool
	Started     bool       // it ran at some time
	Addr        netip.Addr // its address while it runs
	Since       time.Time  // when it was started, or ended if it does not run; zero if it never ran
	ExitCode    int        // of its process 1, once it has ended
	OutOfMemory bool       // it was ended for lack of memory
	WithHost    bool       // it was ended by the end of the engine or the host
}

// Driver is what a Manager asks of a container engine. Every method may be repeated safely; all fail with ErrEngineDown (wrapped)
// when the engine does not answer, and see only containers of this instance. ErrForeign where a container has a sandbox's name and is not of
// this instance.
type Driver interface {
	// Create makes a container; made is false if it was there already. fault.Invalid for what the engine refuses.
	Create(ctx context.Context, spec lifecycle.Spec) (made bool, err error)
	Start(ctx context.Context, id string) (Container, error)
	Stop(ctx context.Context, id string, grace time.Duration) error // nil if it does not run
	Remove(ctx context.Context, id string) error                    // kills at once; nil if already gone
	Inspect(ctx context.Context, id string) (Container, error)      // ErrNotFound
	List(ctx context.Context) ([]Container, error)
	// Watch calls ready when changes are being followed and changed with the sandbox of every later change, ended if its container has ended
	// or was removed. It returns with ctx or with the connection to the engine.
	Watch(ctx context.Context, ready func(), changed func(id string, ended bool)) error
	// Room returns the bytes free where the engine keeps its containers.
	Room(ctx context.Context) (uint64, error)
}

// Toolbox is what a Manager asks of the daemon inside a sandbox.
type Toolbox interface {
	// Ready waits until the daemon answers and returns its version.
	Ready(ctx context.Context, at Address) (version string, err error)
}

// Reporter takes what a Manager sees and answers the sandboxes that were deleted, of which something is left here: it is removed then. What
// a Reporter does not know is no such sandbox.
type Reporter interface {
	Report(ctx context.Context, r lifecycle.Report) (deleted []string, err error)
}

// Address is where and how the toolbox of a sandbox is reached.
type Address struct {
	Addr   netip.Addr
	Secret string
}

// Config is what a Manager needs. Driver, Toolbox, Key and Logger are required.
type Config struct {
	Runner    string // this runner's id
	After     uint64 // the highest Seq that the coordinator has taken from this runner
	Driver    Driver
	Toolbox   Toolbox
	Key       []byte        // sandbox secrets are derived from it
	MinRoom   uint64        // bytes that must be free for a create; 0 asks for none
	Grace     time.Duration // from SIGTERM to SIGKILL in a stop; 0 means 10 s
	Heartbeat time.Duration // between full reports; 0 means 30 s
	Logger    *slog.Logger
}

// Manager owns the sandboxes of one host.
type Manager struct {
	cfg Config

	locks keyed.Locks // by sandbox: one operation at a time

	mu       sync.Mutex
	seen     map[string]lifecycle.Observed // what was found out last
	addrs    map[string]netip.Addr         // of those that run
	dirty    map[string]bool               // changed while nobody looked yet
	starting map[string]chan struct{}      // by sandbox: an operation waits for its toolbox; gets a value when its container may have ended
	down     error                         // why the engine is not followed; nil while it is
	seq      uint64                        // the last Seq that was given
	wg       sync.WaitGroup

	untaken chan struct{} // holds one: a report was not taken

	begun chan struct{} // closed when the first attempt to follow the engine has an end
	once  sync.Once
}

// New checks cfg and returns a Manager. It starts nothing.
func New(cfg Config) (*Manager, error) {
	if cfg.Driver == nil || cfg.Toolbox == nil || len(cfg.Key) == 0 || cfg.Logger == nil {
		return nil, fault.New(fault.Invalid, "runner: Driver, Toolbox, Key and Logger are required")
	}
	if cfg.Grace == 0 {
		cfg.Grace = 10 * time.Second
	}
	if cfg.Heartbeat == 0 {
		cfg.Heartbeat = 30 * time.Second
	}
	return &Manager{
		cfg: cfg, down: fmt.Errorf("not connected yet: %w", ErrEngineDown), seen: map[string]lifecycle.Observed{},
		addrs: map[string]netip.Addr{}, dirty: map[string]bool{}, starting: map[string]chan struct{}{}, seq: cfg.After,
		untaken: make(chan struct{}, 1), begun: make(chan struct{}),
	}, nil
}

// Create makes a sandbox and starts it. It returns when the toolbox answers. After an error nothing is left of a sandbox that
// this call made. Errors: fault.Full when there is no room, fault.Invalid for an image or user that is not there, ErrEngineDown.
func (m *Manager) Create(ctx context.Context, spec lifecycle.Spec) (lifecycle.Observed, error) {
	unlock, err := m.locks.Lock(ctx, spec.ID)
	if err != nil {
		return lifecycle.Observed{}, fmt.Errorf("create sandbox %s: %w", spec.ID, err)
	}
	defer unlock()
	if m.cfg.MinRoom > 0 {
		if room, err := m.cfg.Driver.Room(ctx); err == nil && room < m.cfg.MinRoom {
			return lifecycle.Observed{}, fault.Codef(fault.Full, "RUNNER_DISK_FULL",
				"the runner's disk has %d MiB free and needs %d MiB for a new sandbox; remove sandboxes or images, or lower min_free_disk",
				room>>20, m.cfg.MinRoom>>20)
		}
	}
	began := time.Now()
	made, err := m.cfg.Driver.Create(ctx, spec)
	var o lifecycle.Observed
	if err == nil {
		o, err = m.start(ctx, spec.ID)
	}
	if err != nil {
		if made {
			m.undo(ctx, spec.ID)
		}
		return lifecycle.Observed{}, fmt.Errorf("create sandbox %s: %w", spec.ID, err)
	}
	m.cfg.Logger.Info("sandbox created", logkey.Sandbox, spec.ID, logkey.Image, spec.Image, logkey.Took, time.Since(began))
	return o, nil
}

// undo removes what a failed create left, whatever ended it.
func (m *Manager) undo(ctx context.Context, id string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	if err := m.cfg.Driver.Remove(ctx, id); err != nil && !errors.Is(err, ErrEngineDown) {
		m.cfg.Logger.Warn("remains of a failed create stay until the next full report", logkey.Sandbox, id, logkey.Err, err)
	}
	m.forget(id)
}

// Start starts a stopped sandbox and returns when its toolbox answers.
func (m *Manager) Start(ctx context.Context, id string) (lifecycle.Observed, error) {
	unlock, err := m.locks.Lock(ctx, id)
	if err != nil {
		return lifecycle.Observed{}, fmt.Errorf("start sandbox %s: %w", id, err)
	}
	defer unlock()
	o, err := m.start(ctx, id)
	if err != nil {
		return lifecycle.Observed{}, fmt.Errorf("start sandbox %s: %w", id, err)
	}
	return o, nil
}

func (m *Manager) start(ctx context.Context, id string) (lifecycle.Observed, error) {
	ended, forget := m.expectEnd(id)
	defer forget()
	c, err := m.cfg.Driver.Start(ctx, id)
	if err != nil {
		return lifecycle.Observed{}, err
	}
	version, err := m.ready(ctx, id, c.Addr, ended)
	if err != nil {
		return lifecycle.Observed{}, m.explain(ctx, id, err)
	}
	return m.remember(lifecycle.Observed{ID: id, State: lifecycle.Started, Since: c.Since, DaemonVersion: version}, c.Addr), nil
}

// ready waits for the toolbox, until its container has ended.
func (m *Manager) ready(ctx context.Context, id string, addr netip.Addr, ended <-chan struct{}) (version string, err error) {
	ctx, cancel := context.WithCancel(ctx)
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		version, err = m.cfg.Toolbox.Ready(ctx, m.at(id, addr))
	}()
	defer cancel()
	for {
		select {
		case <-answered:
			return version, err
		case <-ended:
			if c, err := m.cfg.Driver.Inspect(ctx, id); err == nil && !c.Running || errors.Is(err, ErrNotFound) {
				cancel()
			}
		}
	}
}

// expectEnd returns a channel that gets a value when the container may have ended, until forget is called.
func (m *Manager) expectEnd(id string) (ended <-chan struct{}, forget func()) {
	c := make(chan struct{}, 1)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.starting[id] = c
	return c, func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.starting, id)
	}
}

// explain says why a toolbox did not answer: mostly because its container has ended.
func (m *Manager) explain(ctx context.Context, id string, err error) error {
	c, inspectErr := m.cfg.Driver.Inspect(context.WithoutCancel(ctx), id)
	if inspectErr == nil && !c.Running {
		return fault.Newf(fault.Internal, "the sandbox ended while it started: %s", exitReason(c))
	}
	if inspectErr == nil { // it runs, by our doing
		m.remember(lifecycle.Observed{ID: id, State: lifecycle.Started, Since: c.Since}, c.Addr)
	}
	return fmt.Errorf("its toolbox does not answer: %w", err)
}

// Stop ends a sandbox's processes and keeps its files. Without force they have Config.Grace to end by themselves.
func (m *Manager) Stop(ctx context.Context, id string, force bool) (lifecycle.Observed, error) {
	unlock, err := m.locks.Lock(ctx, id)
	if err != nil {
		return lifecycle.Observed{}, fmt.Errorf("stop sandbox %s: %w", id, err)
	}
	defer unlock()
	grace := m.cfg.Grace
	if force {
		grace = 0
	}
	if err := m.cfg.Driver.Stop(ctx, id, grace); err != nil {
		return lifecycle.Observed{}, fmt.Errorf("stop sandbox %s: %w", id, err)
	}
	return m.remember(lifecycle.Observed{ID: id, State: lifecycle.Stopped}, netip.Addr{}), nil
}

// Remove ends a sandbox at once and removes it with its files.
func (m *Manager) Remove(ctx context.Context, id string) error {
	unlock, err := m.locks.Lock(ctx, id)
	if err != nil {
		return fmt.Errorf("remove sandbox %s: %w", id, err)
	}
	defer unlock()
	if err := m.cfg.Driver.Remove(ctx, id); err != nil {
		return fmt.Errorf("remove sandbox %s: %w", id, err)
	}
	m.forget(id)
	m.cfg.Logger.Info("sandbox removed", logkey.Sandbox, id)
	return nil
}

// Address returns where the toolbox of a running sandbox is. ErrNotFound when it does not run here.
func (m *Manager) Address(id string) (Address, error) {
	m.mu.Lock()
	addr, ok := m.addrs[id]
	m.mu.Unlock()
	if !ok {
		return Address{}, fmt.Errorf("sandbox %s: %w", id, ErrNotFound)
	}
	return m.at(id, addr), nil
}

// Ready returns nil while the engine answers, else why not (ErrEngineDown).
func (m *Manager) Ready() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.down
}

// Begun is closed when the first attempt to reach the engine has succeeded or failed.
func (m *Manager) Begun() <-chan struct{} { return m.begun }

func (m *Manager) setDown(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.down = err
	m.once.Do(func() { close(m.begun) })
}

// SecretHash returns the hash of a sandbox's secret, which is all that the sandbox is given of it.
func (m *Manager) SecretHash(id string) string { return auth.Hash(auth.SandboxSecret(m.cfg.Key, id)) }

func (m *Manager) at(id string, addr netip.Addr) Address {
	return Address{Addr: addr, Secret: auth.SandboxSecret(m.cfg.Key, id)}
}

// remember keeps what an operation found out and returns it with its number.
func (m *Manager) remember(o lifecycle.Observed, addr netip.Addr) lifecycle.Observed {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.rememberLocked(o, addr)
}

func (m *Manager) rememberLocked(o lifecycle.Observed, addr netip.Addr) lifecycle.Observed {
	m.seq++
	o.Seq = m.seq
	m.seen[o.ID] = o
	if addr.IsValid() {
		m.addrs[o.ID] = addr
	} else {
		delete(m.addrs, o.ID)
	}
	return o
}

func (m *Manager) forget(id string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.seen, id)
	delete(m.addrs, id)
}

func exitReason(c Container) string {
	switch {
	case c.OutOfMemory:
		return "it used more memory than it may"
	case c.ExitCode > 128:
		return fmt.Sprintf("its first process was ended by signal %d", c.ExitCode-128)
	}
	return fmt.Sprintf("its first process ended with code %d", c.ExitCode)
}
