package store

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"github.com/sandlot-dev/sandlot/coordinator/fleet"
	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/internal/lifecycle"
)

// ListSandboxes implements fleet.Sandboxes.
func (d *DB) ListSandboxes(ctx context.Context, q fleet.Query) ([]fleet.Sandbox, int, error) {
	var rows []sandboxRow
	sel := filter(d.db.NewSelect().Model(&rows), q)
	total, err := sel.Count(ctx)
	if err != nil {
		return nil, 0, explain(err)
	}
	column, direction, beyond := bun.Ident(q.Sort), "ASC", ">"
	if q.Descending {
		direction, beyond = "DESC", "<"
	}
	if q.After != nil {
		value, err := sortValue(q.Sort, q.After.Value)
		if err != nil {
			return nil, 0, err
		}
		sel = sel.Where("(? "+beyond+" ? OR (? = ? AND id "+beyond+" ?))", column, value, column, value, q.After.ID)
	}
	sel = sel.OrderExpr("? "+direction+", id "+direction, column).Offset(int64(q.Offset)).Limit(int64(q.Limit))
	if err := sel.Scan(ctx); err != nil {
		return nil, 0, explain(err)
	}
	return sandboxes(rows), int(total), nil
}

func filter(sel *bun.SelectQuery, q fleet.Query) *bun.SelectQuery {
	sel = sel.Where("organization_id = ?", q.Organization)
	like := func(column, pattern string) {
		sel = sel.Where(`? LIKE ? ESCAPE '\'`, bun.Ident(column), pattern)
	}
	if q.IDPrefix != "" {
		like("id", escapeLike(q.IDPrefix)+"%")
	}
	if q.NamePrefix != "" {
		like("name", escapeLike(q.NamePrefix)+"%")
	}
	if q.NamePart != "" {
		like("name", "%"+escapeLike(q.NamePart)+"%")
	}
	for k, v := range q.Labels {
		sel = sel.Where("id IN (SELECT sandbox_id FROM sandbox_labels WHERE label = ? AND value = ?)", k, v)
	}
	if len(q.States) > 0 {
		sel = sel.WhereGroup(" AND ", func(sel *bun.SelectQuery) *bun.SelectQuery {
			for _, is := range lifecycle.States {
				for _, desired := range lifecycle.Wanted {
					if slices.Contains(q.States, lifecycle.Shown(is, desired)) {
						sel = sel.WhereOr("(state = ? AND desired = ?)", is, desired)
					}
				}
			}
			return sel.WhereOr("1 = 0")
		})
	}
	if len(q.Snapshots) > 0 {
		sel = sel.Where("snapshot IN (?)", bun.List(q.Snapshots))
	}
	if len(q.Regions) > 0 {
		sel = sel.Where("region IN (?)", bun.List(q.Regions))
	}
	for _, b := range []struct {
		column   string
		min, max int
	}{{"cpu", q.MinCPU, q.MaxCPU}, {"memory", q.MinMemory, q.MaxMemory}, {"disk", q.MinDisk, q.MaxDisk}} {
		if b.min > 0 {
			sel = sel.Where("? >= ?", bun.Ident(b.column), b.min)
		}
		if b.max > 0 {
			sel = sel.Where("? <= ?", bun.Ident(b.column), b.max)
		}
	}
	if q.Public != nil {
		sel = sel.Where("public = ?", *q.Public)
	}
	for _, b := range []struct {
		column   string
		from, to time.Time
	}{
		{"created_at", q.CreatedFrom, q.CreatedTo},
		{"last_activity_at", q.ActivityFrom, q.ActivityTo},
		{"destroy_at", q.DestroyFrom, q.DestroyTo},
	} {
		if !b.from.IsZero() {
			sel = sel.Where("? >= ?", bun.Ident(b.column), b.from.UTC())
		}
		if !b.to.IsZero() {
			sel = sel.Where("? <= ?", bun.Ident(b.column), b.to.UTC())
		}
	}
	return sel
}

var likeEscaper = strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`)

func escapeLike(s string) string { return likeEscaper.Replace(s) }

// sortValue reads a cursor's value, which came from Key of the same column.
func sortValue(by fleet.Sort, value string) (any, error) {
	switch by {
	case fleet.SortCPU, fleet.SortMemory, fleet.SortDisk:
		n, err := strconv.Atoi(value)
		if err != nil {
			return nil, fault.New(fault.Invalid, "cursor does not belong to this list; begin again without one")
		}
		return n, nil
	case fleet.SortActivity, fleet.SortCreated, fleet.SortUpdated:
		t, err := time.Parse(time.RFC3339Nano, value)
		if t = t.UTC(); err != nil || t.Year() > 9999 || t.Year() < 1 {
			return nil, fault.New(fault.Invalid, "cursor does not belong to this list; begin again without one")
		}
		return t, nil
	}
	return value, nil
}
