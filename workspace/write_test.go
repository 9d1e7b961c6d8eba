package workspace_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/workspace"
)

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
