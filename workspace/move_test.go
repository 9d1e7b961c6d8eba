package workspace_test

import (
	"bytes"
	"errors"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sandlot-dev/sandlot/internal/fault"
)

func TestMove(t *testing.T) {
	f, dir := open(t)
	mustWrite(t, dir+"/a", "a")
	mustWrite(t, dir+"/b", "b")
	mustWrite(t, dir+"/d/x", "x")
	_ = os.Symlink("none", dir+"/link")
	wantFault(t, "taken", f.Move("a", "b"), fault.Conflict, "")
	wantFault(t, "taken by a folder", f.Move("a", "d"), fault.Conflict, "")
	wantFault(t, "missing", f.Move("none", "c"), fault.NotFound, "FILE_NOT_FOUND")
	wantFault(t, "no parent", f.Move("a", "none/c"), fault.NotFound, "FILE_NOT_FOUND")
	wantFault(t, "into itself", f.Move("d", "d/e"), fault.Invalid, "")
	for _, m := range [][2]string{{"a", "c"}, {"d", "e"}, {"link", "link2"}} {
		if err := f.Move(m[0], m[1]); err != nil {
			t.Error(err)
		}
	}
	wantContent(t, dir+"/c", "a")
	wantContent(t, dir+"/b", "b")
	wantContent(t, dir+"/e/x", "x")
	if to, _ := os.Readlink(dir + "/link2"); to != "none" {
		t.Errorf("link leads to %q", to)
	}
}

func TestMoveBetweenFileSystemsKeepsAll(t *testing.T) {
	f, dir := open(t)
	other, err := os.MkdirTemp("/dev/shm", "move") //nolint:usetesting // the second file system is the point
	if err != nil {
		t.Skip("no second file system")
	}
	defer os.RemoveAll(other)
	mustWrite(t, dir+"/d/sub/file", "content")
	_ = unix.Chmod(dir+"/d/sub/file", 0o2750)
	_ = os.Symlink("sub/file", dir+"/d/link")
	_ = os.Link(dir+"/d/sub/file", dir+"/d/twin")
	_ = unix.Mkfifo(dir+"/d/fifo", 0o600)
	list := acl([3]uint32{1, 7, 1<<32 - 1}, [3]uint32{2, 4, 1234}, [3]uint32{4, 5, 1<<32 - 1}, [3]uint32{16, 5, 1<<32 - 1},
		[3]uint32{32, 0, 1<<32 - 1})
	_ = unix.Setxattr(dir+"/d/sub/file", "system.posix_acl_access", list, 0)
	_ = unix.Setxattr(dir+"/d/sub", "system.posix_acl_default", list, 0)
	_ = unix.Chmod(dir+"/d/sub/file", 0o2750)
	when := time.Unix(1_600_000_000, 5000)
	_ = os.Chtimes(dir+"/d/sub/file", when, when)
	_ = os.Chtimes(dir+"/d/sub", when, when)
	var a, b, link unix.Stat_t
	_ = unix.Stat(dir, &a)
	_ = unix.Stat(other, &b)
	if a.Dev == b.Dev {
		t.Skip("no second file system")
	}
	mustWrite(t, other+"/taken", "")
	wantFault(t, "taken", f.Move("d", other+"/taken"), fault.Conflict, "")
	if err := f.Move("d", other+"/d"); err != nil {
		t.Fatal(err)
	}
	wantContent(t, other+"/d/link", "content")
	_ = unix.Stat(other+"/d/sub/file", &a)
	_ = unix.Stat(other+"/d/twin", &b)
	_ = unix.Lstat(other+"/d/link", &link)
	if a.Ino != b.Ino || a.Mode&0o7777 != 0o2750 || a.Mtim.Nano() != when.UnixNano() ||
		link.Mode&unix.S_IFMT != unix.S_IFLNK {
		t.Errorf("not as it was: %+v", a)
	}
	_ = unix.Stat(other+"/d/sub", &a)
	_ = unix.Stat(other+"/d/fifo", &b)
	if a.Mtim.Nano() != when.UnixNano() || b.Mode != unix.S_IFIFO|0o600 {
		t.Errorf("folder's time or FIFO differ: %+v %+v", a, b)
	}
	for name, attr := range map[string]string{
		"/d/sub/file": "system.posix_acl_access",
		"/d/sub":      "system.posix_acl_default",
	} {
		value := make([]byte, 100)
		if n, err := unix.Getxattr(other+name, attr, value); (err != nil || !bytes.Equal(value[:n], list)) &&
			!errors.Is(err, unix.ENOTSUP) {
			t.Errorf("%s: access list %x, %v", name, value[:max(n, 0)], err)
		}
	}
	if _, err := os.Lstat(dir + "/d"); err == nil {
		t.Error("the source is still there")
	}
	noTemps(t, other)
}

func TestMoveFromAReadOnlyFileSystemCopiesNothing(t *testing.T) {
	f, dir := open(t)
	_ = os.MkdirAll(dir+"/ro", 0o755)
	if err := unix.Mount("tmpfs", dir+"/ro", "tmpfs", 0, ""); err != nil {
		t.Skipf("no file system of its own: %v", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir+"/ro", unix.MNT_DETACH) })
	mustWrite(t, dir+"/ro/file", "kept")
	if err := unix.Mount("", dir+"/ro", "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Skip(err)
	}
	wantFault(t, "move", f.Move("ro/file", "file"), fault.Forbidden, "FILE_ACCESS_DENIED")
	wantContent(t, dir+"/ro/file", "kept")
	if left, _ := os.ReadDir(dir); len(left) != 1 {
		t.Errorf("left: %v", left)
	}
}
