package workspace

import (
	"errors"
	"io"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/internal/linux"
)

// Open opens the regular file at name for reading and describes it. The caller closes the file.
//
// Errors: FILE_NOT_FOUND, FILE_ACCESS_DENIED, INVALID_FILE_PATH (folders, FIFOs, sockets, devices; none of these is
// opened).
func (f *Files) Open(name string) (*os.File, Info, error) {
	abs, err := f.resolve(name)
	if err != nil {
		return nil, Info{}, err
	}
	var st unix.Stat_t
	fd, err := openRegular(unix.AT_FDCWD, abs, name, "open", unix.O_RDONLY, &st)
	if err != nil {
		return nil, Info{}, f.missing(name, err)
	}
	file := os.NewFile(uintptr(fd), name)
	if st.Blocks == 0 && st.Size <= 4096 {
		if file, err = fixed(file, &st); err != nil {
			return nil, Info{}, explain("read", name, err)
		}
	}
	return file, newInfo("", base(abs), &st), nil
}

// maxKernelFile bounds what fixed reads, in bytes.
const maxKernelFile = 16 << 20

// fixed replaces a file of the kernel's by a copy in memory, and puts the true size into st: files of /proc and /sys
// report 0 or 4096 bytes whatever they hold. A file with the size that it reports is returned as it is.
func fixed(file *os.File, st *unix.Stat_t) (*os.File, error) {
	content, err := io.ReadAll(io.LimitReader(file, maxKernelFile))
	if errors.Is(err, unix.EAGAIN) { // it would wait for news
		err = nil
	}
	if err != nil || int64(len(content)) == st.Size {
		if err == nil {
			_, err = file.Seek(0, io.SeekStart)
		}
		if err != nil {
			file.Close()
			return nil, err
		}
		return file, nil
	}
	file.Close()
	memory, err := linux.MemoryFile(file.Name(), content)
	if err != nil {
		return nil, err
	}
	st.Size = int64(len(content))
	return memory, nil
}

func base(abs string) string {
	abs = simplify(abs)
	for i := len(abs) - 1; i >= 0; i-- {
		if abs[i] == '/' {
			return abs[i+1:]
		}
	}
	return abs
}

// openRegular opens a regular file and nothing else, and describes it in st. The stat before the open spares devices an
// open. The stat after it sees a file that was exchanged between the two, and O_NONBLOCK keeps the open of a FIFO from
// waiting for its other end.
func openRegular(at int, abs, name, op string, flags int, st *unix.Stat_t) (int, error) {
	follow := 0
	if flags&unix.O_NOFOLLOW != 0 {
		follow = unix.AT_SYMLINK_NOFOLLOW
	}
	if err := linux.Retry(func() error { return unix.Fstatat(at, abs, st, follow) }); err != nil {
		return -1, explain(op, name, err)
	}
	if err := mustBeRegular(op, name, st); err != nil {
		return -1, err
	}
	fd, err := linux.RetryValue(func() (int, error) {
		return unix.Openat(at, abs, flags|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	})
	if err != nil {
		return -1, explain(op, name, err)
	}
	if err := linux.Retry(func() error { return unix.Fstat(fd, st) }); err != nil {
		unix.Close(fd)
		return -1, fault.Codef(fault.Internal, codeRead, "%s %s: %w", op, name, err)
	}
	if err := mustBeRegular(op, name, st); err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// Buffers of the two sizes that content goes through. Most files are small; a large buffer halves the system calls of
// the others.
var (
	smallBufs = sync.Pool{New: func() any { b := make([]byte, SmallBuffer); return &b }}
	largeBufs = sync.Pool{New: func() any { b := make([]byte, LargeBuffer); return &b }}
)

// Sizes of pooled buffers in bytes.
const (
	SmallBuffer = 64 << 10
	LargeBuffer = 512 << 10
)

// Buffer lends a buffer of SmallBuffer bytes, or of LargeBuffer when size (bytes, negative for unknown) does not fit
// that. The returned function gives it back.
func Buffer(size int64) ([]byte, func()) {
	pool := &largeBufs
	if size >= 0 && size <= SmallBuffer {
		pool = &smallBufs
	}
	b := pool.Get().(*[]byte)
	return *b, func() { pool.Put(b) }
}
