package process

import (
	"errors"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sandlot-dev/sandlot/internal/linux"
)

// Poller waits on several descriptors and returns them in the order in which they became ready. Wait waits through
// the runtime, so that a waiting goroutine costs no thread; WaitHere waits in the calling thread, which sees an event
// sooner. Inside is an epoll descriptor of the descriptors, and a second one that holds the first: the runtime waits
// on it, and gets one event after each Arm.
type Poller struct {
	gate   *os.File
	gateFD int
	raw    syscall.RawConn

	mu     sync.Mutex
	set    int // of the descriptors
	users  int // of set
	closed bool
}

// use gives set to f, which may last. Error: os.ErrClosed after Close.
func (p *Poller) use(f func(set int) error) error {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return os.ErrClosed
	}
	p.users++
	p.mu.Unlock()
	err := f(p.set)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.users--
	p.freeLocked()
	return err
}

func (p *Poller) freeLocked() {
	if p.closed && p.users == 0 {
		_ = unix.Close(p.set)
		p.users = -1 // no second time
	}
}

// NewPoller returns a Poller of nothing, not armed.
func NewPoller() (*Poller, error) {
	set, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	gate, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, errors.Join(err, unix.Close(set))
	}
	err = unix.EpollCtl(gate, unix.EPOLL_CTL_ADD, set, &unix.EpollEvent{Events: unix.EPOLLONESHOT})
	if err == nil {
		err = unix.SetNonblock(gate, true)
	}
	if err != nil {
		return nil, errors.Join(err, unix.Close(set), unix.Close(gate))
	}
	f := os.NewFile(uintptr(gate), "epoll")
	raw, err := f.SyscallConn()
	if err != nil {
		return nil, errors.Join(err, unix.Close(set), f.Close())
	}
	return &Poller{set: set, gate: f, gateFD: gate, raw: raw}, nil
}

// Add watches fd; events are those of epoll, and key is what Ready has for it. An event may be returned after its
// descriptor was removed; keys that are not used twice distinguish it from one of a later descriptor with the same
// number. Add may be called while another goroutine waits.
func (p *Poller) Add(fd int, events uint32, key int32) error {
	return p.control(unix.EPOLL_CTL_ADD, fd, events, key)
}

// Change watches fd, which was added, for other events; one added with EPOLLONESHOT needs it after each.
func (p *Poller) Change(fd int, events uint32, key int32) error {
	return p.control(unix.EPOLL_CTL_MOD, fd, events, key)
}

func (p *Poller) control(op, fd int, events uint32, key int32) error {
	return p.use(func(set int) error { return unix.EpollCtl(set, op, fd, &unix.EpollEvent{Events: events, Fd: key}) })
}

// Remove ends the watch of fd. It must be called before fd is closed: a child that another goroutine is about to
// start holds a copy until its exec, and keeps a merely closed descriptor watched.
func (p *Poller) Remove(fd int) { _ = p.control(unix.EPOLL_CTL_DEL, fd, 0, 0) }

// Arm makes the next event end Wait, or one that is there already.
func (p *Poller) Arm() {
	_ = p.use(func(set int) error {
		return unix.EpollCtl(p.gateFD, unix.EPOLL_CTL_MOD, set, &unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLONESHOT})
	})
}

// Ready is what a wait found.
type Ready struct {
	events [4]unix.EpollEvent
	n      int
}

// Keys gives the keys of descriptors that are ready, in the order in which they became so.
func (r *Ready) Keys(yield func(int32) bool) {
	for _, e := range r.events[:r.n] {
		if !yield(e.Fd) {
			return
		}
	}
}

// Wait waits for an event after Arm; WaitHere then tells which. Error: os.ErrClosed after Close.
func (p *Poller) Wait() error {
	var inner error
	err := p.raw.Read(func(fd uintptr) bool {
		var gate [1]unix.EpollEvent
		n, err := linux.RetryValue(func() (int, error) { return unix.EpollWait(int(fd), gate[:], 0) })
		inner = err
		return n != 0
	})
	return errors.Join(err, inner)
}

// WaitHere waits in the calling thread, at most d, rounded up to milliseconds. It finds nothing when that is over.
// Close does not end it. Error: os.ErrClosed after Close.
func (p *Poller) WaitHere(r *Ready, d time.Duration) error {
	ms := int((d + time.Millisecond - 1) / time.Millisecond)
	r.n = 0
	return p.use(func(set int) (err error) {
		r.n, err = linux.RetryValue(func() (int, error) { return unix.EpollWait(set, r.events[:], ms) })
		r.n = max(r.n, 0)
		return err
	})
}

// Close ends a Wait and all later ones. Later calls do nothing.
func (p *Poller) Close() {
	p.mu.Lock()
	p.closed = true
	p.freeLocked()
	p.mu.Unlock()
	_ = p.gate.Close()
}
