package store_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sandlot-dev/sandlot/coordinator/fleet"
	"github.com/sandlot-dev/sandlot/coordinator/fleet/fleettest"
	"github.com/sandlot-dev/sandlot/coordinator/store"
	"github.com/sandlot-dev/sandlot/coordinator/tenancy"
	"github.com/sandlot-dev/sandlot/internal/fault"
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

func TestKnownAreThoseWithARecord(t *testing.T) {
	db, org := open(t)
	if err := db.InsertSandbox(t.Context(),
		fleet.Sandbox{ID: "a", Organization: org.ID, Name: "a", Runner: "r"}); err != nil {
		t.Fatal(err)
	}
	ids := make([]string, 1000, 1002)
	if got, err := db.Known(t.Context(), append(ids, "a", "none")); err != nil || fmt.Sprint(got) != "[a]" {
		t.Errorf("Known = %v, %v; want a", got, err)
	}
}

func TestKeysAreCheckedByHash(t *testing.T) {
	db, org := open(t)
	m := tenancy.New(db, nil)
	if err := m.Begin(t.Context(), "dtn_first"); err != nil {
		t.Errorf("a second Begin: %v", err)
	}
	k, err := m.Authenticate(t.Context(), "dtn_first")
	if err != nil || k.Organization != org.ID || k.Need(tenancy.WriteSandboxes) != nil || k.Prefix != "dtn" ||
		k.Suffix != "rst" {
		t.Errorf("Authenticate = %+v, %v", k, err)
	}
	for _, key := range []string{"", "dtn_firs", "dtn_first ", k.Hash} {
		if _, err := m.Authenticate(t.Context(), key); !errors.Is(err, tenancy.ErrUnauthenticated) {
			t.Errorf("Authenticate(%q) = %v, want ErrUnauthenticated", key, err)
		}
	}
	k.Hash, k.Name, k.ExpiresAt, k.Permissions = "expired", "e", time.Now().Add(-time.Second), nil
	if err := db.PutKey(t.Context(), k); err != nil {
		t.Fatal(err)
	}
	if fault.KindOf(k.Need(tenancy.DeleteSandboxes)) != fault.Forbidden {
		t.Error("a key without permissions may delete")
	}
}

// TestADeletedKeyMakesNoOther has a request that was let in before its key was deleted, and whose body came after.
func TestADeletedKeyMakesNoOther(t *testing.T) {
	db, _ := open(t)
	m := tenancy.New(db, nil)
	first, err := m.Authenticate(t.Context(), "dtn_first")
	if err != nil {
		t.Fatal(err)
	}
	make := func(name string, expires time.Time) tenancy.Key {
		_, secret, err := m.CreateKey(t.Context(), first, name, []tenancy.Permission{tenancy.ManageKeys}, expires)
		if err != nil {
			t.Fatal(err)
		}
		k, err := m.Authenticate(t.Context(), secret)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	deleted, expired := make("deleted", time.Time{}), make("expired", time.Now().Add(300*time.Millisecond))
	if err := m.DeleteKey(t.Context(), first, "", "deleted"); err != nil {
		t.Fatal(err)
	}
	<-time.After(time.Until(expired.ExpiresAt) + time.Millisecond)
	for _, by := range []tenancy.Key{deleted, expired} {
		if _, _, err := m.CreateKey(t.Context(), by, "more", nil, time.Time{}); !errors.Is(err, tenancy.ErrUnauthenticated) {
			t.Errorf("a key that is %s makes another: %v", by.Name, err)
		}
	}
}

// TestDeletingAKeyLeavesNoneThatItMakes deletes keys while they make others.
func TestDeletingAKeyLeavesNoneThatItMakes(t *testing.T) {
	db, org := open(t)
	m := tenancy.New(db, nil)
	first, err := m.Authenticate(t.Context(), "dtn_first")
	if err != nil {
		t.Fatal(err)
	}
	_, secret, err := m.CreateKey(t.Context(), first, "leaked", []tenancy.Permission{tenancy.ManageKeys}, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	leaked, err := m.Authenticate(t.Context(), secret)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for n := 0; ; n++ {
				if _, _, err := m.CreateKey(t.Context(), leaked, fmt.Sprint(i, n), nil, time.Time{}); err != nil {
					if !errors.Is(err, tenancy.ErrUnauthenticated) {
						t.Error(err)
					}
					return
				}
			}
		})
	}
	if err := m.DeleteKey(t.Context(), first, "", "leaked"); err != nil {
		t.Error(err)
	}
	after, err := db.Keys(t.Context(), org.ID)
	if err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	if end, err := db.Keys(t.Context(), org.ID); err != nil || len(end) != len(after) {
		t.Errorf("%d keys after the delete was answered, %d in the end, %v", len(after), len(end), err)
	}
}

// TestAReplacedFirstKeyCanComeBack goes from one key of the settings to another and back.
func TestAReplacedFirstKeyCanComeBack(t *testing.T) {
	db, org := open(t)
	m := tenancy.New(db, nil)
	first, err := m.Authenticate(t.Context(), "dtn_first")
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Begin(t.Context(), "dtn_second"); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Authenticate(t.Context(), "dtn_first"); !errors.Is(err, tenancy.ErrUnauthenticated) {
		t.Errorf("the replaced key: %v, want it refused", err)
	}
	second, err := m.Authenticate(t.Context(), "dtn_second")
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := m.CreateKey(t.Context(), second, first.Name, nil, time.Time{}); fault.KindOf(err) != fault.Invalid {
		t.Errorf("a key under the name of a first one: %v, want it refused", err)
	}
	if err := m.Begin(t.Context(), "dtn_first"); err != nil {
		t.Fatalf("back to the first key: %v", err)
	}
	if keys, err := db.Keys(t.Context(), org.ID); err != nil || len(keys) != 1 || !keys[0].First {
		t.Errorf("keys %+v, %v; want the first alone", keys, err)
	}
}
