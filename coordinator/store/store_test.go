package store_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sandlot-dev/sandlot/coordinator/fleet"
	"github.com/sandlot-dev/sandlot/coordinator/store"
	"github.com/sandlot-dev/sandlot/coordinator/tenancy"
	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/internal/lifecycle"
)

const runner = "runner-1"

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

func sandbox(org tenancy.Organization, name string, change func(*fleet.Sandbox)) fleet.Sandbox {
	now := time.Now().UTC().Truncate(time.Microsecond)
	s := fleet.Sandbox{
		ID: uuid.NewString(), Organization: org.ID, Name: name, Region: "us", Runner: runner, Snapshot: "default", Image: "i",
		Env: map[string]string{"A": "1"}, Labels: map[string]string{"team": "core"}, CPU: 1, Memory: 2, Disk: 3, AutoStop: 15,
		AutoDelete: -1, State: lifecycle.Started, Desired: lifecycle.Started, PreviewToken: "tok", CreatedAt: now, UpdatedAt: now,
		LastActivityAt: now, StateAt: now,
	}
	if change != nil {
		change(&s)
	}
	return s
}

func TestSandboxComesBackAsItWas(t *testing.T) {
	db, org := open(t)
	want := sandbox(org, "one", func(s *fleet.Sandbox) {
		s.User, s.Public, s.Reason, s.DestroyAt = "root", true, "because", s.CreatedAt.Add(time.Hour)
	})
	if err := db.InsertSandbox(t.Context(), want); err != nil {
		t.Fatal(err)
	}
	for _, ref := range []string{want.ID, "one"} {
		got, err := db.Sandbox(t.Context(), org.ID, ref)
		if err != nil || fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", want) {
			t.Errorf("Sandbox(%q) = %+v, %v\nwant %+v", ref, got, err, want)
		}
		if _, err := db.Sandbox(t.Context(), "another", ref); !errors.Is(err, fleet.ErrNotFound) {
			t.Errorf("Sandbox of another organisation: %v, want ErrNotFound", err)
		}
	}
}

func TestNameIsFreeWhenItsSandboxIsWantedGone(t *testing.T) {
	db, org := open(t)
	first := sandbox(org, "name", nil)
	if err := db.InsertSandbox(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	if err := db.InsertSandbox(t.Context(), sandbox(org, "name", nil)); !errors.Is(err, fleet.ErrNameTaken) {
		t.Fatalf("second of the name: %v, want ErrNameTaken", err)
	}
	if _, err := db.ChangeSandbox(t.Context(), first.ID, func(s *fleet.Sandbox) error { s.Desired = lifecycle.Destroyed; return nil }); err != nil {
		t.Fatal(err)
	}
	second := sandbox(org, "name", nil)
	if err := db.InsertSandbox(t.Context(), second); err != nil {
		t.Fatalf("after the first is wanted gone: %v", err)
	}
	if got, err := db.Sandbox(t.Context(), org.ID, "name"); err != nil || got.ID != second.ID {
		t.Errorf("by name = %v, %v; want the second", got.ID, err)
	}
}

func TestFailedChangeWritesNothing(t *testing.T) {
	db, org := open(t)
	s := sandbox(org, "s", nil)
	if err := db.InsertSandbox(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	refuse := fault.New(fault.Conflict, "no")
	if _, err := db.ChangeSandbox(t.Context(), s.ID, func(s *fleet.Sandbox) error { s.Name = "other"; return refuse }); !errors.Is(err, refuse) {
		t.Errorf("error = %v, want the change's own", err)
	}
	if got, err := db.SandboxByID(t.Context(), s.ID); err != nil || got.Name != "s" {
		t.Errorf("name = %q, %v; want it unchanged", got.Name, err)
	}
	if _, err := db.ChangeSandbox(t.Context(), "none", func(*fleet.Sandbox) error { return nil }); !errors.Is(err, fleet.ErrNotFound) {
		t.Errorf("change of none: %v, want ErrNotFound", err)
	}
}

func TestChangesAreCountedAndDeletionsRemembered(t *testing.T) {
	db, org := open(t)
	a, b := sandbox(org, "a", nil), sandbox(org, "b", nil)
	for _, s := range []fleet.Sandbox{a, b} {
		if err := db.InsertSandbox(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	for i := int64(1); i < 4; i++ {
		got, err := db.ChangeSandbox(t.Context(), a.ID, func(s *fleet.Sandbox) error { s.Seen, s.Forced, s.Version = 40+uint64(i), true, 99; return nil })
		if read, err2 := db.SandboxByID(t.Context(), a.ID); err != nil || err2 != nil || got.Version != i || read.Version != i || !read.Forced || read.Seen != 40+uint64(i) {
			t.Errorf("change %d: %+v, %v; read %+v, %v", i, got, err, read, err2)
		}
	}
	if last, err := db.LastSeen(t.Context(), a.Runner); err != nil || last != 43 {
		t.Errorf("LastSeen = %d, %v; want 43", last, err)
	}
	if last, err := db.LastSeen(t.Context(), "other"); err != nil || last != 0 {
		t.Errorf("LastSeen of a runner without sandboxes = %d, %v", last, err)
	}
	for range 2 {
		if err := db.DeleteSandbox(t.Context(), a.ID); err != nil {
			t.Fatal(err)
		}
	}
	ids := []string{a.ID, b.ID, "none"}
	for range 1000 {
		ids = append(ids, "filler")
	}
	if got, err := db.Deleted(t.Context(), ids); err != nil || fmt.Sprint(got) != fmt.Sprint([]string{a.ID}) {
		t.Errorf("Deleted = %v, %v; want the deleted one", got, err)
	}
	if got, err := db.Known(t.Context(), ids); err != nil || fmt.Sprint(got) != fmt.Sprint([]string{b.ID}) {
		t.Errorf("Known = %v, %v; want the other one", got, err)
	}
	if err := db.Touch(t.Context(), a.ID, time.Now()); !errors.Is(err, fleet.ErrNotFound) {
		t.Errorf("Touch of a deleted sandbox: %v, want ErrNotFound", err)
	}
}

func TestPagesHoldEverySandboxOnceInEveryOrder(t *testing.T) {
	db, org := open(t)
	at := time.Now().UTC().Truncate(time.Microsecond)
	want := map[string]bool{}
	for i := range 23 {
		s := sandbox(org, fmt.Sprintf("s%02d", i), func(s *fleet.Sandbox) {
			s.CPU = 1 + i%3
			s.LastActivityAt = at.Add(time.Duration(i/2) * 100 * time.Millisecond) // pairs are equal
		})
		want[s.ID] = true
		if err := db.InsertSandbox(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	m := manager(t, db)
	for _, by := range []fleet.Sort{fleet.SortName, fleet.SortCPU, fleet.SortActivity, fleet.SortCreated, fleet.SortID, fleet.SortState} {
		for _, descending := range []bool{false, true} {
			got := map[string]bool{}
			q := fleet.Query{Organization: org.ID, Sort: by, Descending: descending, Limit: 4}
			for pages := 0; ; pages++ {
				p, err := m.List(t.Context(), q)
				if err != nil || pages > 10 {
					t.Fatalf("%s: page %d: %v", by, pages, err)
				}
				for _, s := range p.Sandboxes {
					if got[s.ID] {
						t.Errorf("%s (descending %v): %s comes twice", by, descending, s.Name)
					}
					got[s.ID] = true
				}
				if q.After = p.Next; p.Next == nil {
					break
				}
			}
			if len(got) != len(want) {
				t.Errorf("%s (descending %v): %d sandboxes in pages, want %d", by, descending, len(got), len(want))
			}
		}
	}
}

func TestFilters(t *testing.T) {
	db, org := open(t)
	for name, change := range map[string]func(*fleet.Sandbox){
		"plain":    nil,
		"labelled": func(s *fleet.Sandbox) { s.Labels = map[string]string{"team": "core", "tier": "a'b%"} },
		"stopped":  func(s *fleet.Sandbox) { s.State, s.Desired = lifecycle.Stopped, lifecycle.Stopped },
		"stopping": func(s *fleet.Sandbox) { s.Desired = lifecycle.Stopped },
		"big_one":  func(s *fleet.Sandbox) { s.CPU, s.Public = 8, true },
	} {
		if err := db.InsertSandbox(t.Context(), sandbox(org, name, change)); err != nil {
			t.Fatal(err)
		}
	}
	yes := true
	for _, tc := range []struct {
		name string
		q    fleet.Query
		want string
	}{
		{"all", fleet.Query{}, "[big_one labelled plain stopped stopping]"},
		{"a label", fleet.Query{Labels: map[string]string{"team": "core"}}, "[big_one labelled plain stopped stopping]"},
		{"two labels", fleet.Query{Labels: map[string]string{"team": "core", "tier": "a'b%"}}, "[labelled]"},
		{"label with another value", fleet.Query{Labels: map[string]string{"team": "x"}}, "[]"},
		{"state as shown", fleet.Query{States: []lifecycle.State{lifecycle.Stopping}}, "[stopping]"},
		{"two states", fleet.Query{States: []lifecycle.State{lifecycle.Stopping, lifecycle.Stopped}}, "[stopped stopping]"},
		{"state nobody is in", fleet.Query{States: []lifecycle.State{"archived"}}, "[]"},
		{"name prefix, any case", fleet.Query{NamePrefix: "STOP"}, "[stopped stopping]"},
		{"name prefix is not a pattern", fleet.Query{NamePrefix: "big%"}, "[]"},
		{"underscore is itself", fleet.Query{NamePrefix: "big_"}, "[big_one]"},
		{"name part", fleet.Query{NamePart: "lain"}, "[plain]"},
		{"cores", fleet.Query{MinCPU: 2, MaxCPU: 8}, "[big_one]"},
		{"public", fleet.Query{Public: &yes}, "[big_one]"},
		{"snapshot", fleet.Query{Snapshots: []string{"other"}}, "[]"},
		{"created before long ago", fleet.Query{CreatedTo: time.Now().Add(-time.Hour)}, "[]"},
		{"created after long ago", fleet.Query{CreatedFrom: time.Now().Add(-time.Hour), NamePrefix: "plain"}, "[plain]"},
		{"another organisation", fleet.Query{Organization: "x"}, "[]"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if tc.q.Organization == "" {
				tc.q.Organization = org.ID
			}
			tc.q.Sort, tc.q.Limit = fleet.SortName, 100
			list, total, err := db.ListSandboxes(t.Context(), tc.q)
			names := []string{}
			for _, s := range list {
				names = append(names, s.Name)
			}
			if got := fmt.Sprint(names); err != nil || got != tc.want || total != len(list) {
				t.Errorf("got %s (total %d), %v; want %s", got, total, err, tc.want)
			}
		})
	}
}

func TestLabelsCanBeReplaced(t *testing.T) {
	db, org := open(t)
	s := sandbox(org, "s", nil)
	if err := db.InsertSandbox(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	if _, err := db.ChangeSandbox(t.Context(), s.ID, func(s *fleet.Sandbox) error {
		s.Labels = map[string]string{"new": "1"}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	for label, want := range map[string]int{"team": 0, "new": 1} {
		value := map[string]string{"team": "core", "new": "1"}[label]
		list, _, err := db.ListSandboxes(t.Context(), fleet.Query{Organization: org.ID, Labels: map[string]string{label: value}, Sort: fleet.SortName, Limit: 10})
		if err != nil || len(list) != want {
			t.Errorf("label %s finds %d, %v; want %d", label, len(list), err, want)
		}
	}
}

// TestLabelsThatPrintAlikeAreNotTheSame replaces labels by others of the same print.
func TestLabelsThatPrintAlikeAreNotTheSame(t *testing.T) {
	db, org := open(t)
	s := sandbox(org, "s", func(s *fleet.Sandbox) { s.Labels = map[string]string{"a": "b c:d"} })
	if err := db.InsertSandbox(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	if _, err := db.ChangeSandbox(t.Context(), s.ID, func(s *fleet.Sandbox) error {
		s.Labels = map[string]string{"a": "b", "c": "d"}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	list, _, err := db.ListSandboxes(t.Context(), fleet.Query{Organization: org.ID, Labels: map[string]string{"c": "d"}, Sort: fleet.SortName, Limit: 10})
	if err != nil || len(list) != 1 {
		t.Errorf("the new label finds %d, %v; want 1", len(list), err)
	}
}

func TestWritersDoNotLoseEachOther(t *testing.T) {
	db, org := open(t)
	s := sandbox(org, "s", func(s *fleet.Sandbox) { s.CPU = 0 })
	if err := db.InsertSandbox(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			for range 10 {
				if _, err := db.ChangeSandbox(t.Context(), s.ID, func(s *fleet.Sandbox) error { s.CPU++; return nil }); err != nil {
					t.Error(err)
				}
				if _, err := db.SandboxByID(t.Context(), s.ID); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if got, err := db.SandboxByID(t.Context(), s.ID); err != nil || got.CPU != 200 {
		t.Errorf("counter = %d, %v; want 200", got.CPU, err)
	}
}

func TestKeysAreCheckedByHash(t *testing.T) {
	db, org := open(t)
	m := tenancy.New(db, nil)
	if err := m.Begin(t.Context(), "dtn_first"); err != nil {
		t.Errorf("a second Begin: %v", err)
	}
	k, err := m.Authenticate(t.Context(), "dtn_first")
	if err != nil || k.Organization != org.ID || k.Need(tenancy.WriteSandboxes) != nil || k.Prefix != "dtn" || k.Suffix != "rst" {
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
