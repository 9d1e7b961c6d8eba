package fleet_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sandlot-dev/sandlot/coordinator/fleet"
	"github.com/sandlot-dev/sandlot/internal/lifecycle"
)

func TestActivityIsOneWritePerIntervalForAll(t *testing.T) {
	world(t, func(t *testing.T, m *fleet.Manager, _ *host, db *memory) {
		all := []fleet.Sandbox{create(t, m, fleet.Request{}), create(t, m, fleet.Request{}), create(t, m, fleet.Request{})}
		time.Sleep(time.Minute)
		db.set(func(db *memory) { db.writes = 0 })
		for range 50 { // 10 s of traffic
			for _, s := range all {
				m.Touch(s.ID, 0)
			}
			time.Sleep(200 * time.Millisecond)
		}
		time.Sleep(100 * time.Millisecond) // no touch is at the moment of a write
		last := time.Now().UTC()
		m.Touch(all[0].ID, 0)
		time.Sleep(time.Minute)
		if writes, _ := db.calls(); writes != 3 {
			t.Errorf("%d writes for 10 s of traffic of 3 sandboxes, want 3", writes)
		}
		if got, err := db.SandboxByID(t.Context(), all[0].ID); err != nil || !got.LastActivityAt.Equal(last) {
			t.Errorf("stored activity is %v, %v; want the last, %v", got.LastActivityAt, err, last)
		}
	})
}

func TestActivityThatCouldNotBeWrittenIsWrittenLater(t *testing.T) {
	world(t, func(t *testing.T, m *fleet.Manager, _ *host, db *memory) {
		s := create(t, m, fleet.Request{})
		time.Sleep(time.Minute)
		db.set(func(db *memory) { db.fail = errBase })
		last := time.Now().UTC()
		m.Touch(s.ID, 0)
		time.Sleep(30 * time.Second)
		if got, err := m.ByID(t.Context(), s.ID); err != nil || !got.LastActivityAt.Equal(last) {
			t.Errorf("activity reads as %v, %v; want %v", got.LastActivityAt, err, last)
		}
		db.set(func(db *memory) { db.fail = nil })
		time.Sleep(30 * time.Second)
		if got, err := db.SandboxByID(t.Context(), s.ID); err != nil || !got.LastActivityAt.Equal(last) {
			t.Errorf("stored activity is %v, %v; want %v", got.LastActivityAt, err, last)
		}
	})
}

// TestTheClockReadsWhatIsDueAlone keeps the clock busy for an hour and counts the readings of all sandboxes, which
// belong to full reports.
func TestTheClockReadsWhatIsDueAlone(t *testing.T) {
	two := 2
	world(t, func(t *testing.T, m *fleet.Manager, _ *host, db *memory) {
		busy, idle := create(t, m, fleet.Request{AutoStop: &two}), create(t, m, fleet.Request{AutoStop: &two})
		synctest.Wait()
		db.set(func(db *memory) { db.scans = 0 })
		for i := range 60 {
			m.Touch(busy.ID, 0)
			if _, err := m.SetLabels(t.Context(), org, busy.ID, map[string]string{"i": fmt.Sprint(i)}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
		}
		mustBe(t, m, busy.ID, "started")
		mustBe(t, m, idle.ID, "stopped")
		if _, scans := db.calls(); scans != 0 {
			t.Errorf("all sandboxes were read %d times", scans)
		}
	})
}

func TestActivityOfRemovedSandboxesIsForgotten(t *testing.T) {
	var written map[string]int
	var id string
	world(t, func(t *testing.T, m *fleet.Manager, _ *host, db *memory) {
		s := create(t, m, fleet.Request{})
		id, written = s.ID, db.touched
		m.Touch(id, +1)
		if _, err := m.Delete(t.Context(), org, id); err != nil {
			t.Fatal(err)
		}
		mustBe(t, m, id, lifecycle.Destroyed)
		time.Sleep(time.Minute)
		m.Touch(id, -1) // its last connection ends
		m.Touch(id, 0)  // a request was on its way
		time.Sleep(time.Minute)
		m.Touch(id, -1)
		time.Sleep(time.Minute)
		written[id] = 0
	})
	if written[id] != 0 {
		t.Error("the activity of a removed sandbox was kept until the end")
	}
}
