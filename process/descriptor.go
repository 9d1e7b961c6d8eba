package process

import (
	"os"

	"golang.org/x/sys/unix"
)

// closers are descriptors that are the child's business: closed here once it has them.
type closers []int

func (c *closers) add(fd int) { *c = append(*c, fd) }

func (c *closers) close() {
	for _, fd := range *c {
		_ = unix.Close(fd)
	}
}

// pipe makes a pipe whose ends no child inherits by itself, and makes our end, the reading or the writing one,
// non-blocking.
func pipe(readerIsOurs, writerIsOurs bool) (r, w int, err error) {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		return -1, -1, os.NewSyscallError("pipe2", err)
	}
	if readerIsOurs {
		_, err = unix.FcntlInt(uintptr(fds[0]), unix.F_SETFL, unix.O_NONBLOCK) // it has no other flag
	}
	if writerIsOurs && err == nil {
		_, err = unix.FcntlInt(uintptr(fds[1]), unix.F_SETFL, unix.O_NONBLOCK)
	}
	return fds[0], fds[1], err
}

// memoryFile returns a descriptor of a file that is in memory alone, to be read from its start.
func memoryFile(name string, data []byte) (int, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC)
	if err != nil {
		return -1, os.NewSyscallError("memfd_create", err)
	}
	for at := 0; at < len(data); {
		n, err := ignoringEINTR(func() (int, error) { return unix.Pwrite(fd, data[at:], int64(at)) })
		if err != nil {
			_ = unix.Close(fd)
			return -1, os.NewSyscallError("write", err)
		}
		at += n
	}
	return fd, nil
}

func ignoringEINTR(f func() (int, error)) (int, error) {
	for {
		if n, err := f(); err != unix.EINTR { // a bare errno
			return n, err
		}
	}
}
