package workspace

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path"

	"golang.org/x/sys/unix"

	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/internal/linux"
)

// Move gives source the name destination. Nothing is overwritten: fault.Conflict when destination exists. Links are
// moved as links. Between file systems a whole copy (links, hard links, modes, owners, times, FIFOs, devices) is made
// first and the source removed last; when the copy fails the source is untouched and no part of the copy stays.
func (f *Files) Move(source, destination string) error {
	from, err := f.resolve(source)
	if err != nil {
		return err
	}
	to, err := f.resolve(destination)
	if err != nil {
		return err
	}
	from, to = simplify(from), simplify(to)
	var st unix.Stat_t
	if err := linux.Retry(func() error { return unix.Lstat(from, &st) }); err != nil {
		return f.missing(source, explain("move", source, err))
	}
	err = renameNew(from, to)
	if errors.Is(err, unix.EXDEV) { // also for folders of an image's lower layer
		return explain("move", source, moveByCopy(from, to))
	}
	switch {
	case errors.Is(err, unix.EEXIST):
		return fault.Newf(fault.Conflict,
			"move %s: %s exists already; delete it first or choose another name", source, destination)
	case errors.Is(err, unix.ENOENT):
		return fault.Codef(fault.NotFound, codeNotFound,
			"move %s: the folder of %s does not exist; create it first", source, destination)
	}
	return explain("move", source+" to "+destination, err)
}

// renameNew is rename that fails with EEXIST instead of replacing.
func renameNew(from, to string) error {
	err := linux.Retry(func() error {
		return unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_NOREPLACE)
	})
	if !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOSYS) {
		return err
	}
	var st unix.Stat_t // a file system without the flag: look first
	if unix.Lstat(to, &st) == nil {
		return unix.EEXIST
	}
	return linux.Retry(func() error { return unix.Rename(from, to) })
}

func moveByCopy(from, to string) error {
	var st unix.Stat_t
	if unix.Lstat(to, &st) == nil {
		return fault.Newf(fault.Conflict, "move %s: %s exists already; delete it first or choose another name", from, to)
	}
	// before anything is copied: the source's name can be taken away
	err := linux.Retry(func() error {
		return unix.Faccessat(unix.AT_FDCWD, path.Dir(from), unix.W_OK, unix.AT_EACCESS)
	})
	if err != nil {
		return err
	}
	temp := path.Join(path.Dir(to), tempName())
	err = (&copier{names: map[inode]string{}}).copy(from, temp)
	if err == nil {
		err = renameNew(temp, to)
	}
	if err != nil {
		_ = removeAny(temp) // the error to tell is the copy's
		return err
	}
	if err := removeAny(from); err != nil {
		err = explain("remove", from, err)
		return fault.Newf(fault.KindOf(err),
			"move %s: all of it is at %s now, but the old one could not be removed whole: %w", from, to, err)
	}
	return nil
}

type inode struct{ dev, ino uint64 }

// copier copies a tree with all that a move must keep. names holds where a file with several names went first.
type copier struct{ names map[inode]string }

func (c *copier) copy(from, to string) error {
	var st unix.Stat_t
	if err := linux.Retry(func() error { return unix.Lstat(from, &st) }); err != nil {
		return err
	}
	id := inode{uint64(st.Dev), st.Ino}
	if first, ok := c.names[id]; ok {
		return unix.Link(first, to)
	}
	if st.Nlink > 1 && !isDir(&st) {
		c.names[id] = to
	}
	var err error
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		err = c.copyDir(from, to)
	case unix.S_IFREG:
		err = copyFile(from, to)
	case unix.S_IFLNK:
		var link string
		if link, err = os.Readlink(from); err == nil {
			err = unix.Symlink(link, to)
		}
	default:
		err = unix.Mknod(to, st.Mode, int(st.Rdev))
	}
	if err != nil {
		if isDir(&st) {
			return err // it names what could not be copied
		}
		return fmt.Errorf("copy %s: %w", from, err)
	}
	if err := unix.Lchown(to, int(st.Uid), int(st.Gid)); err != nil && !errors.Is(err, unix.EPERM) {
		return err
	}
	if !isLink(&st) {
		if err := unix.Chmod(to, st.Mode&0o7777); err != nil {
			return err
		}
	}
	return unix.UtimesNanoAt(unix.AT_FDCWD, to, []unix.Timespec{st.Atim, st.Mtim}, unix.AT_SYMLINK_NOFOLLOW)
}

func (c *copier) copyDir(from, to string) error {
	if err := unix.Mkdir(to, 0o700); err != nil {
		return err
	}
	fd, err := openDir(unix.AT_FDCWD, from, unix.O_NOFOLLOW)
	if err != nil {
		return err
	}
	entries, err := readDir(fd)
	unix.Close(fd)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := c.copy(from+"/"+e.name, to+"/"+e.name); err != nil {
			return err
		}
	}
	return copyDirXattrs(from, to) // last: what is made in a folder inherits some
}

func copyDirXattrs(from, to string) error {
	src, err := openDir(unix.AT_FDCWD, from, unix.O_NOFOLLOW)
	if err != nil {
		return err
	}
	defer unix.Close(src)
	dst, err := openDir(unix.AT_FDCWD, to, unix.O_NOFOLLOW)
	if err != nil {
		return err
	}
	defer unix.Close(dst)
	if err := copyXattrs(src, dst); !unsupported(err) {
		return err
	}
	return nil
}

func copyFile(from, to string) error {
	var st unix.Stat_t
	fd, err := openRegular(unix.AT_FDCWD, from, from, "copy", unix.O_RDONLY|unix.O_NOFOLLOW, &st)
	if err != nil {
		return err
	}
	src := os.NewFile(uintptr(fd), from)
	defer src.Close()
	dst, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if err = copyXattrs(fd, int(dst.Fd())); err == nil || unsupported(err) {
		_, err = io.Copy(dst, src) // in the kernel, by copy_file_range
	}
	return errors.Join(err, dst.Close())
}

// unsupported tells that a file system has no attributes of the kind that another one has.
func unsupported(err error) bool { return errors.Is(err, unix.ENOTSUP) || errors.Is(err, unix.EPERM) }
