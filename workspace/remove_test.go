package workspace_test

import (
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/workspace"
)

// nest makes n folders inside each other below dir, with a file of the given content in the last.
func nest(t *testing.T, dir string, n int, content string) {
	t.Helper()
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY, 0)
	for range n {
		if err == nil {
			err = unix.Mkdirat(fd, "d", 0o755)
		}
		next, openErr := unix.Openat(fd, "d", unix.O_PATH|unix.O_DIRECTORY, 0)
		unix.Close(fd)
		fd, err = next, errors.Join(err, openErr)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if fd, err = unix.Openat(fd, "file", unix.O_CREAT|unix.O_WRONLY, 0o644); err == nil {
		_, err = unix.Write(fd, []byte(content))
		unix.Close(fd)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestFoldersDeeperThanPaths has a tree deeper than any path can lead: work on it ends, in little memory, and it can be
// deleted.
func TestFoldersDeeperThanPaths(t *testing.T) {
	f, dir := open(t)
	const depth = 3000
	mustWrite(t, dir+"/deep/z", "needle")
	nest(t, dir+"/deep", depth, "needle")
	defer func() {
		if err := f.Delete("deep", true); err != nil {
			t.Errorf("delete: %v", err)
		}
		if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
			t.Errorf("left: %v, %v", left, err)
		}
	}()
	longest, entries := 0, 0
	if err := f.List(t.Context(), "deep", 1<<30, func(i *workspace.Info) error {
		entries++
		longest = max(longest, len(i.Path()))
		return nil
	}); err != nil || longest > unix.PathMax+255 || entries < 1000 || entries > depth {
		t.Errorf("list: %d entries, the longest path has %d bytes, %v", entries, longest, err)
	}
	found := 0
	if err := f.Search(t.Context(), "deep", "[zd]", func(string) error { found++; return nil }); err != nil ||
		found < 1000 || found > depth {
		t.Errorf("search: %d, %v", found, err)
	}
	if got := find(t, f, dir, "needle"); len(got) != 1 {
		t.Errorf("find: %d, want the one that a path leads to", len(got))
	}
	other, err := os.MkdirTemp("/dev/shm", "deep") //nolint:usetesting // a second file system is the point
	if err != nil {
		return
	}
	defer os.RemoveAll(other)
	var a, b unix.Stat_t
	_, _ = unix.Stat(dir, &a), unix.Stat(other, &b)
	if a.Dev == b.Dev {
		return
	}
	err = f.Move("deep", other+"/deep")
	if wantFault(t, "move", err, fault.Invalid, "INVALID_FILE_PATH"); err != nil && len(err.Error()) > 10_000 {
		t.Errorf("the error has %d bytes", len(err.Error()))
	}
	if left, _ := os.ReadDir(other); len(left) > 0 {
		t.Errorf("a failed move left %v", left)
	}
}
