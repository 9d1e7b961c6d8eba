package workspace_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/workspace"
)

func TestListDescribesAndDescends(t *testing.T) {
	f, dir := open(t)
	mustWrite(t, dir+"/b", "12345")
	mustWrite(t, dir+"/a/x/deep", "d")
	mustWrite(t, dir+"/a/.hidden", "")
	_ = os.Symlink("a", dir+"/toa")
	_ = os.Symlink("none", dir+"/dangling")
	_ = os.Symlink("..", dir+"/a/up")
	mustWrite(t, dir+"/new\nline", "")
	list := func(name string, depth int) (paths []string) {
		t.Helper()
		err := f.List(t.Context(), name, depth, func(i *workspace.Info) error {
			rel := strings.TrimPrefix(i.Path(), dir+"/")
			if i.Mode.IsDir() {
				rel += "/"
			}
			paths = append(paths, rel)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return paths
	}
	for _, tc := range []struct {
		name  string
		depth int
		want  []string
	}{
		{"", 1, []string{"a/", "b", "dangling", "new\nline", "toa/"}},
		{".", 2, []string{"a/", "a/.hidden", "a/up/", "a/x/", "b", "dangling", "new\nline", "toa/"}},
		{dir + "/", 99, []string{"a/", "a/.hidden", "a/up/", "a/x/", "a/x/deep", "b", "dangling", "new\nline", "toa/"}},
		{"a/x", 1, []string{"a/x/deep"}},
	} {
		if got := list(tc.name, tc.depth); !slices.Equal(got, tc.want) {
			t.Errorf("List(%q, %d) = %q, want %q", tc.name, tc.depth, got, tc.want)
		}
	}
	for _, tc := range []struct {
		name, code string
		kind       fault.Kind
	}{{"none", "FILE_NOT_FOUND", fault.NotFound}, {"b", "INVALID_FILE_PATH", fault.Invalid}, {
		"\x00", "INVALID_FILE_PATH",
		fault.Invalid,
	}} {
		wantFault(t, tc.name, f.List(t.Context(), tc.name, 1, nil), tc.kind, tc.code)
	}
	stop := errors.New("enough")
	if err := f.List(t.Context(), "", 9, func(*workspace.Info) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("List went on after its caller had enough: %v", err)
	}
}

// TestALookIntoAFolderThatCannotBeReadSaysSo where it is the one that was named; those below are passed over.
func TestALookIntoAFolderThatCannotBeReadSaysSo(t *testing.T) {
	f, dir := open(t)
	_ = os.Chmod(dir, 0o755)
	_ = os.Chmod(filepath.Dir(dir), 0o755)
	mustWrite(t, dir+"/closed/file", "needle")
	mustWrite(t, dir+"/open", "needle")
	_ = os.Chmod(dir+"/closed", 0)
	defer os.Chmod(dir+"/closed", 0o755)
	asUser(t, func() {
		names := func(root string) error { return f.Search(t.Context(), root, "*e*", func(string) error { return nil }) }
		wantFault(t, "search", names("closed"), fault.Forbidden, "FILE_ACCESS_DENIED")
		if err := names("."); err != nil {
			t.Errorf("search around it: %v", err)
		}
		if os.Geteuid() == 0 {
			return // find walks in a goroutine of its own, which asUser does not reach
		}
		text := func(root string) error {
			return f.Find(t.Context(), root, "needle", func(workspace.Match) error { return nil })
		}
		wantFault(t, "find", text("closed"), fault.Forbidden, "FILE_ACCESS_DENIED")
		if err := text("."); err != nil {
			t.Errorf("find around it: %v", err)
		}
	})
}
