package fleet_test

import (
	"slices"
	"testing"
	"testing/synctest"

	"github.com/sandlot-dev/sandlot/coordinator/fleet"
	"github.com/sandlot-dev/sandlot/coordinator/fleet/fleettest"
	"github.com/sandlot-dev/sandlot/internal/lifecycle"
)

func TestWhatNoRecordKnowsIsLeftAlone(t *testing.T) {
	world(t, func(t *testing.T, m *fleet.Manager, h *host, db *memory) {
		kept, deleted := create(t, m, fleet.Request{}), create(t, m, fleet.Request{})
		if _, err := m.Delete(t.Context(), org, deleted.ID); err != nil {
			t.Fatal(err)
		}
		mustBe(t, m, deleted.ID, lifecycle.Destroyed)
		h.see(deleted.ID, lifecycle.Started, lifecycle.Unknown, "") // a create that the engine finished late
		h.see("stranger", lifecycle.Started, lifecycle.Unknown, "")
		remove, err := m.Report(t.Context(), h.report())
		if err != nil || !slices.Equal(remove, []string{deleted.ID}) {
			t.Errorf("to be removed: %v, %v; want the deleted one alone", remove, err)
		}
		db.set(func(db *memory) { db.Memory = fleettest.NewMemory() }) // lost
		if remove, err := m.Report(t.Context(), h.report()); err != nil || len(remove) > 0 {
			t.Errorf("with an empty database %v is removed, %v", remove, err)
		}
		synctest.Wait()
		if n := db.count(t); n != 0 || h.has[kept.ID] != lifecycle.Started {
			t.Errorf("%d records; the sandbox is %s", n, h.has[kept.ID])
		}
	})
}
