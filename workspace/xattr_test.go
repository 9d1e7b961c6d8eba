package workspace_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

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
