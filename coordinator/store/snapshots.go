package store

import (
	"context"
	"time"

	"github.com/uptrace/bun"

	"github.com/sandlot-dev/sandlot/coordinator/fleet"
)

type snapshotRow struct {
	bun.BaseModel `bun:"table:snapshots"`

	ID, Name, Image string
	CPU             int `bun:"cpu"`
	Memory, Disk    int
	CreatedAt       time.Time
}

// Snapshot implements fleet.Snapshots.
func (d *DB) Snapshot(ctx context.Context, idOrName string) (fleet.Snapshot, error) {
	var r snapshotRow
	if err := d.db.NewSelect().Model(&r).Where("id = ? OR name = ?", idOrName, idOrName).Limit(1).Scan(ctx); err != nil {
		return fleet.Snapshot{}, explain(err)
	}
	return fleet.Snapshot{
		ID: r.ID, Name: r.Name, Image: r.Image, CPU: r.CPU, Memory: r.Memory, Disk: r.Disk, CreatedAt: r.CreatedAt,
	}, nil
}

// PutSnapshot implements fleet.Snapshots.
func (d *DB) PutSnapshot(ctx context.Context, s fleet.Snapshot) error {
	return d.write(ctx, func(tx bun.Tx) error {
		_, err := tx.NewInsert().Model(&snapshotRow{
			ID: s.ID, Name: s.Name, Image: s.Image, CPU: s.CPU, Memory: s.Memory, Disk: s.Disk, CreatedAt: s.CreatedAt,
		}).On("CONFLICT (name) DO UPDATE").
			Set("image = EXCLUDED.image, cpu = EXCLUDED.cpu, memory = EXCLUDED.memory, disk = EXCLUDED.disk").
			Exec(ctx)
		return err
	})
}
