package store_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sandlot-dev/sandlot/coordinator/fleet"
	"github.com/sandlot-dev/sandlot/coordinator/store"
	"github.com/sandlot-dev/sandlot/coordinator/tenancy"
)

// TestDeadlinesAreFoundByIndex asks the database how it finds them: by the index alone, in its order.
func TestDeadlinesAreFoundByIndex(t *testing.T) {
	db, _ := open(t)
	plans, err := store.Plans(t.Context(), db, func(db *store.DB) error {
		_, err := db.Due(t.Context(), "r", time.Now(), 500)
		_, err2 := db.NextDue(t.Context(), "r")
		return errors.Join(err, err2)
	})
	if err != nil || len(plans) != 2 {
		t.Fatalf("plans %q, %v; want 2", plans, err)
	}
	for _, plan := range plans {
		if !strings.Contains(plan, "sandboxes_due") || strings.Contains(plan, "SCAN") ||
			strings.Contains(plan, "TEMP B-TREE") {
			t.Errorf("found by %q", plan)
		}
	}
}

// TestOldSandboxesAreDueAtOnce opens a database from before deadlines were kept: the clock has to look at each
// sandbox once.
func TestOldSandboxesAreDueAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "old.db")
	db, err := store.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if err := tenancy.New(db, nil).Begin(t.Context(), "dtn_first"); err != nil {
		t.Fatal(err)
	}
	org, err := db.PersonalOrganization(t.Context(), tenancy.Administrator)
	if err != nil {
		t.Fatal(err)
	}
	s := fleet.Sandbox{ID: "a", Organization: org.ID, Name: "a", Runner: "r", CreatedAt: time.Now().UTC()}
	if err := db.InsertSandbox(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(store.Downgrade(t.Context(), db, 5), db.Close()); err != nil {
		t.Fatal(err)
	}
	if db, err = store.Open(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if due, err := db.Due(t.Context(), "r", time.Now(), 10); err != nil || len(due) != 1 {
		t.Errorf("due are %v, %v; want the one", due, err)
	}
	if err := db.Postpone(t.Context(), []fleet.Postponed{{ID: "a"}}); err != nil {
		t.Fatal(err)
	}
	if next, err := db.NextDue(t.Context(), "r"); err != nil || !next.IsZero() {
		t.Errorf("the next deadline is %v, %v; want none", next, err)
	}
}
