package workspace_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/workspace"
)

func find(t *testing.T, f *workspace.Files, root, pattern string) []workspace.Match {
	t.Helper()
	var got []workspace.Match
	if err := f.Find(t.Context(), root, pattern, func(m workspace.Match) error {
		got = append(got, m)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return got
}

func TestFindTellsLines(t *testing.T) {
	f, dir := open(t)
	mustWrite(t, dir+"/b/x", "no\nneedle needle\r\n\nlast needle")
	mustWrite(t, dir+"/a", "needle")
	mustWrite(t, dir+"/.h", "Needle\n  needle\n")
	mustWrite(t, dir+"/binary", "a\x00needle")
	mustWrite(t, dir+"/late", strings.Repeat("a\n", 300)+"\x00needle\n")
	mustWrite(t, dir+"/latin", "\xe9 needle \xff\xfe")
	_ = os.Symlink("a", dir+"/link")
	_ = unix.Mkfifo(dir+"/fifo", 0o644)
	got := fmt.Sprintf("%+v", find(t, f, dir, "needle"))
	want := fmt.Sprintf("%+v", []workspace.Match{
		{File: dir + "/.h", Line: 2, Content: "  needle"},
		{File: dir + "/a", Line: 1, Content: "needle"},
		{File: dir + "/b/x", Line: 2, Content: "needle needle"},
		{File: dir + "/b/x", Line: 4, Content: "last needle"},
		{File: dir + "/late", Line: 301, Content: "\x00needle"},
		{File: dir + "/latin", Line: 1, Content: "\ufffd needle \ufffd\ufffd"},
	})
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	for _, tc := range []struct {
		root, pattern, first string
		n                    int
	}{
		{".", "needle", ".h", 6},
		{"b", "needle", "b/x", 2},
		{"b/x", "last", "b/x", 1},
		{"./b/", "needle", "b/x", 2},
		{"link", "needle", "", 0},
		{"b", "needle\r", "", 0},
		{"b", "no\nneedle", "", 0},
		{"..", "needle", "", 6},
	} {
		got := find(t, f, tc.root, tc.pattern)
		if len(got) != tc.n || tc.first != "" && got[0].File != tc.first {
			t.Errorf("Find(%q, %q) = %+v; want %d, first in %q", tc.root, tc.pattern, got, tc.n, tc.first)
		}
	}
	err := f.Find(t.Context(), dir, "", nil)
	wantFault(t, "empty pattern", err, fault.Invalid, "")
	wantFault(t, "missing root", f.Find(t.Context(), "none", "needle", nil), fault.NotFound, "FILE_NOT_FOUND")
	wantFault(t, "missing root of a pattern that no line has", f.Find(t.Context(), dir+"/none/x", "a\nb", nil),
		fault.NotFound, "FILE_NOT_FOUND")
	wantFault(t, "root below a file", f.Find(t.Context(), "b/x/y", "needle", nil), fault.Invalid, "INVALID_FILE_PATH")
	stop := errors.New("enough")
	if err := f.Find(t.Context(), dir, "needle", func(workspace.Match) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("Find went on after its caller had enough: %v", err)
	}
}

func TestFindInHugeLines(t *testing.T) {
	f, dir := open(t)
	fill := strings.Repeat("y", 600<<10)
	at := workspace.LargeBuffer - 3 // over the edge of the window
	mustWrite(t, dir+"/huge", "one\n"+fill[:at-4]+"needle"+fill+"needle"+fill+"\nneedle\n"+fill+"\nneedle")
	got := find(t, f, dir, "needle")
	var lines []int
	for _, m := range got {
		lines = append(lines, m.Line)
		if !strings.Contains(m.Content, "needle") || len(m.Content) > workspace.MaxContent || m.Cut != (m.Line == 2) {
			t.Errorf("line %d: %d bytes, cut %v", m.Line, len(m.Content), m.Cut)
		}
	}
	if !slices.Equal(lines, []int{2, 3, 5}) {
		t.Errorf("lines %v, want 2, 3, 5", lines)
	}
}

// TestFindInFilesThatEndWithTheWindow has files whose last read finds nothing more.
func TestFindInFilesThatEndWithTheWindow(t *testing.T) {
	f, dir := open(t)
	for i, size := range []int{0, 512 << 10, 1 << 20, 1<<20 - 1, 1<<20 + 1} {
		mustWrite(t, fmt.Sprintf("%s/%d", dir, i), strings.Repeat("y", size))
	}
	for pattern, want := range map[string]int{"y": 4, "yy": 4, "x": 0, "xyz": 0} {
		if got := find(t, f, dir, pattern); len(got) != want {
			t.Errorf("%q was found %d times, want %d", pattern, len(got), want)
		}
	}
}

// TestFindAgreesWithAPlainSearch compares on random text, whose lines cross windows in all ways.
func TestFindAgreesWithAPlainSearch(t *testing.T) {
	f, dir := open(t)
	r := rand.New(rand.NewPCG(1, 2))
	for n := range 6 {
		var b strings.Builder
		for b.Len() < 2_000_000 {
			b.WriteString(strings.Repeat("ab", r.IntN(400*(n*n*n+1))))
			b.WriteString([]string{"\n", "\r\n", "xyz", "xy", "z\n"}[r.IntN(5)])
		}
		mustWrite(t, dir+"/f", b.String())
		var want []int
		for i, line := range strings.Split(b.String(), "\n") {
			if strings.Contains(line, "xyz") {
				want = append(want, i+1)
			}
		}
		var got []int
		for _, m := range find(t, f, dir, "xyz") {
			got = append(got, m.Line)
		}
		if !slices.Equal(got, want) {
			t.Errorf("round %d: %d lines, want %d", n, len(got), len(want))
		}
	}
}

// TestFindOfAnyTextAgreesWithAPlainSearch has texts whose rarest byte is at every place, and content in which it is not
// rare at all.
func TestFindOfAnyTextAgreesWithAPlainSearch(t *testing.T) {
	f, dir := open(t)
	r := rand.New(rand.NewPCG(3, 4))
	word := func(letters string, n int) string {
		b := make([]byte, n)
		for i := range b {
			b[i] = letters[r.IntN(len(letters))]
		}
		return string(b)
	}
	for _, letters := range []string{"eQ", " e", "QZ", "e\xff", "aeQ\x01é", "ee\n", "eQ\r\n"} {
		content := "first line\n" + word(letters, 20_000)
		mustWrite(t, dir+"/f", content)
		for n := range 60 {
			text := word(strings.Trim(letters, "\n"), 1+n/4)
			var want []int
			for i, line := range strings.Split(content, "\n") {
				if strings.Contains(strings.TrimSuffix(line, "\r"), text) {
					want = append(want, i+1)
				}
			}
			var got []int
			for _, m := range find(t, f, dir, text) {
				got = append(got, m.Line)
			}
			if !slices.Equal(got, want) {
				t.Errorf("%q in letters %q: lines %v, want %v", text, letters, got, want)
			}
		}
	}
}

func TestFindKeepsWalkingOrder(t *testing.T) {
	f, dir := open(t)
	for i := range 1000 {
		mustWrite(t, fmt.Sprintf("%s/%d/%d", dir, i%10, i), "needle\n")
	}
	var want []string
	_ = filepath.WalkDir(dir, func(p string, d os.DirEntry, _ error) error {
		if !d.IsDir() {
			want = append(want, p)
		}
		return nil
	})
	var got []string
	for _, m := range find(t, f, dir, "needle") {
		got = append(got, m.File)
	}
	if !slices.Equal(got, want) {
		t.Error("order differs from WalkDir's")
	}
	ctx, cancel := context.WithCancel(t.Context())
	n := 0
	err := f.Find(ctx, dir, "needle", func(workspace.Match) error {
		if n++; n == 10 {
			cancel()
		}
		return nil
	})
	if !errors.Is(err, context.Canceled) || n > 10 {
		t.Errorf("after the caller went: %d matches, %v", n, err)
	}
}
