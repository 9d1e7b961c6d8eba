package session

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

const (
	maxSaid  = 16 << 10 // bytes that are kept of what a shell says during one command
	maxNoise = 4 << 20  // bytes of it after which the shell is taken to be out of its mind
)

// control is the shell's own standard output and error, where it reports the end of a command. It is a socket: that cannot be opened by way of
// /proc/PID/fd, and the kernel tells who wrote. What others wrote is dropped.
type control struct {
	fd    int    // ours; -1 once it is closed
	pid   int    // of the shell
	named bool   // the kernel tells who wrote
	said  []byte // what the shell wrote there since the last command ended
	noise int    // how much that was, the dropped bytes too
}

// newControl returns our end and the shell's.
func newControl() (c control, theirs *os.File, err error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return control{fd: -1}, nil, os.NewSyscallError("socketpair", err)
	}
	c = control{fd: pair[0]}
	theirs = os.NewFile(uintptr(pair[1]), "control")
	c.named = unix.SetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_PASSCRED, 1) == nil // without it, the nonce alone must do
	if err := unix.SetNonblock(c.fd, true); err != nil {
		return control{fd: -1}, nil, errors.Join(err, unix.Close(c.fd), theirs.Close())
	}
	return c, theirs, nil
}

// read takes what was written, and reports whether nobody can write any more.
func (c *control) read() (eof bool) {
	var buf [1 << 10]byte
	oob := make([]byte, unix.CmsgSpace(unix.SizeofUcred))
	for c.fd >= 0 {
		n, oobn, _, _, err := unix.Recvmsg(c.fd, buf[:], oob, unix.MSG_CMSG_CLOEXEC)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return !errors.Is(err, unix.EAGAIN)
		case n == 0:
			return true
		}
		if c.named && writer(oob[:oobn]) != c.pid {
			continue
		}
		c.noise += n
		c.said = append(c.said, buf[:n]...)
		c.said = c.said[max(0, len(c.said)-maxSaid):]
	}
	return true
}

// writer returns the process that a message names, 0 for none. Descriptors that came along are closed.
func writer(oob []byte) (pid int) {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return 0
	}
	for i := range messages {
		if cred, err := unix.ParseUnixCredentials(&messages[i]); err == nil {
			pid = int(cred.Pid)
		}
		if fds, err := unix.ParseUnixRights(&messages[i]); err == nil {
			for _, fd := range fds {
				_ = unix.Close(fd)
			}
		}
	}
	return pid
}

// forget begins anew, for the next command.
func (c *control) forget() { c.said, c.noise = nil, 0 }

func newNonce() string {
	var b [6]byte
	_, _ = rand.Read(b[:]) // never fails
	return base64.RawURLEncoding.EncodeToString(b[:])
}
