package workspace

import (
	"fmt"
	"testing"
)

// TestEqualEventsThatNobodyHasReadAreOne holds for the readers that there are. Who comes later is told what happens
// after that.
func TestEqualEventsThatNobodyHasReadAreOne(t *testing.T) {
	dir := t.TempDir()
	f, err := New(dir)
	if err != nil {
		t.Fatal(err)
	}
	m := NewManager(f)
	defer m.Close()
	open := func(cursor string) *Stream {
		t.Helper()
		s, err := m.Watch("", true, cursor)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.Close)
		return s
	}
	read := func(who string, s *Stream, want ...EventKind) {
		t.Helper()
		events, _, _ := s.pending()
		var got []EventKind
		for _, e := range events {
			got = append(got, e.Kind)
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s was told %v, want %v", who, got, want)
		}
	}
	first, second := open(""), open("")
	upload := func() { first.log.publish(Event{Kind: Created, Path: dir + "/up"}) }
	for range 200 {
		upload()
	}
	late := open("")
	upload()
	read("the late one", late, Created)
	read("the first", first, Created, Created)
	upload()
	upload()
	read("the first", first, Created)
	read("the second", second, Created, Created, Created)
	cursor := second.Cursor()
	upload()
	first.log.publish(Event{Kind: Created, Path: dir + "/up", IsDir: true})
	upload()
	read("who comes back", open(cursor), Created, Created, Created)
}
