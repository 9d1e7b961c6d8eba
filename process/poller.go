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
	keys   [4]int32
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
	f := os.NewFile(uintptr(fd), "epoll")
	raw, err := f.SyscallConn()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &Poller{file: f, raw: raw, fd: fd}, nil
}

// Add watches fd; events is EPOLLIN or EPOLLOUT, and key is what Wait says of it. An event of a descriptor may have been
// taken before it is removed: keys that are not used twice tell it from a later descriptor of the same number. Add may be called while
// another goroutine waits.
func (p *Poller) Add(fd int, events uint32, key int32) error {
	return unix.EpollCtl(p.fd, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: events, Fd: key})
}

// Remove ends the watch of fd. It must be called before fd is closed: a child that another goroutine is about to start holds a copy until
// its exec, and keeps a merely closed descriptor watched.
func (p *Poller) Remove(fd int) { _ = unix.EpollCtl(p.fd, unix.EPOLL_CTL_DEL, fd, nil) }

// Wait returns the keys of descriptors that are ready. Errors: os.ErrDeadlineExceeded once the deadline has passed, be they ready or not;
// os.ErrClosed after Close. The slice is valid until the next call.
func (p *Poller) Wait() ([]int32, error) {
	n := 0
	var inner error
	err := p.raw.Read(func(uintptr) bool {
		n, inner = ignoringEINTR(func() (int, error) { return unix.EpollWait(p.fd, p.events[:], 0) })
		return n != 0
	})
	n = max(n, 0)
	for i, e := range p.events[:n] {
		p.keys[i] = e.Fd
	}
	return p.keys[:n], errors.Join(err, inner)
}

// Deadline ends the next waits at t; the zero time takes a deadline away.
func (p *Poller) Deadline(t time.Time) { _ = p.file.SetReadDeadline(t) }

// Close ends a wait and all later ones.
func (p *Poller) Close() { _ = p.file.Close() }
