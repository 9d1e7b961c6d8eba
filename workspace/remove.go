package workspace

import (
	"errors"
	"path"

	"golang.org/x/sys/unix"

	"github.com/sandlot-dev/sandlot/internal/linux"
)

// removeTree removes the folder at abs with all that it holds, however deep. If something cannot be removed, all the
// rest is removed nevertheless.
func removeTree(abs string) error {
	dir, name := path.Split(abs)
	if dir == "" {
		dir = "."
	}
	parent, err := linux.RetryValue(func() (int, error) { return unix.Openat(unix.AT_FDCWD, dir, pathDir, 0) })
	if err != nil {
		return err
	}
	defer unix.Close(parent)
	top, err := openDir(parent, name, unix.O_NOFOLLOW)
	if err != nil {
		if linux.Retry(func() error { return unix.Unlinkat(parent, name, unix.AT_REMOVEDIR) }) == nil {
			return nil // one that is empty need not be read
		}
		return err
	}
	defer unix.Close(top)
	r := remover{top: top}
	for again := 3; again > 0; again-- { // again when somebody adds to it meanwhile
		if _, err = unix.Seek(top, 0, 0); err == nil {
			err = r.empty(top, 0)
		}
		if err != nil {
			return err
		}
		if r.raised > 0 {
			r.raised, again = 0, 4
			continue
		}
		err = linux.Retry(func() error { return unix.Unlinkat(parent, name, unix.AT_REMOVEDIR) })
		if !errors.Is(err, unix.ENOTEMPTY) {
			break
		}
	}
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	return err
}

// removeAny removes what is at abs, a folder or not.
func removeAny(abs string) error {
	err := linux.Retry(func() error { return unix.Unlink(abs) })
	if errors.Is(err, unix.EISDIR) {
		return removeTree(abs)
	}
	return err
}

// maxNesting is how many folders a remover has open at a time. A deeper folder is moved to the top and removed from
// there.
const maxNesting = 256

type remover struct {
	top    int // descriptor of the folder that everything is in
	raised int
}

// empty removes what is in the folder open as fd, and returns the first error of any.
func (r *remover) empty(fd, depth int) error {
	entries, first := readDir(fd)
	for _, e := range entries {
		if err := r.remove(fd, e, depth); err != nil && !errors.Is(err, unix.ENOENT) && first == nil {
			first = err
		}
	}
	return first
}

func (r *remover) remove(fd int, e entry, depth int) error {
	if e.kind != unix.DT_DIR {
		err := linux.Retry(func() error { return unix.Unlinkat(fd, e.name, 0) })
		if !errors.Is(err, unix.EISDIR) {
			return err
		}
	}
	if depth >= maxNesting {
		temp := tempName()
		if err := linux.Retry(func() error { return unix.Renameat(fd, e.name, r.top, temp) }); err == nil {
			r.raised++
			return nil
		} // a folder of an image's lower layer, or another file system's: go on downwards
	}
	sub, err := openDir(fd, e.name, unix.O_NOFOLLOW)
	if err == nil {
		err = r.empty(sub, depth+1)
		unix.Close(sub)
	}
	if rmdir := linux.Retry(func() error { return unix.Unlinkat(fd, e.name, unix.AT_REMOVEDIR) }); rmdir == nil {
		return nil
	} else if err == nil {
		err = rmdir
	}
	return err
}
