package process

import (
	"os"

	"golang.org/x/sys/unix"
)

// closers are files that are closed together, without loss: they are pipes' ends, or were only read.
type closers []*os.File

func (c *closers) close() {
	for _, f := range *c {
		_ = f.Close() // of nil it is an error, and no harm
	}
}

// pipe makes a pipe to a child, or from one when weRead is set. Our end does not block. No child inherits an end that
// it is not given.
func pipe(weRead bool) (ours, theirs *os.File, err error) {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		return nil, nil, os.NewSyscallError("pipe2", err)
	}
	our, their := fds[0], fds[1]
	if !weRead {
		our, their = their, our
	}
	if err := unix.SetNonblock(our, true); err != nil {
		unix.Close(our)
		unix.Close(their)
		return nil, nil, os.NewSyscallError("fcntl", err)
	}
	return os.NewFile(uintptr(our), "pipe"), os.NewFile(uintptr(their), "pipe"), nil
}
