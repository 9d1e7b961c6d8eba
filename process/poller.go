package process

import (
	"errors"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Poller waits on several descriptors in one goroutine, in the order in which they became ready. It is an epoll descriptor that is itself
// waited on through the runtime, so that a waiting goroutine costs no thread.
type Poller struct {
	file   *os.File
	raw    syscall.RawConn
	fd     int
	events [4]unix.EpollEvent
}

// NewPoller returns a Poller of nothing.
func NewPoller() (*Poller, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	f := os.NewFile(uintptr(fd), "epoll") //nolint:gosec // a descriptor
	raw, err := f.SyscallConn()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &Poller{file: f, raw: raw, fd: fd}, nil
}

// Add watches fd; events is EPOLLIN or EPOLLOUT. A closed descriptor leaves by itself. It may be called while another goroutine waits.
func (p *Poller) Add(fd int, events uint32) error {
	return unix.EpollCtl(p.fd, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: events, Fd: int32(fd)}) //nolint:gosec // a descriptor
}

// Wait returns the descriptors that are ready. Errors: os.ErrDeadlineExceeded once the deadline has passed, be they ready or not;
// os.ErrClosed after Close.
func (p *Poller) Wait() ([]unix.EpollEvent, error) {
	n := 0
	var inner error
	err := p.raw.Read(func(uintptr) bool {
		n, inner = ignoringEINTR(func() (int, error) { return unix.EpollWait(p.fd, p.events[:], 0) })
		return n != 0
	})
	return p.events[:max(n, 0)], errors.Join(err, inner)
}

// Deadline ends the next waits at t; the zero time takes a deadline away.
func (p *Poller) Deadline(t time.Time) { _ = p.file.SetReadDeadline(t) }

// Close ends a wait and all later ones.
func (p *Poller) Close() { _ = p.file.Close() }
