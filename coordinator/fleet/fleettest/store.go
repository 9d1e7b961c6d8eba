package fleettest

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sandlot-dev/sandlot/coordinator/fleet"
	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/internal/lifecycle"
)

const runner = "runner-1"

// OpenStore returns an empty Store, which ends with the test, and the id of an organisation that it has.
type OpenStore func(t *testing.T) (db fleet.Store, organization string)

// Store holds an implementation of fleet.Store to its contract.
func Store(t *testing.T, open OpenStore) {
	for name, promise := range map[string]func(*testing.T, OpenStore){
		"SandboxComesBackAsItWas":                 sandboxComesBackAsItWas,
		"NameIsFreeWhenItsSandboxIsWantedGone":    nameIsFreeWhenItsSandboxIsWantedGone,
		"FailedChangeWritesNothing":               failedChangeWritesNothing,
		"ChangesAreCountedAndDeletionsRemembered": changesAreCountedAndDeletionsRemembered,
		"PagesHoldEverySandboxOnceInEveryOrder":   pagesHoldEverySandboxOnceInEveryOrder,
		"Filters":                                 filters,
		"LabelsCanBeReplaced":                     labelsCanBeReplaced,
		"LabelsThatPrintAlikeAreNotTheSame":       labelsThatPrintAlikeAreNotTheSame,
		"WritersDoNotLoseEachOther":               writersDoNotLoseEachOther,
		"DeadlinesComeInOrderAndCanBePostponed":   deadlinesComeInOrderAndCanBePostponed,
		"ActivityIsWrittenForAllAtOnce":           activityIsWrittenForAllAtOnce,
		"LinksAndDoorsEndWithTheirSandbox":        linksAndDoorsEndWithTheirSandbox,
		"SnapshotsAreReplacedByName":              snapshotsAreReplacedByName,
		"AForeignCursorIsRefused":                 aForeignCursorIsRefused,
	} {
		t.Run(name, func(t *testing.T) { promise(t, open) })
	}
}

func sandbox(org, name string, change func(*fleet.Sandbox)) fleet.Sandbox {
	now := time.Now().UTC().Truncate(time.Microsecond)
	s := fleet.Sandbox{
		ID: uuid.NewString(), Organization: org, Name: name, Region: "us", Runner: runner, Snapshot: "default", Image: "i",
		Env: map[string]string{"A": "1"}, Labels: map[string]string{"team": "core"}, CPU: 1, Memory: 2, Disk: 3,
		AutoStop: 15, AutoDelete: -1, State: lifecycle.Started, Desired: lifecycle.Started, PreviewToken: "tok",
		CreatedAt: now, UpdatedAt: now, LastActivityAt: now, StateAt: now,
	}
	if change != nil {
		change(&s)
	}
	return s
}

func sandboxComesBackAsItWas(t *testing.T, open OpenStore) {
	db, org := open(t)
	want := sandbox(org, "one", func(s *fleet.Sandbox) {
		s.User, s.Public, s.Reason, s.DestroyAt = "root", true, "because", s.CreatedAt.Add(time.Hour)
	})
	if err := db.InsertSandbox(t.Context(), want); err != nil {
		t.Fatal(err)
	}
	for _, ref := range []string{want.ID, "one"} {
		got, err := db.Sandbox(t.Context(), org, ref)
		if err != nil || fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", want) {
			t.Errorf("Sandbox(%q) = %+v, %v\nwant %+v", ref, got, err, want)
		}
		if _, err := db.Sandbox(t.Context(), "another", ref); !errors.Is(err, fleet.ErrNotFound) {
			t.Errorf("Sandbox of another organisation: %v, want ErrNotFound", err)
		}
	}
}

func nameIsFreeWhenItsSandboxIsWantedGone(t *testing.T, open OpenStore) {
	db, org := open(t)
	first := sandbox(org, "name", nil)
	if err := db.InsertSandbox(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	if err := db.InsertSandbox(t.Context(), sandbox(org, "name", nil)); !errors.Is(err, fleet.ErrNameTaken) {
		t.Fatalf("second of the name: %v, want ErrNameTaken", err)
	}
	if _, err := db.ChangeSandbox(t.Context(), first.ID, func(s *fleet.Sandbox) error {
		s.Desired = lifecycle.Destroyed
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	second := sandbox(org, "name", nil)
	if err := db.InsertSandbox(t.Context(), second); err != nil {
		t.Fatalf("after the first is wanted gone: %v", err)
	}
	if got, err := db.Sandbox(t.Context(), org, "name"); err != nil || got.ID != second.ID {
		t.Errorf("by name = %v, %v; want the second", got.ID, err)
	}
}

func failedChangeWritesNothing(t *testing.T, open OpenStore) {
	db, org := open(t)
	s := sandbox(org, "s", nil)
	if err := db.InsertSandbox(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	refuse := fault.New(fault.Conflict, "no")
	if _, err := db.ChangeSandbox(t.Context(), s.ID, func(s *fleet.Sandbox) error {
		s.Name = "other"
		return refuse
	}); !errors.Is(err, refuse) {
		t.Errorf("error = %v, want the change's own", err)
	}
	if got, err := db.SandboxByID(t.Context(), s.ID); err != nil || got.Name != "s" {
		t.Errorf("name = %q, %v; want it unchanged", got.Name, err)
	}
	if _, err := db.ChangeSandbox(t.Context(), "none", func(*fleet.Sandbox) error {
		return nil
	}); !errors.Is(err, fleet.ErrNotFound) {
		t.Errorf("change of none: %v, want ErrNotFound", err)
	}
}

func changesAreCountedAndDeletionsRemembered(t *testing.T, open OpenStore) {
	db, org := open(t)
	a, b := sandbox(org, "a", nil), sandbox(org, "b", nil)
	for _, s := range []fleet.Sandbox{a, b} {
		if err := db.InsertSandbox(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	for i := int64(1); i < 4; i++ {
		got, err := db.ChangeSandbox(t.Context(), a.ID, func(s *fleet.Sandbox) error {
			s.Seen, s.Forced, s.Version = 40+uint64(i), true, 99
			return nil
		})
		if read, err2 := db.SandboxByID(t.Context(), a.ID); err != nil || err2 != nil || got.Version != i ||
			read.Version != i || !read.Forced || read.Seen != 40+uint64(i) {
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
}

func pagesHoldEverySandboxOnceInEveryOrder(t *testing.T, open OpenStore) {
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
	m, err := fleet.New(fleet.Config{
		Store: db, Runners: fleet.SoleRunner{}, Region: "us", DefaultSnapshot: "default", MaxCPU: 1, MaxMemory: 1, MaxDisk: 1,
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, by := range []fleet.Sort{
		fleet.SortName, fleet.SortCPU, fleet.SortActivity, fleet.SortCreated, fleet.SortID, fleet.SortState,
	} {
		for _, descending := range []bool{false, true} {
			got := map[string]bool{}
			q := fleet.Query{Organization: org, Sort: by, Descending: descending, Limit: 4}
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

func filters(t *testing.T, open OpenStore) {
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
				tc.q.Organization = org
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

func labelsCanBeReplaced(t *testing.T, open OpenStore) {
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
		list, _, err := db.ListSandboxes(t.Context(),
			fleet.Query{Organization: org, Labels: map[string]string{label: value}, Sort: fleet.SortName, Limit: 10})
		if err != nil || len(list) != want {
			t.Errorf("label %s finds %d, %v; want %d", label, len(list), err, want)
		}
	}
}

// labelsThatPrintAlikeAreNotTheSame replaces labels by others of the same print.
func labelsThatPrintAlikeAreNotTheSame(t *testing.T, open OpenStore) {
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
	list, _, err := db.ListSandboxes(t.Context(),
		fleet.Query{Organization: org, Labels: map[string]string{"c": "d"}, Sort: fleet.SortName, Limit: 10})
	if err != nil || len(list) != 1 {
		t.Errorf("the new label finds %d, %v; want 1", len(list), err)
	}
}

func writersDoNotLoseEachOther(t *testing.T, open OpenStore) {
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

func aForeignCursorIsRefused(t *testing.T, open OpenStore) {
	db, org := open(t)
	for _, by := range []fleet.Sort{fleet.SortCPU, fleet.SortCreated} {
		q := fleet.Query{Organization: org, Sort: by, Limit: 1, After: &fleet.Cursor{Value: "name", ID: "x"}}
		if _, _, err := db.ListSandboxes(t.Context(), q); fault.KindOf(err) != fault.Invalid {
			t.Errorf("a cursor of names in a list by %s: %v, want it refused", by, err)
		}
	}
}

func deadlinesComeInOrderAndCanBePostponed(t *testing.T, open OpenStore) {
	db, org := open(t)
	if next, err := db.NextDue(t.Context(), runner); err != nil || !next.IsZero() {
		t.Errorf("the next deadline of nothing: %v, %v", next, err)
	}
	now := time.Now().UTC().Truncate(time.Microsecond)
	byName := map[string]fleet.Sandbox{}
	for name, change := range map[string]func(*fleet.Sandbox){
		"1 over":       func(s *fleet.Sandbox) { s.DestroyAt = now.Add(-time.Hour) },
		"2 now":        func(s *fleet.Sandbox) { s.State, s.Desired, s.AutoDelete = lifecycle.Stopped, lifecycle.Stopped, 0 },
		"3 idle later": nil,
		"never":        func(s *fleet.Sandbox) { s.AutoStop = 0 },
		"elsewhere":    func(s *fleet.Sandbox) { s.Runner, s.DestroyAt = "runner-2", now.Add(-time.Hour) },
	} {
		byName[name] = sandbox(org, name, func(s *fleet.Sandbox) {
			s.StateAt, s.LastActivityAt = now, now
			if change != nil {
				change(s)
			}
		})
		if err := db.InsertSandbox(t.Context(), byName[name]); err != nil {
			t.Fatal(err)
		}
	}
	check := func(when string, next time.Time, limit int, want ...string) {
		t.Helper()
		names := []string{}
		due, err := db.Due(t.Context(), runner, now, limit)
		for _, s := range due {
			names = append(names, s.Name)
		}
		if err != nil || fmt.Sprint(names) != fmt.Sprint(want) {
			t.Errorf("%s: due are %q, %v; want %q", when, names, err, want)
		}
		if got, err := db.NextDue(t.Context(), runner); err != nil || !got.Equal(next) {
			t.Errorf("%s: next is %v, %v; want %v", when, got, err, next)
		}
	}
	check("at first", now.Add(-time.Hour), 10, "1 over", "2 now")
	check("one at a time", now.Add(-time.Hour), 1, "1 over")
	if _, err := db.ChangeSandbox(t.Context(), byName["1 over"].ID, func(s *fleet.Sandbox) error {
		s.DestroyAt = now.Add(time.Hour)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	check("after a change", now, 10, "2 now")
	if err := db.Postpone(t.Context(), []fleet.Postponed{
		{ID: byName["1 over"].ID, Version: 0, DueAt: now.Add(-time.Minute)}, // its version is 1 by now
		{ID: byName["2 now"].ID, DueAt: now.Add(time.Minute)},
		{ID: "none", DueAt: now},
	}); err != nil {
		t.Fatal(err)
	}
	check("after it was postponed", now.Add(time.Minute), 10)
	if err := db.Postpone(t.Context(), []fleet.Postponed{{ID: byName["2 now"].ID}}); err != nil {
		t.Fatal(err)
	}
	check("after it was postponed for good", now.Add(15*time.Minute), 10)
	if got, err := db.SandboxByID(t.Context(), byName["2 now"].ID); err != nil || got.Version != 0 {
		t.Errorf("postponing counted as a change: version %d, %v", got.Version, err)
	}
	if err := db.PutActivity(t.Context(),
		map[string]time.Time{byName["3 idle later"].ID: now.Add(5 * time.Minute)}); err != nil {
		t.Fatal(err)
	}
	if next, err := db.NextDue(t.Context(), runner); err != nil || next.After(now.Add(20*time.Minute)) {
		t.Errorf("after activity the next is %v, %v; want nothing later than its deadline", next, err)
	}
}

func activityIsWrittenForAllAtOnce(t *testing.T, open OpenStore) {
	db, org := open(t)
	last := map[string]time.Time{"none": time.Now()}
	later := time.Now().UTC().Truncate(time.Microsecond).Add(time.Minute)
	newer := sandbox(org, "newer", func(s *fleet.Sandbox) { s.LastActivityAt = later.Add(time.Hour) })
	all := []fleet.Sandbox{newer}
	for i := range 1100 {
		all = append(all, sandbox(org, fmt.Sprint("s", i), nil))
	}
	for _, s := range all {
		if err := db.InsertSandbox(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		last[s.ID] = later
	}
	if err := db.PutActivity(t.Context(), last); err != nil {
		t.Fatal(err)
	}
	stored, err := db.SandboxesOn(t.Context(), runner)
	if err != nil || len(stored) != len(all) {
		t.Fatalf("%d sandboxes, %v; want %d", len(stored), err, len(all))
	}
	for _, s := range stored {
		want := later
		if s.ID == newer.ID {
			want = newer.LastActivityAt
		}
		if !s.LastActivityAt.Equal(want) || s.Version != 0 {
			t.Errorf("%s was active at %v (version %d), want %v (version 0)", s.Name, s.LastActivityAt, s.Version, want)
		}
	}
}

func linksAndDoorsEndWithTheirSandbox(t *testing.T, open OpenStore) {
	db, org := open(t)
	s := sandbox(org, "s", nil)
	if err := db.InsertSandbox(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	link := fleet.Link{Hash: "h", Sandbox: s.ID, Port: 80, Until: s.CreatedAt.Add(time.Hour)}
	old := fleet.Link{Hash: "old", Sandbox: s.ID, Port: 80, Until: s.CreatedAt.Add(-time.Hour)}
	door := fleet.Door{Sandbox: s.ID, Port: 80}
	for range 2 { // opening a door again is no error
		if err := db.PutDoor(t.Context(), door); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(db.PutLink(t.Context(), old), db.PutLink(t.Context(), link)); err != nil {
		t.Fatal(err)
	}
	if _, err := db.LinkByHash(t.Context(), "old"); !errors.Is(err, fleet.ErrNoLink) {
		t.Errorf("a link that is over is kept: %v", err)
	}
	if err := db.DeleteLink(t.Context(), fleet.Link{Hash: "h", Sandbox: s.ID, Port: 81}); err != nil {
		t.Error(err)
	}
	if got, err := db.LinkByHash(t.Context(), "h"); err != nil || got.Sandbox != s.ID || got.Port != 80 ||
		!got.Until.Equal(link.Until) {
		t.Errorf("after the delete of another port's link: %+v, %v; want %+v", got, err, link)
	}
	if doors, err := db.Doors(t.Context()); err != nil || len(doors) != 1 || doors[0] != door {
		t.Errorf("doors %v, %v; want %v", doors, err, door)
	}
	if err := db.DeleteSandbox(t.Context(), s.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := db.LinkByHash(t.Context(), "h"); !errors.Is(err, fleet.ErrNoLink) {
		t.Errorf("the link of a deleted sandbox: %v, want ErrNoLink", err)
	}
	if doors, err := db.Doors(t.Context()); err != nil || len(doors) != 0 {
		t.Errorf("doors of a deleted sandbox: %v, %v", doors, err)
	}
	if err := db.PutLink(t.Context(), link); !errors.Is(err, fleet.ErrNotFound) {
		t.Errorf("a link of a deleted sandbox: %v, want ErrNotFound", err)
	}
	if err := db.PutDoor(t.Context(), door); !errors.Is(err, fleet.ErrNotFound) {
		t.Errorf("a door of a deleted sandbox: %v, want ErrNotFound", err)
	}
}

func snapshotsAreReplacedByName(t *testing.T, open OpenStore) {
	db, _ := open(t)
	if _, err := db.Snapshot(t.Context(), "s"); fault.KindOf(err) != fault.NotFound {
		t.Errorf("a snapshot that is not there: %v, want not found", err)
	}
	for cpu := range 2 {
		if err := db.PutSnapshot(t.Context(),
			fleet.Snapshot{ID: fmt.Sprint("id-", cpu), Name: "s", Image: "i", CPU: cpu, Memory: 1, Disk: 1}); err != nil {
			t.Fatal(err)
		}
	}
	for _, ref := range []string{"s", "id-0"} {
		if got, err := db.Snapshot(t.Context(), ref); err != nil || got.CPU != 1 || got.ID != "id-0" {
			t.Errorf("Snapshot(%q) = %+v, %v; want the second under the id of the first", ref, got, err)
		}
	}
}
