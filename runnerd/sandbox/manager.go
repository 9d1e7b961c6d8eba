package sandbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/internal/keyed"
	"github.com/sandlot-dev/sandlot/internal/lifecycle"
	"github.com/sandlot-dev/sandlot/internal/logkey"
)

// Toolbox is what a Manager asks of the daemon inside a sandbox.
type Toolbox interface {
	// Ready waits until the daemon answers and returns its version.
	Ready(ctx context.Context, at Address) (version string, err error)
}

// Reporter takes the findings of a Manager. It answers with those sandboxes of the report whose deletion is on
// record: the Manager removes what is left of them. A sandbox that the Reporter does not know is not among them.
type Reporter interface {
	Report(ctx context.Context, r lifecycle.Report) (deleted []string, err error)
}

// Address is where and how the toolbox of a sandbox is reached.
type Address struct {
	Addr   netip.Addr
	Secret string
}

// Config is what a Manager needs. Driver, Toolbox, Key, Inject and Logger are required.
type Config struct {
	Runner    string // this runner's id
	After     uint64 // the highest Seq that the coordinator has taken from this runner
	Driver    Driver
	Toolbox   Toolbox
	Key       []byte            // sandbox secrets are derived from it
	Inject    string            // folder on the engine's host with toolboxd; it never changes
	CA        bool              // Inject has ca-certificates.crt too
	Env       map[string]string // variables of every sandbox
	MinFree   uint64            // bytes that must be free for a create; 0 asks for none
	Grace     time.Duration     // from SIGTERM to SIGKILL in a stop; 0 means 10 s
	Heartbeat time.Duration     // between full reports; 0 means 30 s
	Logger    *slog.Logger
}

// Manager owns the sandboxes of one host.
type Manager struct {
	cfg   Config
	locks keyed.Locks // by sandbox: one operation at a time
	found findings

	mu       sync.Mutex
	dirty    map[string]bool          // a look at the changed sandbox is pending
	starting map[string]chan struct{} // by sandbox in its start; a value says that its container may have ended
	down     error                    // why the engine is not followed; nil while it is

	wg      sync.WaitGroup
	untaken chan struct{} // of one; full when a report was not taken

	begun chan struct{} // closed when the first attempt to follow the engine has succeeded or failed
	once  sync.Once     // closes begun
}

// New checks cfg and returns a Manager. It starts nothing.
func New(cfg Config) (*Manager, error) {
	if cfg.Driver == nil || cfg.Toolbox == nil || len(cfg.Key) == 0 || cfg.Inject == "" || cfg.Logger == nil {
		return nil, fault.New(fault.Invalid, "runner: Driver, Toolbox, Key, Inject and Logger are required")
	}
	if cfg.Grace == 0 {
		cfg.Grace = 10 * time.Second
	}
	if cfg.Heartbeat == 0 {
		cfg.Heartbeat = 30 * time.Second
	}
	return &Manager{
		cfg:      cfg,
		found:    findings{known: map[string]finding{}, seq: cfg.After},
		dirty:    map[string]bool{},
		starting: map[string]chan struct{}{},
		down:     fmt.Errorf("not connected yet: %w", ErrEngineDown),
		untaken:  make(chan struct{}, 1),
		begun:    make(chan struct{}),
	}, nil
}

// Create makes a sandbox and starts it. It returns when the toolbox answers. After an error nothing is left of a
// sandbox that this call made. Errors: fault.Full when the disk is full, fault.Invalid for an image or user that does
// not exist, ErrEngineDown.
func (m *Manager) Create(ctx context.Context, spec lifecycle.Spec) (lifecycle.Observed, error) {
	unlock, err := m.locks.Lock(ctx, spec.ID)
	if err != nil {
		return lifecycle.Observed{}, fmt.Errorf("create sandbox %s: %w", spec.ID, err)
	}
	defer unlock()
	if m.cfg.MinFree > 0 {
		if free, err := m.cfg.Driver.FreeSpace(ctx); err == nil && free < m.cfg.MinFree {
			return lifecycle.Observed{}, fault.Codef(fault.Full, "RUNNER_DISK_FULL",
				"the runner's disk has %d MiB free and needs %d MiB for a new sandbox; "+
					"remove sandboxes or images, or lower min_free_disk",
				free>>20, m.cfg.MinFree>>20)
		}
	}
	began := time.Now()
	c, made, err := m.make(ctx, spec)
	var o lifecycle.Observed
	if err == nil {
		o, err = m.start(ctx, c)
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

// undo removes what a failed create left, even if the caller's context has ended.
func (m *Manager) undo(ctx context.Context, id string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	if err := m.cfg.Driver.Remove(ctx, id); err != nil && !errors.Is(err, ErrEngineDown) {
		m.cfg.Logger.Warn("remains of a failed create stay until the next full report", logkey.Sandbox, id, logkey.Err, err)
	}
	m.found.forget(id)
}

// Start starts a stopped sandbox and returns when its toolbox answers.
func (m *Manager) Start(ctx context.Context, id string) (lifecycle.Observed, error) {
	unlock, err := m.locks.Lock(ctx, id)
	if err != nil {
		return lifecycle.Observed{}, fmt.Errorf("start sandbox %s: %w", id, err)
	}
	defer unlock()
	c, err := m.cfg.Driver.Inspect(ctx, id)
	var o lifecycle.Observed
	if err == nil {
		o, err = m.start(ctx, c)
	}
	if err != nil {
		return lifecycle.Observed{}, fmt.Errorf("start sandbox %s: %w", id, err)
	}
	return o, nil
}

// Stop ends a sandbox's processes and keeps its files. Without force the processes have Config.Grace to end by
// themselves.
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
	return m.found.record(lifecycle.Observed{ID: id, State: lifecycle.Stopped}, netip.Addr{}), nil
}

// Remove kills a sandbox's processes and removes the sandbox with its files.
func (m *Manager) Remove(ctx context.Context, id string) error {
	unlock, err := m.locks.Lock(ctx, id)
	if err != nil {
		return fmt.Errorf("remove sandbox %s: %w", id, err)
	}
	defer unlock()
	if err := m.cfg.Driver.Remove(ctx, id); err != nil {
		return fmt.Errorf("remove sandbox %s: %w", id, err)
	}
	m.found.forget(id)
	m.cfg.Logger.Info("sandbox removed", logkey.Sandbox, id)
	return nil
}

// Address returns where the toolbox of a running sandbox is. ErrNotFound when it does not run here.
func (m *Manager) Address(id string) (Address, error) {
	found, _ := m.found.of(id)
	if !found.addr.IsValid() {
		return Address{}, fmt.Errorf("sandbox %s: %w", id, ErrNotFound)
	}
	return m.at(id, found.addr), nil
}

// Ready returns nil while the engine answers, otherwise the reason (ErrEngineDown).
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
