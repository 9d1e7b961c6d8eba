package fault

import (
	"errors"
	"syscall"

	"golang.org/x/sys/unix"
)

// System makes an error of a failure that the operating system reported in err and no caller caused. Its message is
// act, err's own words and the system's name for it: "read /a: input/output error (EIO)".
//
// The kind is Full for a full disk or quota; Unavailable where descriptors, memory, processes or locks are short, a
// program is being executed, or a file server has lost the file; Internal for everything else, also if err is not the
// system's.
func System(act string, err error) error {
	var no syscall.Errno
	if !errors.As(err, &no) {
		return Newf(Internal, "%s: %w", act, err)
	}
	kind := Internal
	switch no {
	case unix.ENOSPC, unix.EDQUOT:
		kind = Full
	case unix.EMFILE, unix.ENFILE, unix.ENOMEM, unix.ENOBUFS, unix.EAGAIN, unix.ENOLCK, unix.ETXTBSY, unix.ESTALE:
		kind = Unavailable
	}
	name := unix.ErrnoName(no)
	if name == "" {
		name = "unknown to us"
	}
	return Newf(kind, "%s: %w (%s)", act, err, name)
}
