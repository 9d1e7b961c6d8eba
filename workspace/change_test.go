package workspace_test

import (
	"fmt"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/workspace"
)

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
