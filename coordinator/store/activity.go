package store

import (
	"context"
	"time"

	"github.com/uptrace/bun"
)

// PutActivity implements fleet.Activities.
func (d *DB) PutActivity(ctx context.Context, last map[string]time.Time) error {
	type values struct {
		ID string
		At time.Time
	}
	rows := make([]values, 0, len(last))
	for id, at := range last {
		rows = append(rows, values{ID: id, At: at.UTC()})
	}
	return d.write(ctx, func(tx bun.Tx) error {
		return updateAll(ctx, tx, rows, "last_activity_at = _data.at",
			"sandbox_row.id = _data.id AND sandbox_row.last_activity_at < _data.at")
	})
}
