package fleet_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sandlot-dev/sandlot/coordinator/fleet"
	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/internal/lifecycle"
)

func TestCreateAnswersWhenStarted(t *testing.T) {
	world(t, func(t *testing.T, m *fleet.Manager, h *host, _ *memory) {
		h.took = 300 * time.Millisecond
		s := create(t, m, fleet.Request{Name: "a"})
		if s.State != lifecycle.Started || s.Desired != lifecycle.Started || s.DaemonVersion != "v1" || s.CPU != 1 ||
			s.AutoStop != 15 || s.AutoDelete != -1 {
			t.Errorf("created = %+v", s)
		}
		if _, err := m.Create(t.Context(), fleet.Request{Organization: org, Name: "a"}); !errors.Is(err, fleet.ErrNameTaken) {
			t.Errorf("same name again: %v, want ErrNameTaken", err)
		}
	})
}

func TestCreateHoldsNoLongerThanClientsDo(t *testing.T) {
	world(t, func(t *testing.T, m *fleet.Manager, h *host, _ *memory) {
		h.took = 30 * time.Second
		began := time.Now()
		s := create(t, m, fleet.Request{})
		if took := time.Since(began); s.Shown() != lifecycle.Creating || took != 8*time.Second {
			t.Errorf("answered %s after %v, want creating after 8s", s.Shown(), took)
		}
		time.Sleep(30 * time.Second)
		mustBe(t, m, s.ID, lifecycle.Started)
	})
}

func TestFailedCreateLeavesNothing(t *testing.T) {
	for name, fail := range map[string]error{
		"bad image":   fault.New(fault.Invalid, "no such image"),
		"disk full":   fault.New(fault.Full, "no room"),
		"engine lost": fault.New(fault.Unavailable, "gone"),
		"unknown":     errors.New("odd"),
	} {
		t.Run(name, func(t *testing.T) {
			world(t, func(t *testing.T, m *fleet.Manager, h *host, db *memory) {
				h.set(func(h *host) { h.fail = fail })
				if _, err := m.Create(t.Context(), fleet.Request{Organization: org}); !errors.Is(err, fail) {
					t.Errorf("error = %v, want %v", err, fail)
				}
				synctest.Wait()
				if db.count(t) != 0 || len(h.has) != 0 {
					t.Errorf("%d records and %d containers are left", db.count(t), len(h.has))
				}
			})
		})
	}
}

func TestCreateIsRefusedWhileTheEngineIsDown(t *testing.T) {
	world(t, func(t *testing.T, m *fleet.Manager, h *host, db *memory) {
		h.set(func(h *host) { h.down = fault.New(fault.Unavailable, "engine down") })
		if _, err := m.Create(t.Context(), fleet.Request{Organization: org}); fault.KindOf(err) != fault.Unavailable {
			t.Errorf("error = %v, want unavailable", err)
		}
		if db.count(t) != 0 {
			t.Error("a refused create left a record")
		}
	})
}

func TestCallerGoneMeansNoSandbox(t *testing.T) {
	world(t, func(t *testing.T, m *fleet.Manager, h *host, db *memory) {
		h.took = 2 * time.Second
		ctx, leave := context.WithTimeout(t.Context(), time.Second)
		defer leave()
		if _, err := m.Create(ctx, fleet.Request{Organization: org}); err == nil {
			t.Error("no error after the caller had gone")
		}
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if db.count(t) != 0 || len(h.has) != 0 {
			t.Errorf("%d records and %d containers are left", db.count(t), len(h.has))
		}
	})
}

func TestBadInputNamesTheFieldAndTheRange(t *testing.T) {
	minus := -1
	for name, tc := range map[string]struct {
		req  fleet.Request
		kind fault.Kind
		text string
	}{
		"cpu":             {fleet.Request{CPU: 5}, fault.Invalid, "cpu must be from 1 to 4 cores, not 5"},
		"negative memory": {fleet.Request{Memory: -2}, fault.Invalid, "memory must be from 1 to 8 GiB, not -2"},
		"disk":            {fleet.Request{Disk: 11}, fault.Invalid, "disk must be from 1 to 10 GiB, not 11"},
		"interval": {
			fleet.Request{AutoStop: &minus},
			fault.Invalid,
			"autoStopInterval must be from 0 to 5256000 minutes, not -1",
		},
		"snapshot": {fleet.Request{Snapshot: "nope"}, fault.Invalid, `snapshot "nope" not found`},
		"size of a snapshot": {
			fleet.Request{Snapshot: "default", CPU: 2},
			fault.Invalid,
			"cpu, memory and disk are the snapshot's own and cannot be given together with snapshot",
		},
		"region":  {fleet.Request{Target: "mars"}, fault.NotFound, `target "mars": no such region; there is "us"`},
		"markup":  {fleet.Request{Name: "<b>x"}, fault.Invalid, "name must not contain HTML tags or web addresses"},
		"link":    {fleet.Request{Name: "see https://x"}, fault.Invalid, "name must not contain HTML tags or web addresses"},
		"control": {fleet.Request{Name: "a\x00"}, fault.Invalid, "name must not contain control characters"},
		"variable": {
			fleet.Request{Env: map[string]string{"A=B": ""}},
			fault.Invalid,
			`env: "A=B" cannot be the name of a variable`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			world(t, func(t *testing.T, m *fleet.Manager, _ *host, db *memory) {
				tc.req.Organization = org
				_, err := m.Create(t.Context(), tc.req)
				if fault.KindOf(err) != tc.kind || err == nil || err.Error() != tc.text {
					t.Errorf("error = %v (%v), want %v: %s", err, fault.KindOf(err), tc.kind, tc.text)
				}
				if db.count(t) != 0 {
					t.Error("a refused create left a record")
				}
			})
		})
	}
}
