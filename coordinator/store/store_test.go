package store_test

import (
	"path/filepath"
	"testing"

	"github.com/sandlot-dev/sandlot/coordinator/fleet"
	"github.com/sandlot-dev/sandlot/coordinator/fleet/fleettest"
	"github.com/sandlot-dev/sandlot/coordinator/store"
	"github.com/sandlot-dev/sandlot/coordinator/tenancy"
)

func open(t *testing.T) (*store.DB, tenancy.Organization) {
	t.Helper()
	db, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "a ?#% name.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := tenancy.New(db, nil).Begin(t.Context(), "dtn_first"); err != nil {
		t.Fatal(err)
	}
	org, err := db.PersonalOrganization(t.Context(), tenancy.Administrator)
	if err != nil {
		t.Fatal(err)
	}
	return db, org
}

func TestStore(t *testing.T) {
	fleettest.Store(t, func(t *testing.T) (fleet.Store, string) {
		db, org := open(t)
		return db, org.ID
	})
}
