package workspace_test

import (
	"os"
	"slices"
	"testing"

	"github.com/sandlot-dev/sandlot/internal/fault"
)

func TestSearchMatchesBaseNames(t *testing.T) {
	f, dir := open(t)
	for _, n := range []string{"a.go", "d.go/b.go", "d.go/c.txt", ".x.go", "e/a*b"} {
		mustWrite(t, dir+"/"+n, "")
	}
	_ = os.Symlink("d.go", dir+"/link.go")
	for _, tc := range []struct {
		root, pattern string
		want          []string
	}{
		{".", "*.go", []string{".x.go", "a.go", "d.go", "d.go/b.go", "link.go"}},
		{dir, "?.txt", []string{dir + "/d.go/c.txt"}},
		{"d.go", "*.go", []string{"d.go", "d.go/b.go"}},
		{"e", `a\*b`, []string{"e/a*b"}},
		{".", "[a-b].go", []string{"a.go", "d.go/b.go"}},
	} {
		var got []string
		if err := f.Search(t.Context(), tc.root, tc.pattern,
			func(p string) error { got = append(got, p); return nil }); err != nil || !slices.Equal(got, tc.want) {
			t.Errorf("Search(%q, %q) = %q, %v; want %q", tc.root, tc.pattern, got, err, tc.want)
		}
	}
	wantFault(t, "bad pattern", f.Search(t.Context(), ".", "[", nil), fault.Invalid, "")
	wantFault(t, "missing root", f.Search(t.Context(), "none", "*", nil), fault.NotFound, "FILE_NOT_FOUND")
	wantFault(t, "root below a file", f.Search(t.Context(), "a.go/x", "*", nil), fault.Invalid, "INVALID_FILE_PATH")
}
