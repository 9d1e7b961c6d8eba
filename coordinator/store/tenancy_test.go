package store_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/sandlot-dev/sandlot/coordinator/tenancy"
	"github.com/sandlot-dev/sandlot/internal/fault"
)

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
