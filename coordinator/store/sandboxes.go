package store

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/uptrace/bun"

	"github.com/sandlot-dev/sandlot/coordinator/fleet"
	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/internal/lifecycle"
	"github.com/sandlot-dev/sandlot/internal/naming"
)

type sandboxRow struct {
	bun.BaseModel `bun:"table:sandboxes"`

	ID             string `bun:",pk"`
	OrganizationID string
	Name           string
	Region, Runner string
	Snapshot       string
	Image          string
	OSUser         string            `bun:"os_user"`
	Env            map[string]string `bun:"type:json"`
	Labels         map[string]string `bun:"type:json"`
	Public         bool
	CPU            int `bun:"cpu"`
	Memory, Disk   int
	AutoStop       int
	AutoArchive    int
	AutoDelete     int
	State, Desired lifecycle.State
	Reason         string
	DaemonVersion  string
	PreviewToken   string
	SigningKey     string
	CreatedAt      time.Time
	UpdatedAt      time.Time
	LastActivityAt time.Time
	StateAt        time.Time
	DestroyAt      time.Time `bun:",nullzero"`
	Forced         bool
	Seen           uint64
	Version        int64
	DueAt          time.Time `bun:",nullzero"`
}

// deletedRow remembers the deletion of a sandbox.
type deletedRow struct {
	bun.BaseModel `bun:"table:deleted_sandboxes"`

	ID        string `bun:",pk"`
	DeletedAt time.Time
}

// keepDeleted is how long a deletion is remembered.
const keepDeleted = 7 * 24 * time.Hour

type labelRow struct {
	bun.BaseModel `bun:"table:sandbox_labels"`

	SandboxID, Label, Value string
}

func toRow(s fleet.Sandbox) *sandboxRow {
	return &sandboxRow{
		ID: s.ID, OrganizationID: s.Organization, Name: s.Name, Region: s.Region, Runner: s.Runner, Snapshot: s.Snapshot,
		Image: s.Image, OSUser: s.User, Env: orEmpty(s.Env), Labels: orEmpty(s.Labels), Public: s.Public, CPU: s.CPU,
		Memory: s.Memory, Disk: s.Disk, AutoStop: s.AutoStop, AutoArchive: s.AutoArchive, AutoDelete: s.AutoDelete,
		State: s.State, Desired: s.Desired, Reason: s.Reason, DaemonVersion: s.DaemonVersion, PreviewToken: s.PreviewToken,
		SigningKey: s.SigningKey, CreatedAt: s.CreatedAt, UpdatedAt: s.UpdatedAt, LastActivityAt: s.LastActivityAt,
		StateAt: s.StateAt, DestroyAt: s.DestroyAt, Forced: s.Forced, Seen: s.Seen, Version: s.Version,
		DueAt: s.Due().UTC(),
	}
}

func (r *sandboxRow) sandbox() fleet.Sandbox {
	return fleet.Sandbox{
		ID: r.ID, Organization: r.OrganizationID, Name: r.Name, Region: r.Region, Runner: r.Runner, Snapshot: r.Snapshot,
		Image: r.Image, User: r.OSUser, Env: orEmpty(r.Env), Labels: orEmpty(r.Labels), Public: r.Public, CPU: r.CPU,
		Memory: r.Memory, Disk: r.Disk, AutoStop: r.AutoStop, AutoArchive: r.AutoArchive, AutoDelete: r.AutoDelete,
		State: r.State, Desired: r.Desired, Reason: r.Reason, DaemonVersion: r.DaemonVersion, PreviewToken: r.PreviewToken,
		SigningKey: r.SigningKey, CreatedAt: r.CreatedAt, UpdatedAt: r.UpdatedAt, LastActivityAt: r.LastActivityAt,
		StateAt: r.StateAt, DestroyAt: r.DestroyAt, Forced: r.Forced, Seen: r.Seen, Version: r.Version,
	}
}

func orEmpty(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}

// InsertSandbox implements fleet.Sandboxes.
func (d *DB) InsertSandbox(ctx context.Context, s fleet.Sandbox) error {
	err := d.write(ctx, func(tx bun.Tx) error {
		if _, err := tx.NewInsert().Model(toRow(s)).Exec(ctx); err != nil {
			return err
		}
		return putLabels(ctx, tx, s)
	})
	if unique(err) {
		return fleet.ErrNameTaken
	}
	return err
}

func putLabels(ctx context.Context, tx bun.Tx, s fleet.Sandbox) error {
	if _, err := tx.NewDelete().Model((*labelRow)(nil)).Where("sandbox_id = ?", s.ID).Exec(ctx); err != nil {
		return err
	}
	rows := make([]labelRow, 0, len(s.Labels))
	for k, v := range s.Labels {
		rows = append(rows, labelRow{SandboxID: s.ID, Label: k, Value: v})
	}
	if len(rows) == 0 {
		return nil
	}
	_, err := tx.NewInsert().Model(&rows).Exec(ctx)
	return err
}

// possible reports whether a record can have this id or name. The driver fails on a NUL byte, and replaces bytes that
// are not UTF-8 by a mark that could be in a name.
func possible(idOrName string) bool {
	return utf8.ValidString(idOrName) && !strings.ContainsRune(idOrName, 0)
}

// Sandbox implements fleet.Sandboxes.
func (d *DB) Sandbox(ctx context.Context, organization, idOrName string) (fleet.Sandbox, error) {
	if !possible(idOrName) {
		return fleet.Sandbox{}, fleet.ErrNotFound
	}
	s, err := d.oneSandbox(ctx, d.db, "organization_id = ? AND id = ?", organization, idOrName)
	if errors.Is(err, fleet.ErrNotFound) && !naming.IsID(idOrName) { // an id is not looked up as a name
		s, err = d.oneSandbox(ctx, d.db, "organization_id = ? AND name = ? AND desired <> 'destroyed'", organization,
			idOrName)
	}
	return s, err
}

// SandboxByID implements fleet.Sandboxes.
func (d *DB) SandboxByID(ctx context.Context, id string) (fleet.Sandbox, error) {
	if !possible(id) {
		return fleet.Sandbox{}, fleet.ErrNotFound
	}
	return d.oneSandbox(ctx, d.db, "id = ?", id)
}

func (d *DB) oneSandbox(ctx context.Context, db bun.IDB, where string, args ...any) (fleet.Sandbox, error) {
	var r sandboxRow
	err := explain(db.NewSelect().Model(&r).Where(where, args...).Scan(ctx))
	if fault.KindOf(err) == fault.NotFound {
		return fleet.Sandbox{}, fleet.ErrNotFound
	} else if err != nil {
		return fleet.Sandbox{}, err
	}
	return r.sandbox(), nil
}

// ChangeSandbox implements fleet.Sandboxes.
func (d *DB) ChangeSandbox(ctx context.Context, id string, change func(*fleet.Sandbox) error) (fleet.Sandbox, error) {
	var s fleet.Sandbox
	err := d.write(ctx, func(tx bun.Tx) error {
		var err error
		if s, err = d.oneSandbox(ctx, tx, "id = ?", id); err != nil {
			return err
		}
		labels := maps.Clone(s.Labels)
		version := s.Version + 1
		if err := change(&s); err != nil {
			return err
		}
		s.Version = version
		if _, err := tx.NewUpdate().Model(toRow(s)).WherePK().Exec(ctx); err != nil {
			return err
		}
		if maps.Equal(s.Labels, labels) {
			return nil
		}
		return putLabels(ctx, tx, s)
	})
	if unique(err) {
		return fleet.Sandbox{}, fleet.ErrNameTaken
	}
	return s, err
}

// DeleteSandbox implements fleet.Sandboxes.
func (d *DB) DeleteSandbox(ctx context.Context, id string) error {
	return d.write(ctx, func(tx bun.Tx) error {
		if _, err := tx.NewDelete().Model((*sandboxRow)(nil)).Where("id = ?", id).Exec(ctx); err != nil {
			return err
		}
		now := time.Now().UTC()
		old := tx.NewDelete().Model((*deletedRow)(nil)).Where("deleted_at < ?", now.Add(-keepDeleted))
		if _, err := old.Exec(ctx); err != nil {
			return err
		}
		_, err := tx.NewInsert().Model(&deletedRow{ID: id, DeletedAt: now}).On("CONFLICT (id) DO NOTHING").Exec(ctx)
		return err
	})
}

// Known returns those of ids that have a record.
func (d *DB) Known(ctx context.Context, ids []string) ([]string, error) {
	return d.among(ctx, (*sandboxRow)(nil), ids)
}

// Deleted implements fleet.Sandboxes.
func (d *DB) Deleted(ctx context.Context, ids []string) ([]string, error) {
	return d.among(ctx, (*deletedRow)(nil), ids)
}

// among returns those of ids that are in a table.
func (d *DB) among(ctx context.Context, table any, ids []string) ([]string, error) {
	var found []string
	for some := range slices.Chunk(ids, 500) { // the number of values of a statement is limited
		var part []string
		if err := d.db.NewSelect().Model(table).Column("id").Where("id IN (?)", bun.List(some)).Scan(ctx, &part); err != nil {
			return nil, explain(err)
		}
		found = append(found, part...)
	}
	return found, nil
}

// LastSeen implements fleet.Sandboxes.
func (d *DB) LastSeen(ctx context.Context, runner string) (uint64, error) {
	var last uint64
	err := d.db.NewSelect().Model((*sandboxRow)(nil)).
		ColumnExpr("COALESCE(MAX(seen), 0)").Where("runner = ?", runner).Scan(ctx, &last)
	return last, explain(err)
}

// SandboxesOn implements fleet.Sandboxes.
func (d *DB) SandboxesOn(ctx context.Context, runner string) ([]fleet.Sandbox, error) {
	var rows []sandboxRow
	if err := d.db.NewSelect().Model(&rows).Where("runner = ?", runner).Scan(ctx); err != nil {
		return nil, explain(err)
	}
	return sandboxes(rows), nil
}

func sandboxes(rows []sandboxRow) []fleet.Sandbox {
	list := make([]fleet.Sandbox, len(rows))
	for i := range rows {
		list[i] = rows[i].sandbox()
	}
	return list
}
