package fleet

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/sandlot-dev/sandlot/internal/auth"
	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/internal/lifecycle"
	"github.com/sandlot-dev/sandlot/internal/logkey"
)

// Config is what a Manager needs; all but Hold and Changed are required.
type Config struct {
	Store           Store
	Runner          Runner
	RunnerID        string
	Region          string // id of the region of Runner
	DefaultSnapshot string // name used when a request names none
	MaxCPU          int    // cores of one sandbox
	MaxMemory       int    // GiB
	MaxDisk         int    // GiB
	Hold            time.Duration
	Changed         func(id string) // told after every change of a sandbox is stored, to read what is now; must not block
	Logger          *slog.Logger
}

// Manager owns the sandboxes of an installation. It is safe for concurrent use. Its workers run from New until Run has ended.
type Manager struct {
	cfg   Config
	ctx   context.Context //nolint:containedctx // of the workers, which outlive the requests that start them; ended by Run
	cut   context.CancelFunc
	wg    sync.WaitGroup
	alarm chan struct{} // tells the clock that a deadline may have changed
	began time.Time     // UTC; before it nobody saw whether a sandbox was idle

	mu        sync.Mutex
	closed    bool
	reported  bool // the runner has told what it has: until then the records may be older than what is
	workers   map[string]*worker
	watchers  map[string]map[*watcher]struct{}
	active    map[string]*activity
	strangers []string // what the runner has and no record knows, as last told to the operator
}

// worker closes the difference of one sandbox. again asks it for another look.
type worker struct{ again bool }

// activity is the traffic of one sandbox, kept here so that a busy one is not a write per request.
type activity struct {
	last, stored time.Time
	open         int // proxied connections
}

// New checks cfg and returns a Manager.
func New(cfg Config) (*Manager, error) {
	if cfg.Store == nil || cfg.Runner == nil || cfg.RunnerID == "" || cfg.Region == "" || cfg.Logger == nil ||
		cfg.DefaultSnapshot == "" || cfg.MaxCPU < 1 || cfg.MaxMemory < 1 || cfg.MaxDisk < 1 {
		return nil, fault.New(fault.Invalid, "fleet: Store, Runner, RunnerID, Region, DefaultSnapshot, limits and Logger are required")
	}
	if cfg.Hold == 0 {
		cfg.Hold = 8 * time.Second
	}
	if cfg.Changed == nil {
		cfg.Changed = func(string) {}
	}
	ctx, cut := context.WithCancel(context.Background())
	return &Manager{
		cfg: cfg, ctx: ctx, cut: cut, alarm: make(chan struct{}, 1), workers: map[string]*worker{},
		watchers: map[string]map[*watcher]struct{}{}, active: map[string]*activity{}, began: time.Now().UTC(),
	}, nil
}

// Run keeps the idle clock until ctx ends, then ends all workers. Steps they had begun are taken up again at the next start.
func (m *Manager) Run(ctx context.Context) error {
	m.clock(ctx)
	m.mu.Lock()
	m.closed = true
	m.mu.Unlock()
	m.cut()
	m.wg.Wait()
	m.storeActivity(context.WithoutCancel(ctx))
	return nil
}

// Get returns a sandbox of an organisation by id or name. ErrNotFound.
func (m *Manager) Get(ctx context.Context, organization, idOrName string) (Sandbox, error) {
	s, err := m.cfg.Store.Sandbox(ctx, organization, idOrName)
	if err != nil {
		return Sandbox{}, fmt.Errorf("sandbox %q: %w", idOrName, err)
	}
	return m.withActivity(s), nil
}

// ByID returns a sandbox of any organisation. ErrNotFound.
func (m *Manager) ByID(ctx context.Context, id string) (Sandbox, error) {
	s, err := m.cfg.Store.SandboxByID(ctx, id)
	if err != nil {
		return Sandbox{}, fmt.Errorf("sandbox %q: %w", id, err)
	}
	return m.withActivity(s), nil
}

// Page is a part of a list.
type Page struct {
	Sandboxes []Sandbox
	Total     int     // of all that match
	Next      *Cursor // of the page after this one; nil on the last
}

// List returns a page of at most q.Limit sandboxes.
func (m *Manager) List(ctx context.Context, q Query) (Page, error) {
	limit := q.Limit
	q.Limit++ // one more tells whether there is a next page
	list, total, err := m.cfg.Store.ListSandboxes(ctx, q)
	if err != nil {
		return Page{}, err
	}
	p := Page{Sandboxes: list, Total: total}
	if len(list) > limit {
		p.Sandboxes = list[:limit]
		p.Next = q.cursor(list[limit-1])
	}
	for i := range p.Sandboxes {
		p.Sandboxes[i] = m.withActivity(p.Sandboxes[i])
	}
	return p, nil
}

// Start starts a stopped sandbox, or one in error, and waits as the package comment says. One that runs is left alone.
func (m *Manager) Start(ctx context.Context, organization, idOrName string) (Sandbox, error) {
	return m.turn(ctx, organization, idOrName, "start", lifecycle.Started, func(s *Sandbox) {
		if s.State == lifecycle.Error {
			s.State, s.StateAt = lifecycle.Stopped, time.Now().UTC()
		}
		s.Forced, s.LastActivityAt = false, time.Now().UTC()
	})
}

// Stop ends the processes of a sandbox and keeps its files. With force they are killed at once.
func (m *Manager) Stop(ctx context.Context, organization, idOrName string, force bool) (Sandbox, error) {
	return m.turn(ctx, organization, idOrName, "stop", lifecycle.Stopped, func(s *Sandbox) {
		if s.State == lifecycle.Error {
			s.State, s.StateAt = lifecycle.Stopping, time.Now().UTC()
		}
		s.Forced = force
	})
}

func (m *Manager) turn(ctx context.Context, organization, idOrName, act string, to lifecycle.State, prepare func(*Sandbox)) (Sandbox, error) {
	s, err := m.Get(ctx, organization, idOrName)
	if err != nil {
		return Sandbox{}, err
	}
	if s.Desired == lifecycle.Destroyed {
		return Sandbox{}, fmt.Errorf("%s sandbox %q: %w", act, idOrName, errDeleted)
	}
	if s.State == to && s.Desired == to {
		return s, nil
	}
	if err := m.cfg.Runner.Ready(); err != nil {
		return Sandbox{}, fmt.Errorf("%s sandbox %q: %w", act, idOrName, err)
	}
	wait := m.watch(s.ID)
	defer wait.stop()
	if s, err = m.change(ctx, s.ID, func(s *Sandbox) error {
		s.Desired, s.Reason = to, ""
		prepare(s)
		return nil
	}); err != nil {
		return Sandbox{}, fmt.Errorf("%s sandbox %q: %w", act, idOrName, err)
	}
	m.kick(s.ID)
	done, err := wait.settled(ctx, m.cfg.Hold, s)
	if err != nil {
		return Sandbox{}, fmt.Errorf("%s sandbox %q: %w", act, idOrName, err)
	}
	return done, nil
}

// Delete has a sandbox removed, in whatever state it is, and does not wait. Its name is free at once.
func (m *Manager) Delete(ctx context.Context, organization, idOrName string) (Sandbox, error) {
	s, err := m.Get(ctx, organization, idOrName)
	if err != nil {
		return Sandbox{}, err
	}
	return m.want(ctx, s.ID, lifecycle.Destroyed)
}

func (m *Manager) want(ctx context.Context, id string, desired lifecycle.State) (Sandbox, error) {
	s, err := m.change(ctx, id, func(s *Sandbox) error {
		s.Desired = desired
		return nil
	})
	if err != nil {
		return Sandbox{}, fmt.Errorf("sandbox %q: %w", id, err)
	}
	m.kick(id)
	return s, nil
}

// SetLabels replaces the labels.
func (m *Manager) SetLabels(ctx context.Context, organization, idOrName string, labels map[string]string) (Sandbox, error) {
	if err := checkLabels(labels); err != nil {
		return Sandbox{}, err
	}
	return m.edit(ctx, organization, idOrName, func(s *Sandbox) error {
		s.Labels = maps.Clone(labels)
		return nil
	})
}

// SetPublic opens or closes the previews of a sandbox to everybody.
func (m *Manager) SetPublic(ctx context.Context, organization, idOrName string, public bool) (Sandbox, error) {
	return m.edit(ctx, organization, idOrName, func(s *Sandbox) error {
		s.Public = public
		return nil
	})
}

// SigningKey returns the key of a sandbox's signed file addresses, and makes a new one if there is none or rotate is set: all
// addresses signed before are void then.
func (m *Manager) SigningKey(ctx context.Context, organization, idOrName string, rotate bool) (string, error) {
	s, err := m.Get(ctx, organization, idOrName)
	if err != nil {
		return "", err
	}
	if s.SigningKey != "" && !rotate {
		return s.SigningKey, nil
	}
	s, err = m.change(ctx, s.ID, func(s *Sandbox) error {
		if s.SigningKey == "" || rotate {
			s.SigningKey = "sk_" + auth.NewToken() // letters in front: one client reads a key of digits as a number
		}
		return nil
	})
	return s.SigningKey, err
}

// Interval names one of a sandbox's intervals.
type Interval string

// The intervals that can be set, in the words of the wire.
const (
	AutoStop    Interval = "autoStopInterval"
	AutoArchive Interval = "autoArchiveInterval"
	AutoDelete  Interval = "autoDeleteInterval"
	TTL         Interval = "ttlMinutes" // counted from now
)

// SetInterval sets an interval, in minutes, with the bounds of a create.
func (m *Manager) SetInterval(ctx context.Context, organization, idOrName string, which Interval, minutes int) (Sandbox, error) {
	n, err := checkMinutes(string(which), minutes, which == AutoDelete)
	if err != nil {
		return Sandbox{}, err
	}
	return m.edit(ctx, organization, idOrName, func(s *Sandbox) error {
		switch which {
		case AutoStop:
			s.AutoStop = n
		case AutoArchive:
			if s.AutoArchive = n; n == 0 || n > MaxAutoArchive {
				s.AutoArchive = MaxAutoArchive
			}
		case AutoDelete:
			s.AutoDelete = n
		case TTL:
			s.DestroyAt = time.Time{}
			if n > 0 {
				s.DestroyAt = time.Now().UTC().Add(time.Duration(n) * time.Minute)
			}
		}
		return nil
	})
}

func (m *Manager) edit(ctx context.Context, organization, idOrName string, change func(*Sandbox) error) (Sandbox, error) {
	s, err := m.Get(ctx, organization, idOrName)
	if err != nil {
		return Sandbox{}, err
	}
	return m.change(ctx, s.ID, change)
}

// errDeleted is returned for what is asked of a sandbox whose deletion has been asked for.
var errDeleted = fault.New(fault.Conflict, "it is being deleted; make a new one")

// change stores a change and has everybody look who waits for one. Nothing takes back a deletion: errDeleted.
func (m *Manager) change(ctx context.Context, id string, change func(*Sandbox) error) (Sandbox, error) {
	s, err := m.cfg.Store.ChangeSandbox(ctx, id, func(s *Sandbox) error {
		before := *s
		if err := change(s); err != nil {
			return err
		}
		if before.Desired == lifecycle.Destroyed && s.Desired != lifecycle.Destroyed {
			return errDeleted
		}
		s.UpdatedAt = time.Now().UTC()
		if s.State != before.State {
			if !lifecycle.CanStep(before.State, s.State) {
				return fault.Newf(fault.Conflict, "sandbox %s cannot go from %s to %s", s.ID, before.State, s.State)
			}
			s.StateAt = s.UpdatedAt
		}
		return nil
	})
	if err != nil {
		return Sandbox{}, err
	}
	m.cfg.Logger.Debug("sandbox changed", logkey.Sandbox, s.ID, logkey.State, s.State, "desired", s.Desired)
	m.changed(id)
	return m.withActivity(s), nil
}

func (m *Manager) changed(id string) {
	m.cfg.Changed(id)
	m.wake(id)
	m.ring()
}
