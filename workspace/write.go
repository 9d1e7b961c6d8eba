package workspace

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/sandlot-dev/sandlot/internal/fault"
)

// Source hands out content in pieces. A piece is good until the next call; last says that nothing follows it.
type Source interface {
	Next() (piece []byte, last bool, err error)
}

// ErrCut is what Write wraps when the source ends early: the file is then as it was before.
var ErrCut = fault.New(fault.Invalid, "the content ended early; nothing was stored")

// Write makes src the content of the file at name and returns its length in bytes.
//
// Missing parents are made with mode 0755, a new file has mode 0644 (both less the daemon's umask); an existing file keeps mode
// and owner, a link is written through. Until the last byte is there the file is as before, but for the cases listed in the
// package comment. Errors of src are wrapped in ErrCut; DISK_FULL leaves no part of the file behind.
func (f *Files) Write(name string, src Source) (int64, error) {
	piece, last, err := src.Next()
	if err != nil {
		return 0, cut(name, err)
	}
	abs, err := f.resolve(name)
	if err != nil {
		return 0, err
	}
	if last {
		if done, err := createWhole(abs, piece); done {
			return int64(len(piece)), explain("write", name, err)
		}
	}
	t, err := newTarget(abs, name)
	if err != nil {
		return 0, err
	}
	defer t.close()
	w, err := t.begin()
	if err != nil {
		return 0, explain("write", name, err)
	}
	var size int64
	for {
		n, err := w.file.Write(piece)
		if size += int64(n); err != nil {
			return 0, explain("write", name, w.abort(size, err))
		}
		if last {
			return size, explain("write", name, w.commit())
		}
		if piece, last, err = src.Next(); err != nil {
			return 0, w.abort(size, cut(name, err))
		}
	}
}

// cut tells why a source stopped: it has its own kind of error, it could not read its file, or it ended.
func cut(name string, err error) error {
	if isSystem(err) || fault.KindOf(err) != fault.Unknown {
		return explain("read content for", name, err)
	}
	return fmt.Errorf("write %s: %w (%w)", name, ErrCut, err)
}

// target is where a write goes: a name in an open folder, with all links on the way followed.
type target struct {
	name   string // as the caller said it
	dir    int    // descriptor of the folder, opened O_PATH
	base   string
	exists bool
	st     unix.Stat_t
}

func (t *target) close() { unix.Close(t.dir) }

const pathDir = unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC

// newTarget finds the file that abs, called name, leads to, and makes missing parents.
func newTarget(abs, name string) (*target, error) {
	parent, base := path.Split(abs)
	if base == "" || base == "." || base == ".." {
		return nil, invalidPath("write %s: it names a folder; name a file", name)
	}
	t := &target{name: name, base: base}
	open := func() (int, error) { return unix.Openat(unix.AT_FDCWD, parent, pathDir, 0) }
	var err error
	if t.dir, err = retryFD(open); errors.Is(err, unix.ENOENT) {
		if err = makeAll(parent, 0o755); err == nil {
			t.dir, err = retryFD(open)
		}
	}
	if errors.Is(err, unix.EEXIST) {
		err = unix.ENOTDIR // a file, or a link that leads nowhere
	}
	if err != nil {
		return nil, explain("write", name, err)
	}
	if err := t.follow(); err != nil {
		t.close()
		return nil, explain("write", name, err)
	}
	return t, nil
}

// follow goes through links until t is a regular file or a free name.
func (t *target) follow() error {
	for range 40 { // as many as the kernel follows
		err := retry(func() error { return unix.Fstatat(t.dir, t.base, &t.st, unix.AT_SYMLINK_NOFOLLOW) })
		if errors.Is(err, unix.ENOENT) {
			return nil
		}
		if err != nil {
			return err
		}
		if !isLink(&t.st) {
			t.exists = true
			return mustBeRegular("write", t.name, &t.st)
		}
		buf := make([]byte, unix.PathMax)
		n, err := retryFD(func() (int, error) { return unix.Readlinkat(t.dir, t.base, buf) })
		if err != nil {
			return err
		}
		dir, base := path.Split(string(buf[:n]))
		if base == "" || base == "." || base == ".." {
			return invalidPath("write %s: it leads to a folder; name a file", t.name)
		}
		if dir != "" {
			fd, err := retryFD(func() (int, error) { return unix.Openat(t.dir, dir, pathDir, 0) })
			if err != nil {
				return err
			}
			unix.Close(t.dir)
			t.dir = fd
		}
		t.base = base
	}
	return unix.ELOOP
}

const createFlags = unix.O_CREAT | unix.O_EXCL | unix.O_WRONLY | unix.O_NOFOLLOW | unix.O_CLOEXEC

// createWhole makes a new file of content that is all there, without a temporary one. done is false when it cannot be made just so:
// the name is taken, the folder is missing or does not allow it.
func createWhole(abs string, content []byte) (done bool, err error) {
	fd, err := retryFD(func() (int, error) { return unix.Open(abs, createFlags, 0o644) })
	if err != nil {
		return false, nil
	}
	for rest := content; len(rest) > 0; {
		n, err := retryFD(func() (int, error) { return unix.Write(fd, rest) })
		if err != nil {
			var made, there unix.Stat_t // the write's error is the one to tell
			if unix.Fstat(fd, &made) == nil && unix.Lstat(abs, &there) == nil && made.Dev == there.Dev && made.Ino == there.Ino {
				_ = unix.Unlink(abs)
			}
			unix.Close(fd)
			return true, err
		}
		rest = rest[n:]
	}
	return true, unix.Close(fd)
}

// writing is a write under way: to a temporary file, or with temp "" in place.
type writing struct {
	*target
	file *os.File
	temp string
}

// begin starts a write. The folder may forbid a temporary file; then an existing file is written in place.
func (t *target) begin() (*writing, error) {
	if t.exists {
		// a rename asks only the folder; the file's own write bit counts here as it does for open
		if err := retry(func() error { return unix.Faccessat(t.dir, t.base, unix.W_OK, unix.AT_EACCESS) }); err != nil {
			return nil, err
		}
	}
	mode := uint32(0o644)
	if t.exists {
		mode = 0o600 // until it has its owner
	}
	temp := TempPrefix + strings.ToLower(rand.Text()[:13])
	fd, err := retryFD(func() (int, error) { return unix.Openat(t.dir, temp, createFlags, mode) })
	switch {
	case err == nil:
		return &writing{target: t, file: os.NewFile(uintptr(fd), t.name), temp: temp}, nil
	case t.exists && (errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM) || errors.Is(err, unix.EROFS)):
		return t.inPlace()
	}
	return nil, err
}

func (t *target) inPlace() (*writing, error) {
	file, _, err := openRegular(t.dir, t.base, t.name, "write", unix.O_WRONLY|unix.O_NOFOLLOW)
	if err != nil {
		return nil, err
	}
	if err := file.Truncate(0); err != nil {
		file.Close()
		return nil, err
	}
	return &writing{target: t, file: file}, nil
}

// abort undoes what it can and returns cause, with what is left of a file that was written in place.
func (w *writing) abort(size int64, cause error) error {
	w.file.Close()
	if w.temp != "" {
		_ = unix.Unlinkat(w.dir, w.temp, 0) // the cause is the error to tell
		return cause
	}
	cause = explain("write", w.name, cause)
	return fault.Codef(fault.KindOf(cause), fault.CodeOf(cause),
		"%w; it could only be written in place and now holds the first %d bytes", cause, size)
}

// commit gives the temporary file its place.
func (w *writing) commit() error {
	if w.temp == "" {
		return w.file.Close()
	}
	if w.exists && (w.st.Nlink > 1 || w.takeAttributes() != nil) {
		return w.copyInPlace() // its other names mean the same file, or its owner cannot be given away: keep it and change the content
	}
	if err := w.file.Close(); err != nil {
		return w.abort(0, err)
	}
	err := retry(func() error { return unix.Renameat(w.dir, w.temp, w.dir, w.base) })
	if errors.Is(err, unix.EBUSY) || errors.Is(err, unix.EXDEV) { // a file mounted on its own, such as /etc/hosts in a container
		return w.copyInPlace()
	}
	if err != nil {
		return w.abort(0, err)
	}
	return nil
}

func (w *writing) takeAttributes() error {
	fd := int(w.file.Fd())
	var st unix.Stat_t
	if err := retry(func() error { return unix.Fstat(fd, &st) }); err != nil {
		return err
	}
	if st.Uid != w.st.Uid || st.Gid != w.st.Gid {
		if err := unix.Fchown(fd, int(w.st.Uid), int(w.st.Gid)); err != nil {
			return err
		}
	}
	return unix.Fchmod(fd, w.st.Mode&0o7777) // after the owner: chown drops the set-user bits
}

// copyInPlace writes the whole temporary file over the target.
func (w *writing) copyInPlace() error {
	w.file.Close()
	defer unix.Unlinkat(w.dir, w.temp, 0)
	from, _, err := openRegular(w.dir, w.temp, w.name, "write", unix.O_RDONLY|unix.O_NOFOLLOW)
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := w.inPlace()
	if err != nil {
		return err
	}
	n, err := io.Copy(to.file, from)
	if err != nil {
		return to.abort(n, err)
	}
	return to.file.Close()
}
