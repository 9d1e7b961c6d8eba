package workspace_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/workspace"
)

func open(t *testing.T) (*workspace.Files, string) {
	t.Helper()
	dir := t.TempDir()
	f, err := workspace.New(dir)
	if err != nil {
		t.Fatal(err)
	}
	return f, dir
}

// pieces is a Source; fail is what it returns after them instead of an end.
type pieces struct {
	rest [][]byte
	fail error
}

func (p *pieces) Next() ([]byte, bool, error) {
	if len(p.rest) == 0 {
		return nil, true, p.fail
	}
	piece := p.rest[0]
	p.rest = p.rest[1:]
	return piece, len(p.rest) == 0 && p.fail == nil, nil
}

func text(s ...string) *pieces {
	p := &pieces{}
	for _, piece := range s {
		p.rest = append(p.rest, []byte(piece))
	}
	return p
}

func mustWrite(t *testing.T, name, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func wantContent(t *testing.T, name, want string) {
	t.Helper()
	got, err := os.ReadFile(name)
	if err != nil || string(got) != want {
		t.Errorf("%s holds %.80q, %v; want %.80q", name, got, err, want)
	}
}

func wantFault(t *testing.T, what string, err error, kind fault.Kind, code string) {
	t.Helper()
	if fault.KindOf(err) != kind || fault.CodeOf(err) != code {
		t.Errorf("%s: %v (%v, %q); want %v, %q", what, err, fault.KindOf(err), fault.CodeOf(err), kind, code)
	}
}

func noTemps(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), workspace.TempPrefix) {
			t.Errorf("temporary file %s was left", e.Name())
		}
	}
}

// asUser runs do with the file rights of a plain user, on one thread.
func asUser(t *testing.T, do func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		do()
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		if err := unix.Setfsgid(65534); err != nil {
			t.Error(err)
		}
		if err := unix.Setfsuid(65534); err != nil {
			t.Error(err)
		}
		do()
	}()
	<-done
}

func TestWriteMakesWhatIsAsked(t *testing.T) {
	f, dir := open(t)
	long := strings.Repeat("n", 255)
	for _, tc := range []struct{ name, path, content string }{
		{"new file", "a", "hello"},
		{"parents", "p/q/r", "x"},
		{"empty", "empty", ""},
		{"over another", "a", "bye"},
		{"dots", "p/../b", "y"},
		{"name with newline", "new\nline", "n"},
		{"unicode", "日本/ü", "u"},
		{"bytes that are not UTF-8", "\xff\xfe", "b"},
		{"longest name", long, "l"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			n, err := f.Write(tc.path, text(tc.content))
			if err != nil || n != int64(len(tc.content)) {
				t.Fatalf("Write = %d, %v", n, err)
			}
			wantContent(t, dir+"/"+tc.path, tc.content)
			noTemps(t, dir)
		})
	}
	if _, err := f.Write(dir+"/abs", text("1", "", "23")); err != nil {
		t.Fatal(err)
	}
	wantContent(t, dir+"/abs", "123")
}

func TestWriteTakesTheLongestPath(t *testing.T) {
	f, dir := open(t)
	name := dir
	for len(name) < 4000 {
		name += "/" + strings.Repeat("d", min(200, 4093-len(name)))
	}
	name += "/" + strings.Repeat("f", 4095-len(name)-1)
	if len(name) != 4095 {
		t.Fatalf("path of %d bytes", len(name))
	}
	for range 2 { // new, then over it by a temporary name, which must not lengthen the path
		if _, err := f.Write(name, text("a", "b")); err != nil {
			t.Fatal(err)
		}
	}
	file, _, err := f.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	file.Close()
	_, err = f.Write(name+"f", text("a"))
	wantFault(t, "4096 bytes", err, fault.Invalid, "INVALID_FILE_PATH")
}

func TestWriteKeepsModeOwnerAndLinks(t *testing.T) {
	f, dir := open(t)
	file := dir + "/file"
	mustWrite(t, file, "old")
	if err := os.Chmod(file, 0o4751); err != nil && os.Geteuid() == 0 {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 {
		_ = os.Chown(file, 1234, 5678)
	}
	_ = unix.Chmod(file, 0o4751)
	_ = os.Symlink("file", dir+"/link")
	_ = os.Symlink(dir+"/link", dir+"/link2")
	_ = os.Symlink("sub/new", dir+"/dangling")
	_ = os.Mkdir(dir+"/sub", 0o755)
	for _, name := range []string{"file", "link", "link2"} {
		if _, err := f.Write(name, text("by ", name)); err != nil {
			t.Fatal(err)
		}
		wantContent(t, file, "by "+name)
	}
	var st unix.Stat_t
	_ = unix.Stat(file, &st)
	if st.Mode&0o7777 != 0o4751 || os.Geteuid() == 0 && (st.Uid != 1234 || st.Gid != 5678) {
		t.Errorf("mode %o, owner %d:%d; want 4751, 1234:5678", st.Mode&0o7777, st.Uid, st.Gid)
	}
	if to, err := os.Readlink(dir + "/link2"); err != nil || to != dir+"/link" {
		t.Errorf("link became %q, %v", to, err)
	}
	if _, err := f.Write("dangling", text("d")); err != nil {
		t.Fatal(err)
	}
	wantContent(t, dir+"/sub/new", "d")
	_ = os.Link(file, dir+"/twin")
	if _, err := f.Write("twin", text("t", "w")); err != nil {
		t.Fatal(err)
	}
	wantContent(t, file, "tw") // both names still mean one file
	noTemps(t, dir)
}

// acl is the kernel's form of an access list: version 2, then tag, permissions and id of each entry.
func acl(entries ...[3]uint32) []byte {
	b := []byte{2, 0, 0, 0}
	for _, e := range entries {
		b = binary.LittleEndian.AppendUint16(b, uint16(e[0]))
		b = binary.LittleEndian.AppendUint16(b, uint16(e[1]))
		b = binary.LittleEndian.AppendUint32(b, e[2])
	}
	return b
}

func TestChangesKeepExtendedAttributesAndAccessLists(t *testing.T) {
	f, dir := open(t)
	const none = ^uint32(0)
	list := acl([3]uint32{1, 6, none}, [3]uint32{2, 4, 1234}, [3]uint32{4, 4, none}, [3]uint32{16, 4, none},
		[3]uint32{32, 0, none})
	file, plain := dir+"/file", dir+"/plain"
	mustWrite(t, file, "old")
	mustWrite(t, plain, "old")
	if err := unix.Setxattr(file, "user.note", []byte("kept\x00"), 0); err != nil {
		t.Skipf("no extended attributes here: %v", err)
	}
	if err := unix.Setxattr(file, "system.posix_acl_access", list, 0); err != nil {
		t.Skipf("no access lists here: %v", err)
	}
	if err := unix.Setxattr(dir, "system.posix_acl_default", list, 0); err != nil {
		t.Fatal(err)
	}
	before, _ := os.Stat(plain)
	for _, change := range []func(name string) error{
		func(name string) error { _, err := f.Write(name, text("new")); return err },
		func(name string) error { _, err := f.Write(name, text("n", "ew")); return err },
		func(name string) error {
			results, err := f.Replace(t.Context(), []string{name}, "new", "newer")
			return errors.Join(err, results[0].Err)
		},
	} {
		for _, name := range []string{file, plain} {
			if err := change(name); err != nil {
				t.Fatal(err)
			}
		}
		value := make([]byte, 100)
		if n, err := unix.Getxattr(file, "user.note", value); err != nil || string(value[:n]) != "kept\x00" {
			t.Errorf("attribute %q, %v", value[:max(n, 0)], err)
		}
		if n, err := unix.Getxattr(file, "system.posix_acl_access", value); err != nil || !bytes.Equal(value[:n], list) {
			t.Errorf("access list %x, %v; want %x", value[:max(n, 0)], err, list)
		}
		if n, err := unix.Getxattr(plain, "system.posix_acl_access", value); !errors.Is(err, unix.ENODATA) {
			t.Errorf("a file without an access list got its folder's: %x, %v", value[:max(n, 0)], err)
		}
		if after, _ := os.Stat(plain); after.Mode() != before.Mode() {
			t.Errorf("mode became %v, was %v", after.Mode(), before.Mode())
		}
	}
	wantContent(t, file, "newer")
	noTemps(t, dir)
}

// TestWriteOfAnUnreadableFileKeepsIt has a file whose attributes the writer may not see, so that it is written in
// place.
func TestWriteOfAnUnreadableFileKeepsIt(t *testing.T) {
	f, dir := open(t)
	_ = os.Chmod(dir, 0o777)
	_ = os.Chmod(filepath.Dir(dir), 0o755)
	asUser(t, func() {
		mustWrite(t, dir+"/file", "old content")
		_ = os.Chmod(dir+"/file", 0o222)
		before, _ := os.Stat(dir + "/file")
		if _, err := f.Write("file", text("n", "ew")); err != nil {
			t.Error(err)
		}
		after, _ := os.Stat(dir + "/file")
		if !os.SameFile(before, after) || after.Mode() != before.Mode() {
			t.Errorf("%v became %v", before.Mode(), after.Mode())
		}
		_ = os.Chmod(dir+"/file", 0o644)
	})
	wantContent(t, dir+"/file", "new")
	noTemps(t, dir)
}

func TestWriteRefuses(t *testing.T) {
	f, dir := open(t)
	mustWrite(t, dir+"/file", "x")
	_ = unix.Mkfifo(dir+"/fifo", 0o644)
	_ = os.Symlink("loop2", dir+"/loop1")
	_ = os.Symlink("loop1", dir+"/loop2")
	_ = os.Symlink("fifo", dir+"/tofifo")
	_ = os.Symlink("none/at/all", dir+"/nowhere")
	_ = os.Mkdir(dir+"/dir", 0o755)
	for _, tc := range []struct {
		path string
		kind fault.Kind
		code string
	}{
		{"", fault.Invalid, "INVALID_FILE_PATH"},
		{"a\x00b", fault.Invalid, "INVALID_FILE_PATH"},
		{"dir", fault.Invalid, "INVALID_FILE_PATH"},
		{"dir/", fault.Invalid, "INVALID_FILE_PATH"},
		{"new/", fault.Invalid, "INVALID_FILE_PATH"},
		{"/", fault.Invalid, "INVALID_FILE_PATH"},
		{"file/x", fault.Invalid, "INVALID_FILE_PATH"},
		{"fifo", fault.Invalid, "INVALID_FILE_PATH"},
		{"tofifo", fault.Invalid, "INVALID_FILE_PATH"},
		{"/dev/null", fault.Invalid, "INVALID_FILE_PATH"},
		{"loop1", fault.Invalid, "INVALID_FILE_PATH"},
		{"loop1/x", fault.Invalid, "INVALID_FILE_PATH"},
		{"nowhere/x", fault.Invalid, "INVALID_FILE_PATH"},
		{strings.Repeat("n", 256), fault.Invalid, "INVALID_FILE_PATH"},
	} {
		t.Run(fmt.Sprintf("%.20q", tc.path), func(t *testing.T) {
			_, err := f.Write(tc.path, text("new"))
			wantFault(t, "Write", err, tc.kind, tc.code)
		})
	}
	wantContent(t, dir+"/file", "x")
	for _, name := range []string{"fifo", "tofifo", "dir", "/dev/null", "loop1"} {
		_, _, err := f.Open(name)
		wantFault(t, "Open "+name, err, fault.Invalid, "INVALID_FILE_PATH")
	}
	_, _, err := f.Open("none")
	wantFault(t, "Open none", err, fault.NotFound, "FILE_NOT_FOUND")
}

func TestKernelFilesAreReadWhole(t *testing.T) {
	f, dir := open(t)
	mustWrite(t, dir+"/empty", "")
	for _, name := range []string{
		"/proc/self/status", "/proc/version", "/sys/kernel/mm/transparent_hugepage/enabled",
		dir + "/empty",
	} {
		want, err := os.ReadFile(name)
		if err != nil {
			continue
		}
		file, info, err := f.Open(name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got, err := io.ReadAll(file)
		file.Close()
		if err != nil || info.Size != int64(len(got)) || name != "/proc/self/status" && !bytes.Equal(got, want) ||
			len(got) == 0 != (len(want) == 0) {
			t.Errorf("%s: %d bytes, said to be %d, want %d; %v", name, len(got), info.Size, len(want), err)
		}
	}
}

func TestCutUploadChangesNothing(t *testing.T) {
	f, dir := open(t)
	mustWrite(t, dir+"/old", "old")
	mustWrite(t, dir+"/twins", "old")
	_ = os.Mkdir(dir+"/sub", 0o755)
	_ = os.Link(dir+"/twins", dir+"/sub/twin")
	gone := errors.New("gone")
	for _, name := range []string{"old", "new", "sub/new", "twins"} {
		for _, sent := range [][][]byte{nil, {[]byte("ab")}, {[]byte("ab"), []byte("c")}} {
			_, err := f.Write(name, &pieces{sent, gone})
			if !errors.Is(err, workspace.ErrCut) || !strings.Contains(err.Error(), "gone") {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	wantContent(t, dir+"/old", "old")
	wantContent(t, dir+"/twins", "old")
	if _, err := os.Stat(dir + "/new"); err == nil {
		t.Error("a part of the new file is there")
	}
	noTemps(t, dir)
}

func TestFullDiskLeavesNoHalfFile(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root for a small file system")
	}
	f, dir := open(t)
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=256k"); err != nil {
		t.Skipf("no small file system: %v", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	mustWrite(t, dir+"/old", "old")
	big := bytes.Repeat([]byte("x"), 200<<10)
	for _, name := range []string{"old", "new"} {
		_, err := f.Write(name, &pieces{rest: [][]byte{big, big}})
		wantFault(t, name, err, fault.Full, "DISK_FULL")
		_, err = f.Write(name, &pieces{rest: [][]byte{append(big, big...)}})
		wantFault(t, name+" at once", err, fault.Full, "DISK_FULL")
	}
	_ = os.Link(dir+"/old", dir+"/twin") // which means writing in place
	almost := bytes.Repeat([]byte("x"), 150<<10)
	_, err := f.Write("old", &pieces{rest: [][]byte{almost}})
	wantFault(t, "in place", err, fault.Full, "DISK_FULL")
	_ = os.Remove(dir + "/twin")
	wantContent(t, dir+"/old", "old")
	if entries, _ := os.ReadDir(dir); len(entries) != 1 {
		t.Errorf("left: %v", entries)
	}
}

func TestWriteFallsBackToInPlace(t *testing.T) {
	f, dir := open(t)
	_ = os.Chmod(dir, 0o755)
	_ = os.Chmod(filepath.Dir(dir), 0o755)
	closed := dir + "/closed"
	mustWrite(t, closed+"/file", "a longer old content")
	mustWrite(t, closed+"/readonly", "ro")
	_ = os.Chmod(closed+"/file", 0o666)
	_ = os.Chmod(closed+"/readonly", 0o444)
	_ = os.Chmod(closed, 0o555)
	defer os.Chmod(closed, 0o755)
	asUser(t, func() {
		if _, err := f.Write("closed/file", text("in ", "place")); err != nil {
			t.Error(err)
		}
		_, err := f.Write("closed/new", text("x"))
		wantFault(t, "new file", err, fault.Forbidden, "FILE_ACCESS_DENIED")
		_, err = f.Write("closed/readonly", text("x"))
		wantFault(t, "file without write right", err, fault.Forbidden, "FILE_ACCESS_DENIED")
		_, err = f.Write("closed/file", &pieces{[][]byte{[]byte("half")}, errors.New("gone")})
		if err == nil || !strings.Contains(err.Error(), "first 4 bytes") {
			t.Errorf("a cut in place is told as %v", err)
		}
	})
	wantContent(t, closed+"/file", "half")
	wantContent(t, closed+"/readonly", "ro")
	if os.Geteuid() != 0 {
		return
	}
	mustWrite(t, dir+"/real", "real")
	mustWrite(t, dir+"/mounted", "hidden")
	if err := unix.Mount(dir+"/real", dir+"/mounted", "", unix.MS_BIND, ""); err != nil {
		t.Skipf("no bind mount: %v", err)
	}
	defer unix.Unmount(dir+"/mounted", unix.MNT_DETACH)
	if _, err := f.Write("mounted", text("through ", "the mount")); err != nil {
		t.Fatal(err)
	}
	wantContent(t, dir+"/real", "through the mount")
	noTemps(t, dir)
}

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

func TestStatTellsAllFields(t *testing.T) {
	f, dir := open(t)
	mustWrite(t, dir+"/file", "12345")
	_ = os.Symlink("file", dir+"/link")
	_ = os.Symlink("none", dir+"/dangling")
	when := time.Unix(1_700_000_000, 123456789)
	_ = os.Chtimes(dir+"/file", when, when)
	_ = unix.Chmod(dir+"/file", 0o6640)
	for _, name := range []string{"file", "link", "./file", dir + "/file"} {
		i, err := f.Stat(name)
		want, _ := os.Stat(dir + "/file")
		if err != nil || i.Size != 5 || i.Mode != want.Mode() || !i.ModTime.Equal(when) || i.Name != filepath.Base(name) ||
			i.Path() != dir+"/"+i.Name {
			t.Errorf("Stat(%q) = %+v, %v", name, i, err)
		}
	}
	for _, name := range []string{"/dev/null", "/tmp", "/"} {
		i, err := f.Stat(name)
		want, _ := os.Stat(name)
		if err != nil || i.Mode != want.Mode() || i.Path() != name {
			t.Errorf("Stat(%q) = %+v, %v; want mode %v", name, i, err, want.Mode())
		}
	}
	_, err := f.Stat("dangling")
	wantFault(t, "dangling", err, fault.NotFound, "FILE_NOT_FOUND")
}

func TestMakeFolder(t *testing.T) {
	f, dir := open(t)
	mustWrite(t, dir+"/file", "")
	for _, tc := range []struct {
		path string
		mode uint32
	}{{"a", 0o777}, {"b/c/d/", 0o700}, {"b/c", 0o755}, {"b/../e", 0o2750}} {
		if err := f.MakeFolder(tc.path, tc.mode); err != nil {
			t.Errorf("%s: %v", tc.path, err)
		}
	}
	for name, want := range map[string]os.FileMode{"a": 0o777, "b/c/d": 0o700, "b/c": 0o700, "e": 0o750} {
		if st, err := os.Stat(dir + "/" + name); err != nil || st.Mode().Perm() != want {
			t.Errorf("%s: %v, %v; want %o", name, st, err, want)
		}
	}
	wantFault(t, "file", f.MakeFolder("file", 0o755), fault.Invalid, "INVALID_FILE_PATH")
	wantFault(t, "below file", f.MakeFolder("file/x", 0o755), fault.Invalid, "INVALID_FILE_PATH")
	if err := f.MakeFolder("/", 0o755); err != nil {
		t.Errorf("the root exists already: %v", err)
	}
}

func TestDelete(t *testing.T) {
	f, dir := open(t)
	mustWrite(t, dir+"/d/file", "")
	mustWrite(t, dir+"/file", "")
	_ = os.Symlink("d", dir+"/link")
	_ = os.Symlink("none", dir+"/dangling")
	wantFault(t, "folder", f.Delete("d", false), fault.Invalid, "")
	wantFault(t, "missing", f.Delete("none", true), fault.NotFound, "FILE_NOT_FOUND")
	wantFault(t, "root", f.Delete("/", true), fault.Invalid, "INVALID_FILE_PATH")
	wantFault(t, "root in disguise", f.Delete("//./", true), fault.Invalid, "INVALID_FILE_PATH")
	for _, name := range []string{"link/", "dangling", "file"} {
		if err := f.Delete(name, false); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	wantContent(t, dir+"/d/file", "")
	if err := f.Delete("d", true); err != nil {
		t.Error(err)
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 0 {
		t.Errorf("left: %v", entries)
	}
}

func TestDeleteRefusesDots(t *testing.T) {
	f, dir := open(t)
	mustWrite(t, dir+"/a/b/c", "kept")
	for _, name := range []string{"a/b/..", "a/b/../", "a/../a/b/../.", dir + "/a/b/../..", ".."} {
		wantFault(t, name, f.Delete(name, true), fault.Invalid, "INVALID_FILE_PATH")
	}
	wantContent(t, dir+"/a/b/c", "kept")
	if err := f.Delete("a/../a/b", true); err != nil {
		t.Error(err)
	}
}

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

func TestSetPermissions(t *testing.T) {
	f, dir := open(t)
	mustWrite(t, dir+"/file", "")
	mode := uint32(0o1751)
	if err := f.SetPermissions("file", workspace.Permissions{Mode: &mode}); err != nil {
		t.Fatal(err)
	}
	if err := f.SetPermissions("file", workspace.Permissions{}); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 {
		if err := f.SetPermissions("file", workspace.Permissions{Owner: "daemon", Group: "4321"}); err != nil {
			t.Fatal(err)
		}
		var st unix.Stat_t
		_ = unix.Stat(dir+"/file", &st)
		if st.Mode&0o7777 != 0o1751 || st.Uid != 1 || st.Gid != 4321 {
			t.Errorf("%o %d:%d", st.Mode&0o7777, st.Uid, st.Gid)
		}
	}
	for _, p := range []workspace.Permissions{
		{Owner: "nobody-such"},
		{Group: "-1"},
		{Owner: "4294967295"},
		{Owner: "99999999999"},
	} {
		wantFault(t, fmt.Sprint(p), f.SetPermissions("file", p), fault.Invalid, "")
	}
	wantFault(t, "missing", f.SetPermissions("none", workspace.Permissions{Mode: &mode}), fault.NotFound, "FILE_NOT_FOUND")
}

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

func TestADeletedWorkingFolderIsTold(t *testing.T) {
	dir := t.TempDir() + "/work"
	f, err := workspace.New(dir)
	if err != nil {
		t.Fatal(err)
	}
	_, _, openErr := f.Open("a")
	_, statErr := f.Stat("a")
	results, _ := f.Replace(t.Context(), []string{"a"}, "x", "y")
	_, watchErr := workspace.NewManager(f).Watch("", false, "")
	for what, err := range map[string]error{
		"list": f.List(t.Context(), "", 1, func(*workspace.Info) error { return nil }), "open": openErr, "info": statErr,
		"replace": results[0].Err,
		"delete":  f.Delete("a", true), "move": f.Move("a", "b"),
		"permissions": f.SetPermissions("a", workspace.Permissions{}), "watch": watchErr,
	} {
		wantFault(t, what, err, fault.NotFound, "FILE_NOT_FOUND")
		if !strings.Contains(err.Error(), "the working folder "+dir+" itself is gone") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := f.Stat(dir + "/a"); err == nil || strings.Contains(err.Error(), "working folder") {
		t.Errorf("an absolute path: %v", err)
	}
	if _, err := f.Write("sub/a", text("back")); err != nil { // makes it again
		t.Fatal(err)
	}
	wantContent(t, dir+"/sub/a", "back")
	if _, err := f.Stat("none"); err == nil || strings.Contains(err.Error(), "working folder") {
		t.Errorf("after it is back: %v", err)
	}
}

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

func TestReplace(t *testing.T) {
	f, dir := open(t)
	var names []string
	for i := range 20 {
		names = append(names, fmt.Sprint("f", i))
		mustWrite(t, dir+"/"+names[i], "old and old")
	}
	_ = unix.Chmod(dir+"/f3", 0o751)
	mustWrite(t, dir+"/f4", "nothing")
	_ = os.Remove(dir + "/f5")
	_ = os.Remove(dir + "/f6")
	_ = os.Symlink("f7", dir+"/f6")
	_ = os.Remove(dir + "/f8")
	_ = os.Mkdir(dir+"/f8", 0o755)
	mustWrite(t, dir+"/f9", "\x00\xffold\x00")
	var before, after unix.Stat_t
	_ = unix.Stat(dir+"/f4", &before)
	got, err := f.Replace(t.Context(), names, "old", "new")
	if err != nil || len(got) != len(names) {
		t.Fatalf("%d results, %v", len(got), err)
	}
	for i, r := range got {
		if r.File != names[i] || (r.Err != nil) != (i == 5 || i == 8) {
			t.Errorf("%d: %+v", i, r)
		}
	}
	_ = unix.Stat(dir+"/f4", &after)
	if before.Ino != after.Ino || before.Ctim != after.Ctim {
		t.Error("a file without the text was touched")
	}
	wantContent(t, dir+"/f0", "new and new")
	wantContent(t, dir+"/f7", "new and new")
	wantContent(t, dir+"/f9", "\x00\xffnew\x00")
	if st, _ := os.Stat(dir + "/f3"); st.Mode().Perm() != 0o751 {
		t.Errorf("mode became %v", st.Mode())
	}
	if got, err := f.Replace(t.Context(), []string{"f0", "f0"}, "new", "newnew"); err != nil || got[1].Err != nil {
		t.Fatal(got, err)
	}
	wantContent(t, dir+"/f0", "newnewnewnew and newnewnewnew")
	_, err = f.Replace(t.Context(), nil, "", "x")
	wantFault(t, "empty pattern", err, fault.Invalid, "")
	noTemps(t, dir)
}

// TestReplaceInFilesWithSeveralNames has workers meet the same file, which is written in place.
func TestReplaceInFilesWithSeveralNames(t *testing.T) {
	f, dir := open(t)
	fill := strings.Repeat("0123456789abcdef", 64<<10)
	mustWrite(t, dir+"/0", "one "+fill+" one")
	names := []string{"0"}
	for i := 1; i < 16; i++ {
		names = append(names, fmt.Sprint(i))
		if err := os.Link(dir+"/0", dir+"/"+names[i]); err != nil {
			t.Fatal(err)
		}
	}
	words := [2]string{"one", "three"}
	for n := range 10 {
		from, to := words[n%2], words[(n+1)%2]
		results, err := f.Replace(t.Context(), names, from, to)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range results {
			if r.Err != nil {
				t.Error(r.Err)
			}
		}
		if data, err := os.ReadFile(dir + "/15"); err != nil || string(data) != to+" "+fill+" "+to {
			t.Fatalf("round %d: %d bytes that begin with %.10q, %v", n, len(data), data, err)
		}
	}
	noTemps(t, dir)
}

func TestReplaceInLargeFiles(t *testing.T) {
	f, dir := open(t)
	r := rand.New(rand.NewPCG(3, 4))
	var b strings.Builder
	for b.Len() < 3_000_000 {
		b.WriteString(strings.Repeat("ne", r.IntN(300)) + "need" + "need"[:r.IntN(4)])
	}
	content := b.String()
	for _, p := range [][2]string{
		{"need", "x"},
		{"en", ""},
		{"nn", "longer than before"},
		{"n", strings.Repeat("z", 100)},
		{strings.Repeat("ne", 250), "Q"},
	} {
		mustWrite(t, dir+"/big", content)
		if got, err := f.Replace(t.Context(), []string{"big"}, p[0], p[1]); err != nil || got[0].Err != nil {
			t.Fatal(got, err)
		}
		now, _ := os.ReadFile(dir + "/big")
		if string(now) != strings.ReplaceAll(content, p[0], p[1]) {
			t.Errorf("replacing %.10q by %.10q went wrong", p[0], p[1])
		}
	}
}

// leaving is a context that ends when it has been asked for its end a few times.
type leaving struct {
	context.Context //nolint:containedctx // it is one
	after           atomic.Int32
}

func (l *leaving) Err() error {
	if l.after.Add(-1) < 0 {
		return context.Canceled
	}
	return nil
}

// TestReplaceEndsWithItsCaller in the middle of a file, which stays as it was.
func TestReplaceEndsWithItsCaller(t *testing.T) {
	f, dir := open(t)
	content := strings.Repeat("0123456789abcdef", 256<<10)
	for what, edge := range map[string]string{"while it looks for the text": "", "while it writes": "text"} {
		mustWrite(t, dir+"/big", edge+content+"text")
		ctx := &leaving{Context: t.Context()}
		ctx.after.Store(4) // the file has 9 windows
		results, err := f.Replace(ctx, []string{"big", "other"}, "text", "word")
		if err != nil || !errors.Is(results[0].Err, context.Canceled) || !errors.Is(results[1].Err, context.Canceled) {
			t.Errorf("%s: %v %v", what, results, err)
		}
		wantContent(t, dir+"/big", edge+content+"text")
		noTemps(t, dir)
	}
}

// TestReplaceInPlaceLosesNothing in a folder that takes no temporary file, whatever the file's length and whoever
// leaves.
func TestReplaceInPlaceLosesNothing(t *testing.T) {
	f, dir := open(t)
	_ = os.Chmod(dir, 0o755)
	_ = os.Chmod(filepath.Dir(dir), 0o755)
	closed := dir + "/closed"
	content := "text" + strings.Repeat("0123456789abcdef", 256<<10) + "text"
	mustWrite(t, closed+"/file", content)
	_ = os.Chmod(closed+"/file", 0o666)
	_ = os.Chmod(closed, 0o555)
	defer os.Chmod(closed, 0o755)
	replace := func(ctx context.Context, text, with string) (err error) {
		asUser(t, func() {
			var results []workspace.Replaced
			if results, err = f.Replace(ctx, []string{"closed/file"}, text, with); err == nil {
				err = results[0].Err
			}
		})
		return err
	}
	for _, with := range []string{"longer than before", "text", ""} {
		before, _ := os.ReadFile(closed + "/file")
		if err := replace(t.Context(), "text", with); err != nil {
			t.Fatal(err)
		}
		wantContent(t, closed+"/file", strings.ReplaceAll(string(before), "text", with))
		mustRewrite(t, closed+"/file", content)
	}
	ctx := &leaving{Context: t.Context()}
	ctx.after.Store(4)
	if err := replace(ctx, "text", "word"); !errors.Is(err, context.Canceled) {
		t.Errorf("its caller left: %v", err)
	}
	wantContent(t, closed+"/file", content)
}

// mustRewrite gives a file that there is its content again.
func mustRewrite(t *testing.T, name, content string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(content), 0o666); err != nil {
		t.Fatal(err)
	}
}

// FuzzPath holds that no path crashes, blocks or writes outside of what it names.
func FuzzPath(f *testing.F) {
	for _, s := range []string{"a", "../x", "a/../..//b/", "\x00", "fifo", "link/x", strings.Repeat("a/", 3000), "."} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		dir := t.TempDir()
		root := dir + "/root/in/side"
		_ = os.MkdirAll(root, 0o755)
		files, _ := workspace.New(root)
		_ = unix.Mkfifo(root+"/fifo", 0o644)
		_ = os.Symlink(".", root+"/link")
		if strings.HasPrefix(name, "/") || strings.Count(name, "..") > 2 {
			return
		}
		_, err := files.Write(name, text("content"))
		file, _, oerr := files.Open(name)
		if (err == nil) != (oerr == nil) {
			t.Fatalf("%q: written %v, read %v", name, err, oerr)
		}
		if err != nil && fault.KindOf(err) == fault.Unknown {
			t.Fatalf("%q: untyped %v", name, err)
		}
		if oerr == nil {
			got, _ := io.ReadAll(file)
			file.Close()
			if string(got) != "content" {
				t.Fatalf("%q holds %q", name, got)
			}
		}
		_, _ = files.Stat(name)
		_ = files.List(t.Context(), name, 2, func(*workspace.Info) error { return nil })
		_ = files.Find(t.Context(), name, "content", func(workspace.Match) error { return nil })
		_ = files.Move(name, "other")
	})
}
