package workspace

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"

	"golang.org/x/sys/unix"

	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/internal/linux"
)

// Source hands out content in pieces. A piece is good until the next call; last says that nothing follows it.
type Source interface {
	Next() (piece []byte, last bool, err error)
}

// ErrCut is what Write wraps when the source ends early: the file is then as it was before.
var ErrCut = fault.New(fault.Invalid, "the content ended early; nothing was stored")

// Write makes src the content of the file at name and returns its length in bytes.
//
// Missing parents are made with mode 0755, a new file has mode 0644 (both less the daemon's umask); an existing file
// keeps mode, owner, access list and extended attributes, a link is written through. Until the last byte is there the
// file is as before, but for the cases listed in the package comment. Errors of src are wrapped in ErrCut; DISK_FULL
// leaves no part of the file behind.
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
	t, err := newTarget("write", abs, name, true)
	if err != nil {
		return 0, err
	}
	defer t.close()
	return t.store(piece, last, src)
}

// store makes piece, and unless it is the last all that follows it in src, the content of t.
func (t *target) store(piece []byte, last bool, src Source) (int64, error) {
	w, err := t.begin()
	if err != nil {
		return 0, explain(t.op, t.name, err)
	}
	var size int64
	for {
		n, err := writeFull(w.fd, piece)
		if size += int64(n); err != nil {
			return 0, explain(t.op, t.name, w.abort(size, err))
		}
		if last {
			return size, explain(t.op, t.name, w.commit())
		}
		if piece, last, err = src.Next(); err != nil {
			return 0, w.abort(size, cut(t.name, err))
		}
	}
}

// writeFull writes all of p, or tells how much it could.
func writeFull(fd int, p []byte) (done int, err error) {
	for done < len(p) {
		n, err := linux.RetryValue(func() (int, error) { return unix.Write(fd, p[done:]) })
		if err != nil {
			return done, err
		}
		done += n
	}
	return done, nil
}

// cut is the error of a source that stopped: its own if that has a kind, else ErrCut, since what fails without a kind
// is the connection that the content comes by.
func cut(name string, err error) error {
	if fault.KindOf(err) != fault.Unknown || errors.Is(err, context.Canceled) {
		return err
	}
	return fmt.Errorf("write %s: %w (%w)", name, ErrCut, err)
}

// target is where a write goes: a name in an open folder, with all links on the way followed.
type target struct {
	op     string // what is done to it, for errors
	name   string // as the caller said it
	dir    int    // descriptor of the folder, opened O_PATH
	base   string
	exists bool
	st     unix.Stat_t
	old    int  // the file that there is, open for reading; -1 before open
	reread bool // the new content is made of old, which has to stay until it is whole
}

func (t *target) close() {
	unix.Close(t.dir)
	if t.old >= 0 {
		unix.Close(t.old)
	}
}

// open opens the file that there is for reading.
func (t *target) open() (err error) {
	if t.old < 0 {
		t.old, err = openRegular(t.dir, t.base, t.name, t.op, unix.O_RDONLY|unix.O_NOFOLLOW, &t.st)
	}
	return err
}

const pathDir = unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC

// newTarget finds the file that abs, called name, leads to, and if asked to makes missing parents.
func newTarget(op, abs, name string, parents bool) (*target, error) {
	parent, base := path.Split(abs)
	if base == "" || base == "." || base == ".." {
		return nil, invalidPath("%s %s: it names a folder; name a file", op, name)
	}
	t := &target{op: op, name: name, base: base, old: -1}
	open := func() (int, error) { return unix.Openat(unix.AT_FDCWD, parent, pathDir, 0) }
	var err error
	if t.dir, err = linux.RetryValue(open); parents && errors.Is(err, unix.ENOENT) {
		if err = makeAll(parent, 0o755); err == nil {
			t.dir, err = linux.RetryValue(open)
		}
	}
	if errors.Is(err, unix.EEXIST) {
		err = unix.ENOTDIR // a file, or a link that leads nowhere
	}
	if err != nil {
		return nil, explain(op, name, err)
	}
	if err := t.follow(); err != nil {
		t.close()
		return nil, explain(op, name, err)
	}
	return t, nil
}

// follow goes through links until t is a regular file or a free name.
func (t *target) follow() error {
	for range 40 { // as many as the kernel follows
		err := linux.Retry(func() error { return unix.Fstatat(t.dir, t.base, &t.st, unix.AT_SYMLINK_NOFOLLOW) })
		if errors.Is(err, unix.ENOENT) {
			return nil
		}
		if err != nil {
			return err
		}
		if !isLink(&t.st) {
			t.exists = true
			return mustBeRegular(t.op, t.name, &t.st)
		}
		buf := make([]byte, unix.PathMax)
		n, err := linux.RetryValue(func() (int, error) { return unix.Readlinkat(t.dir, t.base, buf) })
		if err != nil {
			return err
		}
		dir, base := path.Split(string(buf[:n]))
		if base == "" || base == "." || base == ".." {
			return invalidPath("%s %s: it leads to a folder; name a file", t.op, t.name)
		}
		if dir != "" {
			fd, err := linux.RetryValue(func() (int, error) { return unix.Openat(t.dir, dir, pathDir, 0) })
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

// createWhole makes a new file of content that is all there, without a temporary one. done is false when it cannot be
// made just so: the name is taken, the folder is missing or does not allow it.
func createWhole(abs string, content []byte) (done bool, err error) {
	fd, err := linux.RetryValue(func() (int, error) { return unix.Open(abs, createFlags, 0o644) })
	if err != nil {
		return false, nil
	}
	if _, err := writeFull(fd, content); err != nil {
		var made, there unix.Stat_t // the write's error is the one to tell
		if unix.Fstat(fd, &made) == nil && unix.Lstat(abs, &there) == nil && made.Dev == there.Dev && made.Ino == there.Ino {
			_ = unix.Unlink(abs)
		}
		unix.Close(fd)
		return true, err
	}
	return true, unix.Close(fd)
}

// writing is a write under way: to a temporary file in the target's folder, to one without a name, or in place.
type writing struct {
	*target
	fd      int
	temp    string // "" has no name, or is the target itself
	unnamed bool
}

// begin starts a write. The folder may forbid a temporary file; then an existing file is written in place.
func (t *target) begin() (*writing, error) {
	if t.exists {
		// a rename asks only the folder; the file's own write bit counts here as it does for open
		if err := linux.Retry(func() error { return unix.Faccessat(t.dir, t.base, unix.W_OK, unix.AT_EACCESS) }); err != nil {
			return nil, err
		}
	}
	mode := uint32(0o644)
	if t.exists {
		mode = 0o600 // until it has its owner
	}
	temp := tempName()
	fd, err := linux.RetryValue(func() (int, error) { return unix.Openat(t.dir, temp, createFlags, mode) })
	switch {
	case err == nil:
		return &writing{target: t, fd: fd, temp: temp}, nil
	case !t.exists || !errors.Is(err, unix.EACCES) && !errors.Is(err, unix.EPERM) && !errors.Is(err, unix.EROFS):
		return nil, err
	case t.reread:
		if fd, err = linux.ScratchFile(); err != nil {
			return nil, err
		}
		return &writing{target: t, fd: fd, unnamed: true}, nil
	}
	return t.inPlace(-1)
}

// inPlace opens the file to be written over. It reserves room for size bytes before anything changes; if the size is
// not known, -1, it empties the file.
func (t *target) inPlace(size int64) (*writing, error) {
	var st unix.Stat_t
	fd, err := openRegular(t.dir, t.base, t.name, t.op, unix.O_WRONLY|unix.O_NOFOLLOW, &st)
	if err != nil {
		return nil, err
	}
	err = linux.Retry(func() error {
		if size < 0 {
			return unix.Ftruncate(fd, 0)
		}
		err := unix.Fallocate(fd, unix.FALLOC_FL_KEEP_SIZE, 0, size)
		if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) || errors.Is(err, unix.EINTR) {
			return err
		}
		return nil // not every file system can
	})
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	return &writing{target: t, fd: fd}, nil
}

// abort undoes what it can and returns cause, with what is left of a file that was written in place.
func (w *writing) abort(size int64, cause error) error {
	unix.Close(w.fd)
	if w.temp != "" {
		_ = unix.Unlinkat(w.dir, w.temp, 0) // the cause is the error to tell
		return cause
	}
	if w.unnamed {
		return cause
	}
	cause = explain(w.op, w.name, cause)
	return fault.Codef(fault.KindOf(cause), fault.CodeOf(cause),
		"%w; it could only be written in place and now holds the first %d bytes", cause, size)
}

// commit gives the temporary file its place.
func (w *writing) commit() error {
	if w.unnamed {
		return w.overwrite(w.fd)
	}
	if w.temp == "" {
		return unix.Close(w.fd)
	}
	if w.exists && (w.st.Nlink > 1 || w.takeAttributes() != nil) {
		// Its other names mean the same file, or not all it has can be carried over: keep it and change the content.
		return w.copyInPlace()
	}
	if err := unix.Close(w.fd); err != nil {
		_ = unix.Unlinkat(w.dir, w.temp, 0) // the close's error is the one to tell
		return err
	}
	err := linux.Retry(func() error { return unix.Renameat(w.dir, w.temp, w.dir, w.base) })
	// A file may be mounted on its own, such as /etc/hosts in a container.
	if errors.Is(err, unix.EBUSY) || errors.Is(err, unix.EXDEV) {
		w.fd = -1
		return w.copyInPlace()
	}
	if err != nil {
		_ = unix.Unlinkat(w.dir, w.temp, 0)
		return err
	}
	return nil
}

// takeAttributes gives the temporary file what the old one has.
func (w *writing) takeAttributes() error {
	if err := w.open(); err != nil {
		return err
	}
	var st unix.Stat_t
	if err := linux.Retry(func() error { return unix.Fstat(w.fd, &st) }); err != nil {
		return err
	}
	if st.Uid != w.st.Uid || st.Gid != w.st.Gid {
		if err := unix.Fchown(w.fd, int(w.st.Uid), int(w.st.Gid)); err != nil {
			return err
		}
	}
	if err := copyXattrs(w.old, w.fd); err != nil {
		return err
	}
	// The mode comes after the owner, since chown drops the set-user bits, and after the access list, which has the
	// mode in it.
	return unix.Fchmod(w.fd, w.st.Mode&0o7777)
}

// copyInPlace writes the whole temporary file over the target.
func (w *writing) copyInPlace() error {
	if w.fd >= 0 {
		unix.Close(w.fd)
	}
	defer unix.Unlinkat(w.dir, w.temp, 0)
	var st unix.Stat_t
	from, err := openRegular(w.dir, w.temp, w.name, w.op, unix.O_RDONLY|unix.O_NOFOLLOW, &st)
	if err != nil {
		return err
	}
	return w.overwrite(from)
}

// overwrite puts what the file open as from holds in place of the target's content, and closes from.
func (t *target) overwrite(from int) error {
	defer unix.Close(from)
	whole, err := unix.Seek(from, 0, io.SeekEnd)
	if err == nil {
		_, err = unix.Seek(from, 0, io.SeekStart)
	}
	if err != nil {
		return err
	}
	to, err := t.inPlace(whole)
	if err != nil {
		return err
	}
	buf, give := Buffer(whole)
	defer give()
	for size := int64(0); ; {
		n, err := readFull(from, buf)
		if err == nil {
			n, err = writeFull(to.fd, buf[:n])
		}
		size += int64(n)
		if err == nil && n == len(buf) {
			continue
		}
		if cutErr := unix.Ftruncate(to.fd, size); err == nil {
			err = cutErr
		}
		if err != nil {
			return to.abort(size, err)
		}
		return unix.Close(to.fd)
	}
}
