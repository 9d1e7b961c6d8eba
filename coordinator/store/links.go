package store

import (
	"context"
	"errors"
	"time"

	"github.com/uptrace/bun"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/sandlot-dev/sandlot/coordinator/fleet"
	"github.com/sandlot-dev/sandlot/internal/fault"
)

type linkRow struct {
	bun.BaseModel `bun:"table:links"`

	Hash      string `bun:",pk"`
	SandboxID string
	Port      int
	Until     time.Time
}

type doorRow struct {
	bun.BaseModel `bun:"table:doors"`

	SandboxID string `bun:",pk"`
	Port      int    `bun:",pk"`
}

// PutLink implements fleet.Links.
func (d *DB) PutLink(ctx context.Context, l fleet.Link) error {
	return orphaned(d.write(ctx, func(tx bun.Tx) error {
		if _, err := tx.NewDelete().Model((*linkRow)(nil)).Where("until < ?", time.Now().UTC()).Exec(ctx); err != nil {
			return err
		}
		_, err := tx.NewInsert().Model(&linkRow{Hash: l.Hash, SandboxID: l.Sandbox, Port: l.Port, Until: l.Until}).Exec(ctx)
		return err
	}))
}

// orphaned returns ErrNotFound for a row whose sandbox was deleted meanwhile.
func orphaned(err error) error {
	var e *sqlite.Error
	if errors.As(err, &e) && e.Code() == sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY {
		return fleet.ErrNotFound
	}
	return err
}

// LinkByHash implements fleet.Links.
func (d *DB) LinkByHash(ctx context.Context, hash string) (fleet.Link, error) {
	var r linkRow
	err := explain(d.db.NewSelect().Model(&r).Where("hash = ?", hash).Scan(ctx))
	if fault.KindOf(err) == fault.NotFound {
		return fleet.Link{}, fleet.ErrNoLink
	}
	return fleet.Link{Hash: r.Hash, Sandbox: r.SandboxID, Port: r.Port, Until: r.Until}, err
}

// DeleteLink implements fleet.Links.
func (d *DB) DeleteLink(ctx context.Context, l fleet.Link) error {
	return d.write(ctx, func(tx bun.Tx) error {
		_, err := tx.NewDelete().Model((*linkRow)(nil)).
			Where("hash = ? AND sandbox_id = ? AND port = ?", l.Hash, l.Sandbox, l.Port).Exec(ctx)
		return err
	})
}

// PutDoor implements fleet.Doors.
func (d *DB) PutDoor(ctx context.Context, door fleet.Door) error {
	return orphaned(d.write(ctx, func(tx bun.Tx) error {
		_, err := tx.NewInsert().Model(&doorRow{SandboxID: door.Sandbox, Port: door.Port}).On("CONFLICT DO NOTHING").Exec(ctx)
		return err
	}))
}

// Doors implements fleet.Doors.
func (d *DB) Doors(ctx context.Context) ([]fleet.Door, error) {
	var rows []doorRow
	if err := d.db.NewSelect().Model(&rows).Scan(ctx); err != nil {
		return nil, explain(err)
	}
	doors := make([]fleet.Door, len(rows))
	for i, r := range rows {
		doors[i] = fleet.Door{Sandbox: r.SandboxID, Port: r.Port}
	}
	return doors, nil
}
