package store

import (
	"context"
	"strings"

	"github.com/uptrace/bun"
)

// Plans returns how the database finds the rows of each query that do makes.
func Plans(ctx context.Context, d *DB, do func(*DB) error) ([]string, error) {
	var seen queries
	if err := do(&DB{db: d.db.WithQueryHook(&seen)}); err != nil {
		return nil, err
	}
	plans := make([]string, len(seen))
	for i, query := range seen {
		var steps []struct {
			ID, Parent, Notused int
			Detail              string
		}
		if err := d.db.NewRaw("EXPLAIN QUERY PLAN "+query).Scan(ctx, &steps); err != nil {
			return nil, err
		}
		var details []string
		for _, s := range steps {
			details = append(details, s.Detail)
		}
		plans[i] = strings.Join(details, "; ")
	}
	return plans, nil
}

// Downgrade takes the schema of a database back to a version.
func Downgrade(ctx context.Context, d *DB, version int64) error {
	p, err := provider(d.db.DB)
	if err != nil {
		return err
	}
	_, err = p.DownTo(ctx, version)
	return err
}

// queries keeps the text of queries.
type queries []string

func (q *queries) BeforeQuery(ctx context.Context, e *bun.QueryEvent) context.Context {
	*q = append(*q, e.Query)
	return ctx
}

func (q *queries) AfterQuery(context.Context, *bun.QueryEvent) {}
