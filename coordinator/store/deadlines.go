package store

import (
	"context"
	"slices"
	"time"

	"github.com/uptrace/bun"

	"github.com/sandlot-dev/sandlot/coordinator/fleet"
)

// Due implements fleet.Deadlines.
func (d *DB) Due(ctx context.Context, runner string, by time.Time, limit int) ([]fleet.Sandbox, error) {
	var rows []sandboxRow
	err := d.db.NewSelect().Model(&rows).
		Where("runner = ? AND due_at <= ?", runner, by.UTC()).Order("due_at").Limit(int64(limit)).Scan(ctx)
	return sandboxes(rows), explain(err)
}

// NextDue implements fleet.Deadlines.
func (d *DB) NextDue(ctx context.Context, runner string) (time.Time, error) {
	var next []time.Time
	err := d.db.NewSelect().Model((*sandboxRow)(nil)).Column("due_at").
		Where("runner = ? AND due_at IS NOT NULL", runner).Order("due_at").Limit(1).Scan(ctx, &next)
	if err != nil || len(next) == 0 {
		return time.Time{}, explain(err)
	}
	return next[0], nil
}

// Postpone implements fleet.Deadlines.
func (d *DB) Postpone(ctx context.Context, list []fleet.Postponed) error {
	type values struct {
		ID      string
		Version int64
		DueAt   time.Time `bun:",nullzero"`
	}
	rows := make([]values, len(list))
	for i, p := range list {
		rows[i] = values{ID: p.ID, Version: p.Version, DueAt: p.DueAt.UTC()}
	}
	return d.write(ctx, func(tx bun.Tx) error {
		return updateAll(ctx, tx, rows, "due_at = _data.due_at",
			"sandbox_row.id = _data.id AND sandbox_row.version = _data.version")
	})
}

// updateAll updates the sandboxes that match where from rows, in few statements. set and where call the rows _data.
func updateAll[T any](ctx context.Context, tx bun.Tx, rows []T, set, where string) error {
	for some := range slices.Chunk(rows, 500) { // the number of values of a statement is limited
		update := tx.NewUpdate().With("_data", tx.NewValues(&some)).
			Model((*sandboxRow)(nil)).TableExpr("_data").Set(set).Where(where)
		if _, err := update.Exec(ctx); err != nil {
			return err
		}
	}
	return nil
}
