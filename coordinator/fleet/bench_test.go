package fleet_test

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/sandlot-dev/sandlot/coordinator/fleet"
	"github.com/sandlot-dev/sandlot/coordinator/store"
	"github.com/sandlot-dev/sandlot/coordinator/tenancy"
	"github.com/sandlot-dev/sandlot/internal/lifecycle"
)

// many is how many sandboxes an installation of the benchmarks has.
const many = 10_000

// crowd is a fleet of many started sandboxes in a database.
func crowd(b *testing.B) (*fleet.Manager, []string) {
	b.Helper()
	db, err := store.Open(b.Context(), filepath.Join(b.TempDir(), "bench.db"))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := db.Close(); err != nil {
			b.Error(err)
		}
	})
	if err := tenancy.New(db, nil).Begin(b.Context(), "dtn_first"); err != nil {
		b.Fatal(err)
	}
	home, err := db.PersonalOrganization(b.Context(), tenancy.Administrator)
	if err != nil {
		b.Fatal(err)
	}
	now := time.Now().UTC()
	r := lifecycle.Report{Runner: "r", Full: true}
	ids := make([]string, many)
	for i := range ids {
		ids[i] = fmt.Sprintf("sandbox-%05d", i)
		if err := db.InsertSandbox(b.Context(), fleet.Sandbox{
			ID: ids[i], Organization: home.ID, Name: ids[i], Region: "us", Runner: "r", Snapshot: "default", Image: "i",
			Env: map[string]string{"A": "1"}, Labels: map[string]string{"team": "core"}, CPU: 1, Memory: 1, Disk: 3,
			AutoStop: 15, AutoDelete: -1, State: lifecycle.Started, Desired: lifecycle.Started, CreatedAt: now, UpdatedAt: now,
			LastActivityAt: now, StateAt: now,
		}); err != nil {
			b.Fatal(err)
		}
		r.Sandboxes = append(r.Sandboxes, lifecycle.Observed{ID: ids[i], State: lifecycle.Started})
	}
	m, err := fleet.New(fleet.Config{
		Store: db, Runners: fleet.SoleRunner{ID: "r", Region: "us", Runner: &host{}}, Region: "us",
		DefaultSnapshot: "default", MaxCPU: 1, MaxMemory: 1, MaxDisk: 1, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		b.Fatal(err)
	}
	if _, err := m.Report(b.Context(), r); err != nil {
		b.Fatal(err)
	}
	return m, ids
}

// BenchmarkClock is one look for deadlines while none is due. The clock looks after every change of a sandbox, at
// most once per second.
func BenchmarkClock(b *testing.B) {
	m, _ := crowd(b)
	for b.Loop() {
		if err := fleet.Expire(b.Context(), m); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkActivity is the writing of the activity of all sandboxes, of each of which there was some.
func BenchmarkActivity(b *testing.B) {
	m, ids := crowd(b)
	for b.Loop() {
		for _, id := range ids {
			m.Touch(id, 0)
		}
		fleet.StoreActivity(b.Context(), m)
	}
}
