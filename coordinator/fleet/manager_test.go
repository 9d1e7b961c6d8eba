package fleet_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/sandlot-dev/sandlot/coordinator/fleet"
	"github.com/sandlot-dev/sandlot/internal/lifecycle"
)

func TestStopStartDelete(t *testing.T) {
	world(t, func(t *testing.T, m *fleet.Manager, h *host, db *memory) {
		s := create(t, m, fleet.Request{Name: "a"})
		h.set(func(h *host) { h.took = 100 * time.Millisecond })
		for range 2 { // the second of each changes nothing
			if got, err := m.Stop(t.Context(), org, "a", true); err != nil || got.State != lifecycle.Stopped || !h.forced {
				t.Fatalf("Stop = %s, %v (forced %v)", got.State, err, h.forced)
			}
		}
		again, err := m.Start(t.Context(), org, s.ID)
		if err != nil || again.State != lifecycle.Started || again.PreviewToken == s.PreviewToken {
			t.Fatalf("Start = %s, %v; the preview token changed: %v", again.State, err, again.PreviewToken != s.PreviewToken)
		}
		if _, err := m.Stop(t.Context(), org, "a", false); err != nil || h.forced {
			t.Errorf("a polite stop: %v (forced %v)", err, h.forced)
		}
		gone, err := m.Delete(t.Context(), org, "a")
		if err != nil || gone.Shown() != lifecycle.Destroying {
			t.Errorf("Delete = %s, %v", gone.Shown(), err)
		}
		if create(t, m, fleet.Request{Name: "a"}).ID == s.ID {
			t.Error("the name was not free at once")
		}
		mustBe(t, m, s.ID, lifecycle.Destroyed)
		if db.count(t) != 1 || len(h.has) != 1 {
			t.Errorf("%d records, %d containers; want 1 of each", db.count(t), len(h.has))
		}
	})
}

func TestDeleteDuringCreate(t *testing.T) {
	world(t, func(t *testing.T, m *fleet.Manager, h *host, db *memory) {
		h.took = time.Second
		go func() {
			time.Sleep(500 * time.Millisecond)
			if _, err := m.Delete(t.Context(), org, "a"); err != nil {
				t.Error(err)
			}
		}()
		if s, err := m.Create(t.Context(), fleet.Request{Organization: org, Name: "a"}); err == nil &&
			s.Desired != lifecycle.Destroyed {
			t.Errorf("created = %+v", s)
		}
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if db.count(t) != 0 || len(h.has) != 0 {
			t.Errorf("%d records and %d containers are left", db.count(t), len(h.has))
		}
	})
}
