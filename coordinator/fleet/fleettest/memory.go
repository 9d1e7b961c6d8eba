package fleettest

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/sandlot-dev/sandlot/coordinator/fleet"
	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/internal/lifecycle"
	"github.com/sandlot-dev/sandlot/internal/naming"
)

// Memory is a Store without a database, for tests. It is safe for concurrent use.
type Memory struct {
	mu        sync.Mutex
	sandboxes map[string]fleet.Sandbox
	due       map[string]time.Time // by sandbox
	deleted   map[string]bool
	links     map[string]fleet.Link
	doors     map[fleet.Door]bool
	snapshots map[string]fleet.Snapshot // by name
}

var _ fleet.Store = (*Memory)(nil)

// NewMemory returns an empty Memory.
func NewMemory() *Memory {
	return &Memory{
		sandboxes: map[string]fleet.Sandbox{}, due: map[string]time.Time{}, deleted: map[string]bool{},
		links: map[string]fleet.Link{}, doors: map[fleet.Door]bool{}, snapshots: map[string]fleet.Snapshot{},
	}
}

// InsertSandbox implements fleet.Store.
func (m *Memory) InsertSandbox(_ context.Context, s fleet.Sandbox) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.putLocked(s)
}

// putLocked writes a record if its name is free.
func (m *Memory) putLocked(s fleet.Sandbox) error {
	for _, other := range m.sandboxes {
		if other.ID != s.ID && other.Organization == s.Organization && other.Name == s.Name &&
			other.Desired != lifecycle.Destroyed && s.Desired != lifecycle.Destroyed {
			return fleet.ErrNameTaken
		}
	}
	m.sandboxes[s.ID], m.due[s.ID] = own(s), s.Due()
	return nil
}

// own returns a copy that shares no map.
func own(s fleet.Sandbox) fleet.Sandbox {
	s.Env, s.Labels = maps.Clone(s.Env), maps.Clone(s.Labels)
	return s
}

// Sandbox implements fleet.Store.
func (m *Memory) Sandbox(_ context.Context, organization, idOrName string) (fleet.Sandbox, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if s, ok := m.sandboxes[idOrName]; ok && s.Organization == organization {
		return own(s), nil
	}
	for _, s := range m.sandboxes {
		if s.Organization == organization && s.Name == idOrName && s.Desired != lifecycle.Destroyed &&
			!naming.IsID(idOrName) {
			return own(s), nil
		}
	}
	return fleet.Sandbox{}, fleet.ErrNotFound
}

// SandboxByID implements fleet.Store.
func (m *Memory) SandboxByID(_ context.Context, id string) (fleet.Sandbox, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s, ok := m.sandboxes[id]
	if !ok {
		return fleet.Sandbox{}, fleet.ErrNotFound
	}
	return own(s), nil
}

// ChangeSandbox implements fleet.Store.
func (m *Memory) ChangeSandbox(_ context.Context, id string, change func(*fleet.Sandbox) error) (fleet.Sandbox, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s, ok := m.sandboxes[id]
	if !ok {
		return fleet.Sandbox{}, fleet.ErrNotFound
	}
	s = own(s)
	version := s.Version + 1
	if err := change(&s); err != nil {
		return fleet.Sandbox{}, err
	}
	s.Version = version
	if err := m.putLocked(s); err != nil {
		return fleet.Sandbox{}, err
	}
	return s, nil
}

// DeleteSandbox implements fleet.Store.
func (m *Memory) DeleteSandbox(_ context.Context, id string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.sandboxes, id)
	delete(m.due, id)
	maps.DeleteFunc(m.links, func(_ string, l fleet.Link) bool { return l.Sandbox == id })
	maps.DeleteFunc(m.doors, func(d fleet.Door, _ bool) bool { return d.Sandbox == id })
	m.deleted[id] = true
	return nil
}

// Deleted implements fleet.Store.
func (m *Memory) Deleted(_ context.Context, ids []string) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return !m.deleted[id] }), nil
}

// LastSeen implements fleet.Store.
func (m *Memory) LastSeen(_ context.Context, runner string) (last uint64, err error) {
	for _, s := range m.where(func(s fleet.Sandbox) bool { return s.Runner == runner }) {
		last = max(last, s.Seen)
	}
	return last, nil
}

// SandboxesOn implements fleet.Store.
func (m *Memory) SandboxesOn(_ context.Context, runner string) ([]fleet.Sandbox, error) {
	return m.where(func(s fleet.Sandbox) bool { return s.Runner == runner }), nil
}

// Due implements fleet.Store.
func (m *Memory) Due(_ context.Context, runner string, by time.Time, limit int) ([]fleet.Sandbox, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	ids := slices.DeleteFunc(m.dueOnLocked(runner), func(id string) bool { return m.due[id].After(by) })
	var list []fleet.Sandbox
	for _, id := range ids[:min(limit, len(ids))] {
		list = append(list, own(m.sandboxes[id]))
	}
	return list, nil
}

// NextDue implements fleet.Store.
func (m *Memory) NextDue(_ context.Context, runner string) (time.Time, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	ids := m.dueOnLocked(runner)
	if len(ids) == 0 {
		return time.Time{}, nil
	}
	return m.due[ids[0]], nil
}

// dueOnLocked returns the sandboxes of a runner that may be due some time, the earliest first.
func (m *Memory) dueOnLocked(runner string) []string {
	var ids []string
	for id, at := range m.due {
		if !at.IsZero() && m.sandboxes[id].Runner == runner {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, func(a, b string) int { return m.due[a].Compare(m.due[b]) })
	return ids
}

// Postpone implements fleet.Store.
func (m *Memory) Postpone(_ context.Context, list []fleet.Postponed) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, p := range list {
		if s, ok := m.sandboxes[p.ID]; ok && s.Version == p.Version {
			m.due[p.ID] = p.DueAt
		}
	}
	return nil
}

// PutActivity implements fleet.Store.
func (m *Memory) PutActivity(_ context.Context, last map[string]time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for id, at := range last {
		if s, ok := m.sandboxes[id]; ok && at.After(s.LastActivityAt) {
			s.LastActivityAt = at
			m.sandboxes[id] = s
		}
	}
	return nil
}

// where returns copies of the records that match.
func (m *Memory) where(match func(fleet.Sandbox) bool) []fleet.Sandbox {
	m.mu.Lock()
	defer m.mu.Unlock()
	var list []fleet.Sandbox
	for _, s := range m.sandboxes {
		if match(s) {
			list = append(list, own(s))
		}
	}
	return list
}

// ListSandboxes implements fleet.Store.
func (m *Memory) ListSandboxes(_ context.Context, q fleet.Query) ([]fleet.Sandbox, int, error) {
	list := m.where(func(s fleet.Sandbox) bool { return matches(s, q) })
	total := len(list)
	compare := func(a, b fleet.Sandbox) int {
		return cmp.Or(cmp.Compare(sortKey(a, q.Sort), sortKey(b, q.Sort)), cmp.Compare(a.ID, b.ID))
	}
	if q.Descending {
		ascending := compare
		compare = func(a, b fleet.Sandbox) int { return ascending(b, a) }
	}
	slices.SortFunc(list, compare)
	if q.After != nil {
		last, err := lastRow(q.Sort, *q.After)
		if err != nil {
			return nil, 0, err
		}
		list = slices.DeleteFunc(list, func(s fleet.Sandbox) bool { return compare(s, last) <= 0 })
	}
	list = list[min(q.Offset, len(list)):]
	return list[:min(q.Limit, len(list))], total, nil
}

func matches(s fleet.Sandbox, q fleet.Query) bool {
	in := func(list []string, text string) bool { return len(list) == 0 || slices.Contains(list, text) }
	within := func(n, least, most int) bool { return n >= least && (most == 0 || n <= most) }
	between := func(t, from, to time.Time) bool {
		return (from.IsZero() || !t.IsZero() && !t.Before(from)) && (to.IsZero() || !t.IsZero() && !t.After(to))
	}
	for name, value := range q.Labels {
		if got, ok := s.Labels[name]; !ok || got != value {
			return false
		}
	}
	name := strings.ToLower(s.Name)
	return s.Organization == q.Organization &&
		strings.HasPrefix(strings.ToLower(s.ID), strings.ToLower(q.IDPrefix)) &&
		strings.HasPrefix(name, strings.ToLower(q.NamePrefix)) && strings.Contains(name, strings.ToLower(q.NamePart)) &&
		(len(q.States) == 0 || slices.Contains(q.States, s.Shown())) && in(q.Snapshots, s.Snapshot) &&
		in(q.Regions, s.Region) &&
		within(s.CPU, q.MinCPU, q.MaxCPU) && within(s.Memory, q.MinMemory, q.MaxMemory) &&
		within(s.Disk, q.MinDisk, q.MaxDisk) &&
		(q.Public == nil || s.Public == *q.Public) && between(s.CreatedAt, q.CreatedFrom, q.CreatedTo) &&
		between(s.LastActivityAt, q.ActivityFrom, q.ActivityTo) && between(s.DestroyAt, q.DestroyFrom, q.DestroyTo)
}

// sortKey returns the value of a column in a form that sorts as text.
func sortKey(s fleet.Sandbox, by fleet.Sort) string {
	number := func(n int) string { return fmt.Sprintf("%020d", n) }
	moment := func(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000000000") }
	switch by {
	case fleet.SortName:
		return s.Name
	case fleet.SortCPU:
		return number(s.CPU)
	case fleet.SortMemory:
		return number(s.Memory)
	case fleet.SortDisk:
		return number(s.Disk)
	case fleet.SortActivity:
		return moment(s.LastActivityAt)
	case fleet.SortCreated:
		return moment(s.CreatedAt)
	case fleet.SortUpdated:
		return moment(s.UpdatedAt)
	case fleet.SortState:
		return string(s.State)
	case fleet.SortSnapshot:
		return s.Snapshot
	case fleet.SortRegion:
		return s.Region
	default:
		return s.ID
	}
}

// lastRow returns what a cursor says of the last row of the page before.
func lastRow(by fleet.Sort, c fleet.Cursor) (s fleet.Sandbox, err error) {
	s = fleet.Sandbox{ID: c.ID, Name: c.Value, State: lifecycle.State(c.Value), Snapshot: c.Value, Region: c.Value}
	switch by {
	case fleet.SortCPU, fleet.SortMemory, fleet.SortDisk:
		var n int
		n, err = strconv.Atoi(c.Value)
		s.CPU, s.Memory, s.Disk = n, n, n
	case fleet.SortActivity, fleet.SortCreated, fleet.SortUpdated:
		var at time.Time
		at, err = time.Parse(time.RFC3339Nano, c.Value)
		s.LastActivityAt, s.CreatedAt, s.UpdatedAt = at, at, at
	}
	if err != nil {
		return s, fault.New(fault.Invalid, "cursor does not belong to this list")
	}
	return s, nil
}

// PutLink implements fleet.Store.
func (m *Memory) PutLink(_ context.Context, l fleet.Link) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.sandboxes[l.Sandbox]; !ok {
		return fleet.ErrNotFound
	}
	now := time.Now()
	maps.DeleteFunc(m.links, func(_ string, l fleet.Link) bool { return l.Until.Before(now) })
	m.links[l.Hash] = l
	return nil
}

// LinkByHash implements fleet.Store.
func (m *Memory) LinkByHash(_ context.Context, hash string) (fleet.Link, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	l, ok := m.links[hash]
	if !ok {
		return fleet.Link{}, fleet.ErrNoLink
	}
	return l, nil
}

// DeleteLink implements fleet.Store.
func (m *Memory) DeleteLink(_ context.Context, l fleet.Link) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if kept := m.links[l.Hash]; kept.Sandbox == l.Sandbox && kept.Port == l.Port {
		delete(m.links, l.Hash)
	}
	return nil
}

// PutDoor implements fleet.Store.
func (m *Memory) PutDoor(_ context.Context, d fleet.Door) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.sandboxes[d.Sandbox]; !ok {
		return fleet.ErrNotFound
	}
	m.doors[d] = true
	return nil
}

// Doors implements fleet.Store.
func (m *Memory) Doors(context.Context) ([]fleet.Door, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Collect(maps.Keys(m.doors)), nil
}

// Snapshot implements fleet.Store.
func (m *Memory) Snapshot(_ context.Context, idOrName string) (fleet.Snapshot, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, s := range m.snapshots {
		if s.ID == idOrName || s.Name == idOrName {
			return s, nil
		}
	}
	return fleet.Snapshot{}, fault.New(fault.NotFound, "no such record")
}

// PutSnapshot implements fleet.Store.
func (m *Memory) PutSnapshot(_ context.Context, s fleet.Snapshot) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if old, ok := m.snapshots[s.Name]; ok {
		s.ID, s.CreatedAt = old.ID, old.CreatedAt
	}
	m.snapshots[s.Name] = s
	return nil
}
