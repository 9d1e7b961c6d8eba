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
)

// Config is what a Manager needs; all but Hold and Changed are required.
type Config struct {
	Store           Store
	Runners         Runners
	Region          string // id of the region of requests that name none
	DefaultSnapshot string // name used when a request names none
	MaxCPU          int    // cores of one sandbox
	MaxMemory       int    // GiB
	MaxDisk         int    // GiB
	Hold            time.Duration
	Changed         func(id string) // called after each stored change; reads the record itself; must not block
	Logger          *slog.Logger
}

// Manager is the face of an installation's sandboxes. It is safe for concurrent use. Its workers run until Run has
// ended.
type Manager struct {
	cfg       Config
	placement placement
	records   *records
	activity  *activity
	watchers  *watchers
	workers   *workers
	clock     *clock
	strangers *strangers
}

// New checks cfg and returns a Manager.
func New(cfg Config) (*Manager, error) {
	if cfg.Store == nil || cfg.Runners == nil || cfg.Region == "" || cfg.Logger == nil ||
		cfg.DefaultSnapshot == "" || cfg.MaxCPU < 1 || cfg.MaxMemory < 1 || cfg.MaxDisk < 1 {
		return nil, fault.New(fault.Invalid, "fleet: Store, Runners, Region, DefaultSnapshot, limits and Logger are required")
	}
	if cfg.Hold == 0 {
		cfg.Hold = 8 * time.Second
	}
	if cfg.Changed == nil {
		cfg.Changed = func(string) {}
	}
	m := &Manager{
		cfg: cfg, placement: placement{runners: cfg.Runners, region: cfg.Region},
		activity: newActivity(cfg.Store, cfg.Logger), watchers: newWatchers(), strangers: &strangers{logger: cfg.Logger},
	}
	m.records = &records{store: cfg.Store, activity: m.activity, publish: m.publish, logger: cfg.Logger}
	m.workers = newWorkers(m.records, m.watchers, cfg.Runners, cfg.Logger)
	m.clock = &clock{
		store: cfg.Store, records: m.records, workers: m.workers, logger: cfg.Logger, began: time.Now().UTC(),
		changed: make(chan struct{}, 1), trusted: map[string]bool{},
	}
	return m, nil
}

// publish notifies everyone who waits for a change of a sandbox, after the change is stored.
func (m *Manager) publish(id string) {
	m.cfg.Changed(id)
	m.watchers.notify(id)
	m.clock.wake()
}

// Run expires sandboxes and writes activity until ctx ends, then ends all workers. The next start repeats the steps
// that were under way.
func (m *Manager) Run(ctx context.Context) error {
	var own sync.WaitGroup
	own.Go(func() { m.clock.run(ctx) })
	own.Go(func() { m.activity.run(ctx) })
	own.Wait()
	m.workers.close()
	return nil
}

// Get returns a sandbox of an organisation by id or name. ErrNotFound.
func (m *Manager) Get(ctx context.Context, organization, idOrName string) (Sandbox, error) {
	return m.records.get(ctx, organization, idOrName)
}

// ByID returns a sandbox of any organisation. ErrNotFound.
func (m *Manager) ByID(ctx context.Context, id string) (Sandbox, error) {
	return m.records.byID(ctx, id)
}

// Touch records traffic of a sandbox. opened is +1 when a proxied connection begins, -1 when it ends, and 0 for traffic
// without a connection.
func (m *Manager) Touch(id string, opened int) {
	m.activity.touch(id, opened)
}

// Refresh records activity of a sandbox of an organisation. ErrNotFound.
func (m *Manager) Refresh(ctx context.Context, organization, idOrName string) error {
	s, err := m.Get(ctx, organization, idOrName)
	if err != nil {
		return err
	}
	m.Touch(s.ID, 0)
	return nil
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
	q.Limit++ // a row beyond the limit shows that there is a next page
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
		p.Sandboxes[i] = m.activity.addTo(p.Sandboxes[i])
	}
	return p, nil
}

// Start starts a sandbox that is stopped or in error, and waits for it, see the package comment. It does nothing to a
// sandbox that runs.
func (m *Manager) Start(ctx context.Context, organization, idOrName string) (Sandbox, error) {
	return m.transition(ctx, organization, idOrName, "start", lifecycle.Started, func(s *Sandbox) {
		if s.State == lifecycle.Error {
			s.State, s.StateAt = lifecycle.Stopped, time.Now().UTC()
		}
		s.Forced, s.LastActivityAt = false, time.Now().UTC()
	})
}

// Stop ends the processes of a sandbox and keeps its files. With force they are killed at once.
func (m *Manager) Stop(ctx context.Context, organization, idOrName string, force bool) (Sandbox, error) {
	return m.transition(ctx, organization, idOrName, "stop", lifecycle.Stopped, func(s *Sandbox) {
		if s.State == lifecycle.Error {
			s.State, s.StateAt = lifecycle.Stopping, time.Now().UTC()
		}
		s.Forced = force
	})
}

// transition changes the desired state of a sandbox and waits for the result.
func (m *Manager) transition(
	ctx context.Context, organization, idOrName, act string, to lifecycle.State, prepare func(*Sandbox),
) (Sandbox, error) {
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
	if err := m.placement.ready(s.Runner); err != nil {
		return Sandbox{}, fmt.Errorf("%s sandbox %q: %w", act, idOrName, err)
	}
	watcher := m.watchers.watch(s.ID)
	defer watcher.stop()
	if s, err = m.records.change(ctx, s.ID, func(s *Sandbox) error {
		s.Desired, s.Reason = to, ""
		prepare(s)
		return nil
	}); err != nil {
		return Sandbox{}, fmt.Errorf("%s sandbox %q: %w", act, idOrName, err)
	}
	m.workers.enqueue(s.ID)
	done, err := watcher.settled(ctx, m.records, m.cfg.Hold, s)
	if err != nil {
		return Sandbox{}, fmt.Errorf("%s sandbox %q: %w", act, idOrName, err)
	}
	return done, nil
}

// Delete deletes a sandbox in any state. It does not wait for the removal. The name is free at once.
func (m *Manager) Delete(ctx context.Context, organization, idOrName string) (Sandbox, error) {
	s, err := m.Get(ctx, organization, idOrName)
	if err != nil {
		return Sandbox{}, err
	}
	return m.destroy(ctx, s.ID)
}

func (m *Manager) destroy(ctx context.Context, id string) (Sandbox, error) {
	s, err := m.records.change(ctx, id, func(s *Sandbox) error {
		s.Desired = lifecycle.Destroyed
		return nil
	})
	if err != nil {
		return Sandbox{}, fmt.Errorf("sandbox %q: %w", id, err)
	}
	m.workers.enqueue(id)
	return s, nil
}

// SetLabels replaces the labels.
func (m *Manager) SetLabels(
	ctx context.Context, organization, idOrName string, labels map[string]string,
) (Sandbox, error) {
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

// SigningKey returns the key of a sandbox's signed file addresses. It makes a new key if there is none or rotate is
// set. A new key makes all addresses signed before invalid.
func (m *Manager) SigningKey(ctx context.Context, organization, idOrName string, rotate bool) (string, error) {
	s, err := m.Get(ctx, organization, idOrName)
	if err != nil {
		return "", err
	}
	if s.SigningKey != "" && !rotate {
		return s.SigningKey, nil
	}
	s, err = m.records.change(ctx, s.ID, func(s *Sandbox) error {
		if s.SigningKey == "" || rotate {
			s.SigningKey = "sk_" + auth.NewToken() // a prefix, because one client reads a key of digits as a number
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
func (m *Manager) SetInterval(
	ctx context.Context, organization, idOrName string, which Interval, minutes int,
) (Sandbox, error) {
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

func (m *Manager) edit(
	ctx context.Context, organization, idOrName string, change func(*Sandbox) error,
) (Sandbox, error) {
	s, err := m.Get(ctx, organization, idOrName)
	if err != nil {
		return Sandbox{}, err
	}
	return m.records.change(ctx, s.ID, change)
}
