package fleet

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"
	"unicode"

	"github.com/google/uuid"

	"github.com/sandlot-dev/sandlot/internal/auth"
	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/internal/lifecycle"
	"github.com/sandlot-dev/sandlot/internal/naming"
)

// Defaults and bounds of a create (docs/wire.md, "The control API").
const (
	defaultAutoStop    = 15
	defaultAutoArchive = 7 * 24 * 60
	MaxAutoArchive     = 30 * 24 * 60 // minutes; 0 asks for it
	maxMinutes         = 10 * 365 * 24 * 60
)

// Request asks for a sandbox. Nil and zero mean the default.
type Request struct {
	Organization                           string
	Name, Snapshot, Target, User           string
	Env, Labels                            map[string]string
	Public                                 bool
	CPU, Memory, Disk                      int
	AutoStop, AutoArchive, AutoDelete, TTL *int // minutes
}

// Create makes a sandbox and waits for it, see the package comment. Errors: fault.Invalid with the field's name,
// ErrNameTaken, fault.Unavailable when no runner is ready, fault.Full. After an error there is no sandbox.
func (m *Manager) Create(ctx context.Context, req Request) (Sandbox, error) {
	s, err := m.draft(ctx, req)
	if err != nil {
		return Sandbox{}, err
	}
	if s.Region, s.Runner, err = m.placement.place(req.Target); err != nil {
		return Sandbox{}, err
	}
	watcher := m.watchers.watch(s.ID)
	defer watcher.stop()
	if err := m.records.insert(ctx, s); err != nil {
		if errors.Is(err, ErrNameTaken) {
			return Sandbox{}, fmt.Errorf("sandbox %q: %w", s.Name, ErrNameTaken)
		}
		return Sandbox{}, err
	}
	m.workers.enqueue(s.ID)
	made, err := watcher.settled(ctx, m.records, m.cfg.Hold, s)
	if err != nil {
		// The caller gets an error, so no sandbox may remain, even if the caller has gone.
		if _, dropErr := m.destroy(context.WithoutCancel(ctx), s.ID); dropErr != nil && !errors.Is(dropErr, ErrNotFound) {
			return Sandbox{}, errors.Join(err, dropErr)
		}
		return Sandbox{}, err
	}
	return made, nil
}

// draft checks req and fills in the defaults.
func (m *Manager) draft(ctx context.Context, req Request) (Sandbox, error) {
	now := time.Now().UTC()
	s := Sandbox{
		ID: uuid.NewString(), Organization: req.Organization, Name: req.Name,
		User: req.User, Env: maps.Clone(req.Env), Labels: maps.Clone(req.Labels), Public: req.Public,
		State: lifecycle.Creating, Desired: lifecycle.Started, PreviewToken: auth.NewToken(),
		CreatedAt: now, UpdatedAt: now, LastActivityAt: now, StateAt: now,
	}
	if s.Name == "" {
		s.Name = s.ID
	} else if err := checkName(s.Name); err != nil {
		return Sandbox{}, err
	}
	err := errors.Join(checkText("user", s.User), checkText("snapshot", req.Snapshot), checkText("target", req.Target))
	if err != nil {
		return Sandbox{}, err
	}
	if err := checkLabels(s.Labels); err != nil {
		return Sandbox{}, err
	}
	if err := checkEnv(s.Env); err != nil {
		return Sandbox{}, err
	}
	if err := s.setIntervals(req, now); err != nil {
		return Sandbox{}, err
	}
	if err := m.fromSnapshot(ctx, &s, req); err != nil {
		return Sandbox{}, err
	}
	return s, nil
}

func (s *Sandbox) setIntervals(req Request, now time.Time) error {
	s.AutoStop, s.AutoArchive, s.AutoDelete = defaultAutoStop, defaultAutoArchive, -1
	ttl := 0
	for _, iv := range []struct {
		name     string
		from     *int
		to       *int
		negative bool
	}{
		{"autoStopInterval", req.AutoStop, &s.AutoStop, false},
		{"autoArchiveInterval", req.AutoArchive, &s.AutoArchive, false},
		{"autoDeleteInterval", req.AutoDelete, &s.AutoDelete, true},
		{"ttlMinutes", req.TTL, &ttl, false},
	} {
		if iv.from == nil {
			continue
		}
		n, err := checkMinutes(iv.name, *iv.from, iv.negative)
		if err != nil {
			return err
		}
		*iv.to = n
	}
	if s.AutoArchive == 0 || s.AutoArchive > MaxAutoArchive {
		s.AutoArchive = MaxAutoArchive
	}
	if ttl > 0 {
		s.DestroyAt = now.Add(time.Duration(ttl) * time.Minute)
	}
	return nil
}

func checkMinutes(field string, n int, negative bool) (int, error) {
	switch {
	case n < 0 && negative:
		return -1, nil
	case n < 0 || n > maxMinutes:
		return 0, fault.Newf(fault.Invalid, "%s must be from 0 to %d minutes, not %d", field, maxMinutes, n)
	}
	return n, nil
}

// fromSnapshot sets image and sizes from the snapshot.
func (m *Manager) fromSnapshot(ctx context.Context, s *Sandbox, req Request) error {
	name := strings.TrimSpace(req.Snapshot)
	if name != "" && (req.CPU != 0 || req.Memory != 0 || req.Disk != 0) {
		return fault.New(fault.Invalid,
			"cpu, memory and disk are the snapshot's own and cannot be given together with snapshot")
	}
	if name == "" {
		name = m.cfg.DefaultSnapshot
	}
	snap, err := m.cfg.Store.Snapshot(ctx, name)
	if fault.KindOf(err) == fault.NotFound {
		return fault.Codef(fault.Invalid, "SNAPSHOT_NOT_FOUND", "snapshot %q not found", name)
	} else if err != nil {
		return err
	}
	s.Snapshot, s.Image, s.CPU, s.Memory, s.Disk = snap.Name, snap.Image, snap.CPU, snap.Memory, snap.Disk
	for _, size := range []struct {
		field    string
		from     int
		to       *int
		max      int
		unitName string
	}{
		{"cpu", req.CPU, &s.CPU, m.cfg.MaxCPU, "cores"},
		{"memory", req.Memory, &s.Memory, m.cfg.MaxMemory, "GiB"},
		{"disk", req.Disk, &s.Disk, m.cfg.MaxDisk, "GiB"},
	} {
		if size.from == 0 {
			continue
		}
		if size.from < 1 || size.from > size.max {
			return fault.Newf(fault.Invalid, "%s must be from 1 to %d %s, not %d", size.field, size.max, size.unitName,
				size.from)
		}
		*size.to = size.from
	}
	return nil
}

// reserved are the words that are parts of routes where others have a sandbox's name.
var reserved = []string{"for-runner", "paginated", "ssh-access"}

// checkName refuses the names that naming refuses, and those in the form of an id. A request by the id of a deleted
// sandbox must not find another sandbox by its name.
func checkName(name string) error {
	if naming.IsID(name) {
		return fault.New(fault.Invalid, "name must not have the form of an id (a UUID)")
	}
	return naming.Check(name, reserved...)
}

// Bounds of a record.
const (
	maxLabels = 64
	maxLabel  = 256       // bytes of a label's name, and of its value
	maxEnv    = 128 << 10 // bytes of all variables as a program gets them, which is the kernel's limit of one string
	maxText   = 255       // bytes of other texts
)

func checkLabels(labels map[string]string) error {
	if len(labels) > maxLabels {
		return fault.Newf(fault.Invalid, "labels: at most %d are kept, not %d", maxLabels, len(labels))
	}
	for name, value := range labels {
		switch {
		case name == "":
			return fault.New(fault.Invalid, "labels: a label needs a name")
		case len(name) > maxLabel || len(value) > maxLabel:
			return fault.Newf(fault.Invalid, "labels: name and value must be at most %d bytes, not %d and %d", maxLabel,
				len(name), len(value))
		case strings.ContainsRune(name, 0) || strings.ContainsRune(value, 0):
			return fault.Newf(fault.Invalid, "labels: %q contains a NUL byte", name)
		}
	}
	return nil
}

func checkText(field, text string) error {
	switch {
	case len(text) > maxText:
		return fault.Newf(fault.Invalid, "%s must be at most %d bytes, not %d", field, maxText, len(text))
	case strings.ContainsFunc(text, unicode.IsControl):
		return fault.Newf(fault.Invalid, "%s must not contain control characters", field)
	}
	return nil
}

// checkEnv allows the names that Linux allows, except those that begin with SANDLOT_: they configure toolboxd.
func checkEnv(env map[string]string) error {
	size := 0
	for name, value := range env {
		switch {
		case name == "" || strings.ContainsAny(name, "=\x00"):
			return fault.Newf(fault.Invalid, "env: %q cannot be the name of a variable", name)
		case strings.HasPrefix(name, "SANDLOT_"):
			return fault.Newf(fault.Invalid, "env: %s: variables that begin with SANDLOT_ are Sandlot's own", name)
		case strings.ContainsRune(value, 0):
			return fault.Newf(fault.Invalid, "env: the value of %s contains a NUL byte", name)
		}
		if size += len(name) + len(value) + 2; size > maxEnv { // "=" and the NUL byte at the end
			return fault.Newf(fault.Invalid, "env: all variables together must be at most %d KiB; put larger data into a file",
				maxEnv>>10)
		}
	}
	return nil
}
