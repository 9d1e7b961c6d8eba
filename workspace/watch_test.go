package workspace_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/workspace"
)

func watch(t *testing.T, m *workspace.Manager, name string, recursive bool, cursor string) *workspace.Stream {
	t.Helper()
	s, err := m.Watch(name, recursive, cursor)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// until reads until an event of this form has come and returns all of them.
func until(t *testing.T, s *workspace.Stream, last string) (told []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for {
		events, err := s.Next(ctx)
		if err != nil {
			t.Fatalf("%v; told so far: %q, and not %q", err, told, last)
		}
		for i, e := range events {
			text := string(e.Kind) + " " + strings.TrimPrefix(strings.TrimPrefix(e.Path, s.Folder()), "/")
			if told = append(told, text); text == last {
				if i+1 < len(events) {
					t.Logf("and then %v", events[i+1:])
				}
				return told
			}
		}
	}
}

func TestWatchTellsChanges(t *testing.T) {
	f, dir := open(t)
	m := workspace.NewManager(f)
	defer m.Close()
	mustWrite(t, dir+"/sub/old", "")
	all := watch(t, m, "", true, "")
	flat := watch(t, m, ".", false, "")
	mustWrite(t, dir+"/a", "1")
	until(t, all, "write a")
	_ = os.Chmod(dir+"/a", 0o600)
	until(t, all, "chmod a")
	_ = os.Rename(dir+"/a", dir+"/b")
	until(t, all, "create b")
	_ = os.Remove(dir + "/b")
	until(t, all, "remove b")
	if _, err := f.Write("up", text("x", "y")); err != nil {
		t.Fatal(err)
	}
	if got := until(t, all, "create up"); strings.Contains(strings.Join(got, " "), workspace.TempPrefix) {
		t.Errorf("a temporary file was told of: %q", got)
	}
	mustWrite(t, dir+"/sub/x", "")
	until(t, all, "create sub/x")
	mustWrite(t, dir+"/n/e/w", "")
	until(t, all, "create n/e/w")
	mustWrite(t, dir+"/n/e/later", "")
	until(t, all, "create n/e/later")
	_ = os.Rename(dir+"/n", dir+"/moved")
	until(t, all, "create moved/e/w")
	mustWrite(t, dir+"/moved/e/last", "")
	if got := until(t, all, "create moved/e/last"); strings.Contains(strings.Join(got, " "), " n/") {
		t.Errorf("the old path is told: %q", got)
	}
	_ = os.RemoveAll(dir + "/moved")
	until(t, all, "remove moved")
	if got := until(t, flat, "remove moved"); strings.Contains(strings.Join(got, " "), "sub/x") {
		t.Errorf("a flat watch descended: %q", got)
	}
}

func TestWatchGoesOnBehindACursor(t *testing.T) {
	f, dir := open(t)
	m := workspace.NewManager(f)
	defer m.Close()
	first := watch(t, m, "", true, "")
	mustWrite(t, dir+"/a", "")
	until(t, first, "create a")
	cursor := first.Cursor()
	mustWrite(t, dir+"/b", "")
	mustWrite(t, dir+"/c", "")
	until(t, first, "create c")
	if got := until(t, watch(t, m, "", true, cursor), "create c"); fmt.Sprint(got) != "[create b create c]" &&
		fmt.Sprint(got) != "[write a create b create c]" {
		t.Errorf("resumed with %q", got)
	}
	for _, bad := range []string{"x", "x.1", strings.Split(cursor, ".")[0] + ".999", ".", "é.\x00"} {
		s := watch(t, m, "", true, bad)
		events, err := s.Next(t.Context())
		if err != nil || events[0].Kind != workspace.Lost {
			t.Errorf("cursor %q: %v %v", bad, events, err)
		}
	}
	for i := range 6000 { // more than is kept
		mustWrite(t, fmt.Sprint(dir, "/many", i), "")
	}
	until(t, first, "create many5999")
	slow := watch(t, m, "", true, cursor)
	if got := until(t, slow, "create many5999"); got[0] != "overflow " || len(got) > 4100 {
		t.Errorf("a cursor that is too old: %d events, first %q", len(got), got[0])
	}
}

// TestWatchSeesNewFoldersAfterAnOverflow makes more events than the kernel queues, and folders amid them.
func TestWatchSeesNewFoldersAfterAnOverflow(t *testing.T) {
	f, dir := open(t)
	m := workspace.NewManager(f)
	defer m.Close()
	s := watch(t, m, "", true, "")
	var files [2]*os.File
	for i := range files {
		file, err := os.Create(fmt.Sprint(dir, "/f", i))
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		files[i] = file
	}
	const folders = 8
	for i := range folders {
		for n := range 60_000 { // of two files in turn: the kernel makes one event of equal ones
			_, _ = files[n%2].WriteAt([]byte("x"), 0)
		}
		if err := os.MkdirAll(fmt.Sprint(dir, "/new", i, "/sub"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for err := error(nil); err == nil; { // the flood is over when nothing comes any more
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		_, err = s.Next(ctx)
		cancel()
	}
	for i := range folders {
		mustWrite(t, fmt.Sprint(dir, "/new", i, "/sub/late"), "")
		until(t, s, fmt.Sprint("create new", i, "/sub/late"))
	}
}

func TestWatchEndsWithItsFolder(t *testing.T) {
	f, dir := open(t)
	m := workspace.NewManager(f)
	defer m.Close()
	_ = os.Mkdir(dir+"/d", 0o755)
	mustWrite(t, dir+"/file", "")
	_ = os.Symlink("d", dir+"/link")
	s := watch(t, m, "link", true, "")
	_ = os.RemoveAll(dir + "/d")
	until(t, s, "remove ")
	if _, err := s.Next(t.Context()); !errors.Is(err, io.EOF) {
		t.Errorf("after the end: %v", err)
	}
	_, err := m.Watch("file", false, "")
	wantFault(t, "file", err, fault.Invalid, "INVALID_FILE_PATH")
	_, err = m.Watch("d", false, "")
	wantFault(t, "missing", err, fault.NotFound, "FILE_NOT_FOUND")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := watch(t, m, "", false, "").Next(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("after its reader's end: %v", err)
	}
	var last error
	var read []*workspace.Stream
	for i := range 70 { // those without readers make room
		_ = os.Mkdir(fmt.Sprint(dir, "/w", i), 0o755)
		if s, err := m.Watch(fmt.Sprint("w", i), false, ""); err != nil {
			t.Errorf("unread watch %d: %v", i, err)
		} else {
			s.Close()
		}
	}
	for i := range 70 {
		if s, err := m.Watch(fmt.Sprint("w", i), false, ""); err != nil {
			last = err
		} else {
			read = append(read, s)
		}
	}
	if wantFault(t, "too many", last, fault.Limited, ""); len(read) < 60 {
		t.Errorf("%d at a time", len(read))
	}
	for _, s := range read {
		s.Close()
	}
}

// TestTheSameChangeIsToldEachTime does one thing to one path again and again, each time after its event was read.
func TestTheSameChangeIsToldEachTime(t *testing.T) {
	f, dir := open(t)
	m := workspace.NewManager(f)
	defer m.Close()
	mustWrite(t, dir+"/a", "")
	all := watch(t, m, "", true, "")
	for i := range 5 {
		if _, err := f.Write("up", text("x", "y")); err != nil {
			t.Fatal(err)
		}
		until(t, all, "create up")
		for _, change := range []func() error{
			func() error { return os.Chmod(dir+"/a", os.FileMode(0o600+i)) },
			func() error { now := time.Now(); return os.Chtimes(dir+"/a", now, now) },
		} {
			if err := change(); err != nil {
				t.Fatal(err)
			}
			until(t, all, "chmod a")
		}
	}
}

// BenchmarkWatch measures what a watch costs: its start over a tree of 1,000 folders, and a change until its reader has
// it.
func BenchmarkWatch(b *testing.B) {
	dir := b.TempDir()
	for i := range 1000 {
		if err := os.MkdirAll(fmt.Sprintf("%s/%d/%d", dir, i/32, i), 0o755); err != nil {
			b.Fatal(err)
		}
	}
	f, err := workspace.New(dir)
	if err != nil {
		b.Fatal(err)
	}
	start := func() (*workspace.Manager, *workspace.Stream) {
		m := workspace.NewManager(f)
		s, err := m.Watch("", true, "")
		if err != nil {
			b.Fatal(err)
		}
		return m, s
	}
	b.Run("start", func(b *testing.B) {
		for b.Loop() {
			m, s := start()
			s.Close()
			m.Close()
		}
	})
	b.Run("change", func(b *testing.B) {
		m, s := start()
		defer m.Close()
		defer s.Close()
		for b.Loop() {
			if err := os.Chmod(dir+"/0/0", 0o755); err != nil {
				b.Fatal(err)
			}
			if _, err := s.Next(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
	})
}
