package workspace

import (
	"errors"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// maxXattrs bounds the names and each value, in bytes; the kernel has the same bound.
const maxXattrs = 64 << 10

// copyXattrs gives the open file to the extended attributes of from, the access list among them, and takes others away
// that it got from its folder. Those of the kernel's security modules are left to these: file capabilities, too, end
// with any change of the content.
func copyXattrs(from, to int) error {
	want, err := xattrs(from)
	if err != nil {
		return err
	}
	have, err := xattrs(to)
	if err != nil {
		return err
	}
	for _, name := range have {
		if !slices.Contains(want, name) {
			if err := unix.Fremovexattr(to, name); err != nil {
				return err
			}
		}
	}
	if len(want) == 0 {
		return nil
	}
	value := make([]byte, maxXattrs)
	for _, name := range want {
		n, err := unix.Fgetxattr(from, name, value)
		if err == nil {
			err = unix.Fsetxattr(to, name, value[:n], 0)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// xattrs lists the names of the attributes that copyXattrs is about.
func xattrs(fd int) ([]string, error) {
	n, err := unix.Flistxattr(fd, nil)
	if n == 0 || errors.Is(err, unix.ENOTSUP) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	buf := make([]byte, maxXattrs)
	if n, err = unix.Flistxattr(fd, buf); err != nil {
		return nil, err
	}
	names := strings.Split(strings.TrimSuffix(string(buf[:n]), "\x00"), "\x00")
	return slices.DeleteFunc(names, func(name string) bool {
		return name == "" || strings.HasPrefix(name, "security.")
	}), nil
}
