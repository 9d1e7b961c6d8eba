package process

import (
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/sandlot-dev/sandlot/internal/linux"
)

// child is a process that was started here and has not been waited for, or how it ended.
type child struct {
	pid   int
	pidfd int      // -1 where the kernel has none
	file  *os.File // owns pidfd once it is waited for

	ended  chan struct{} // closed when exit is set
	exit   exit
	notify func(exit) // called then
	soon   bool       // collectSoon reaps it; sweep skips it
}

type exit struct {
	stopped bool           // not an end: a signal stopped the process, which may go on
	code    int            // 0-255; 128+n after signal n
	signal  syscall.Signal // 0 when it exited by itself
	usage   unix.Rusage
}

// children owns every wait of the program. A child is collected once, by whoever sees its end first: its own watcher
// through the pidfd, or sweep. Both hold mu for it, and so does whoever sends a signal, so the pid of a child in live
// is never a reused one.
type children struct {
	sweeps bool         // a reaper runs, which sees every end
	soon   atomic.Int32 // calls of collectSoon

	untraceable atomic.Bool // no argument can be hidden here

	mu       sync.Mutex
	live     map[int]*child
	tracers  int          // threads that are starting a traced child, which is not in live yet
	passed   bool         // sweep has stopped early, at a child of collectSoon or of a tracer, which calls it again
	starting int          // starts that have not returned
	early    map[int]exit // ends that sweep collected meanwhile, by pid: one may be that of a child being started
}

func newChildren() *children {
	return &children{live: map[int]*child{}, early: map[int]exit{}}
}

// start starts the program at path in a child with the tag, 0 for none. notify is called once with the child's end,
// by whoever sees it, maybe before start returns.
func (c *children) start(path string, p program, attr *syscall.ProcAttr, t tag, notify func(exit)) (*child, error) {
	pidfd := -1
	attr.Sys.PidFD = &pidfd
	c.mu.Lock()
	c.starting++
	c.mu.Unlock()

	pid, err := c.fork(path, p, attr, t)

	ch := &child{pid: pid, pidfd: pidfd, ended: make(chan struct{}), notify: notify}
	c.mu.Lock()
	e, over := c.early[pid]
	if over = over && err == nil && !ch.waitable(); over {
		ch.exit = e
		close(ch.ended)
	} else if err == nil {
		c.live[pid] = ch
	}
	if c.starting--; c.starting == 0 {
		clear(c.early)
	}
	c.mu.Unlock()
	if err != nil {
		return nil, err
	}
	if over {
		notify(e)
	}
	return ch, nil
}

// waitable reports whether the child can still be waited for. If so, an end that sweep collected under its pid was
// that of an earlier orphan.
func (ch *child) waitable() bool {
	_, _, err := waitid(ch.idType(), ch.id(), unix.WEXITED|unix.WNOHANG|unix.WNOWAIT)
	return err == nil
}

func (ch *child) idType() int {
	if ch.pidfd >= 0 {
		return unix.P_PIDFD
	}
	return unix.P_PID
}

func (ch *child) id() int {
	if ch.pidfd >= 0 {
		return ch.pidfd
	}
	return ch.pid
}

// wait waits for the child's end: through the runtime by the pidfd, else by the sweep where there is one, else in a
// thread.
func (c *children) wait(ch *child) {
	if ch.pidfd >= 0 {
		c.waitByFD(ch)
	} else if !c.sweeps {
		c.waitInThread(ch)
	}
	<-ch.ended
}

func (c *children) waitByFD(ch *child) {
	_, err := unix.FcntlInt(uintptr(ch.pidfd), unix.F_SETFL, unix.O_NONBLOCK) // the runtime waits without a thread
	ch.file = os.NewFile(uintptr(ch.pidfd), "pidfd")
	raw, connErr := ch.file.SyscallConn()
	if err == nil && connErr == nil {
		err = raw.Read(func(uintptr) bool { return c.collect(ch) })
	}
	if err != nil || connErr != nil { // the runtime cannot wait for it: a thread does
		_, _ = unix.FcntlInt(uintptr(ch.pidfd), unix.F_SETFL, 0)
		c.waitInThread(ch)
	}
}

func (c *children) waitInThread(ch *child) {
	for ended := false; !ended; {
		_, _, _ = waitid(ch.idType(), ch.id(), unix.WEXITED|unix.WNOWAIT)
		ended = c.collect(ch)
	}
}

// maxSoon is how many threads may wait in collectSoon at the same time. In a sandbox that is full of processes, no new
// thread can be made.
const maxSoon = 8

// collectSoon reaps a child whose output is at its end. Such a child is about to exit, so it waits 2 ms for it: that
// is faster than to be woken by sweep. While ch.soon is set, sweep skips this child; collectSoon reaps it instead and
// calls sweep again if it stopped there.
func (c *children) collectSoon(ch *child) {
	defer c.soon.Add(-1)
	if c.soon.Add(1) > maxSoon || ch.pidfd < 0 {
		return
	}
	c.mu.Lock()
	ch.soon = true
	c.mu.Unlock()
	const moment = 2 // ms
	_, _ = unix.Poll([]unix.PollFd{{Fd: int32(ch.pidfd), Events: unix.POLLIN}}, moment)
	c.mu.Lock()
	ch.soon = false
	_, first := c.collectLocked(ch)
	passed := c.passed
	c.passed = false
	c.mu.Unlock()
	if first {
		ch.notify(ch.exit)
	}
	if passed {
		c.sweep()
	}
}

// collect takes the child's end if it has come.
func (c *children) collect(ch *child) (ended bool) {
	c.mu.Lock()
	ended, first := c.collectLocked(ch)
	c.mu.Unlock()
	if first {
		ch.notify(ch.exit)
	}
	return ended
}

// collectLocked is collect with mu held. If first is set, the caller calls notify when it has released mu.
func (c *children) collectLocked(ch *child) (ended, first bool) {
	if c.live[ch.pid] != ch {
		return true, false
	}
	pid, e, err := waitid(ch.idType(), ch.id(), unix.WEXITED|unix.WNOHANG)
	if err == nil && (pid == 0 || e.stopped) {
		return false, false
	}
	if err != nil { // somebody else in this program waited for it, against the rule of this package
		e = exit{code: -1}
	}
	ch.exit = e
	delete(c.live, ch.pid)
	close(ch.ended)
	return true, true
}

// has reports whether a process is a child that was started here.
func (c *children) has(pid int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.live[pid] != nil
}

// running reports whether a child has not been waited for.
func (c *children) running(ch *child) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.live[ch.pid] == ch
}

// close gives up the pidfd of an ended child.
func (c *children) close(ch *child) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case ch.file != nil:
		_ = ch.file.Close()
	case ch.pidfd >= 0:
		_ = unix.Close(ch.pidfd)
	}
	ch.pidfd = -1
}

// signal sends sig to the child, or to its whole process group. It reports false when the child has ended.
func (c *children) signal(ch *child, sig syscall.Signal, group bool) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.live[ch.pid] != ch {
		return false
	}
	pid := ch.pid
	if group {
		pid = -pid
	}
	return syscall.Kill(pid, sig) == nil
}

// limit sets a soft and hard limit of a child that has not ended.
func (c *children) limit(ch *child, resource int, value uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.live[ch.pid] == ch {
		_ = unix.Prlimit(ch.pid, resource, &unix.Rlimit{Cur: value, Max: value}, nil) // another user's is not ours to limit
	}
}

// sweep collects every child that has ended: those that were started here, and orphans that came to this process.
func (c *children) sweep() {
	for {
		pid, e, err := waitid(unix.P_ALL, 0, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT)
		if err != nil || pid == 0 {
			return
		}
		c.mu.Lock()
		ch, first := c.live[pid], false
		if ch != nil && ch.soon || ch == nil && e.stopped && c.tracers > 0 { // waitid would give it again and again
			c.passed = true
			c.mu.Unlock()
			return
		}
		if ch != nil {
			_, first = c.collectLocked(ch)
		} else {
			c.reapOrphanLocked(pid)
		}
		c.mu.Unlock()
		if first {
			ch.notify(ch.exit)
		}
	}
}

// reapOrphanLocked reaps what has ended and is not in live. While starts go on it may be the child of one of them, so
// its exit is kept.
func (c *children) reapOrphanLocked(pid int) {
	got, e, err := waitid(unix.P_PID, pid, unix.WEXITED|unix.WNOHANG)
	if err == nil && got == pid && !e.stopped && c.starting > 0 {
		c.early[pid] = e
	}
}

// reap sweeps on every SIGCHLD until stop is closed, and calls swept after each sweep.
func (c *children) reap(stop <-chan struct{}, swept func()) {
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, unix.SIGCHLD)
	defer signal.Stop(ended)
	ignoreStops()
	for {
		c.sweep()
		swept()
		select {
		case <-ended:
		case <-stop:
			return
		}
	}
}

// ignoreStops sets SA_NOCLDSTOP on the runtime's handler of SIGCHLD, so that a child that stops, as each traced one
// does at its start, does not wake reap. Where that fails, each stop costs one more sweep.
func ignoreStops() {
	const flags, noStops, maskSize = 1, 1, 8 // the index of sa_flags in the kernel's struct; SA_NOCLDSTOP
	var action [4]uintptr
	_, _, errno := unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(unix.SIGCHLD),
		0, uintptr(unsafe.Pointer(&action)), maskSize, 0, 0)
	if errno == 0 {
		action[flags] |= noStops
		_, _, _ = unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(unix.SIGCHLD),
			uintptr(unsafe.Pointer(&action)), 0, maskSize, 0, 0)
	}
}

// tracing changes the number of tracers by 1 or -1. While there are some, sweep leaves stopped children to them.
func (c *children) tracing(change int) {
	c.mu.Lock()
	c.tracers += change
	passed := change < 0 && c.passed
	if passed {
		c.passed = false
	}
	c.mu.Unlock()
	if passed {
		c.sweep()
	}
}

// waitid is waitid(2); pid is 0 when nothing has ended yet. Any child may ask to be traced by this program. Each stop
// of such a child is returned with exit.stopped, whatever the options say, and once unless WNOWAIT is set. The child
// stays stopped.
func waitid(idType, id, options int) (pid int, e exit, err error) {
	// The kernel's siginfo_t for SIGCHLD; x/sys leaves these fields without names.
	var info struct {
		signo, errno, code int32
		_                  [unsafe.Sizeof(uintptr(0)) - 4]byte
		pid, uid, status   int32
		_                  [128 - 6*4 - (unsafe.Sizeof(uintptr(0)) - 4)]byte
	}
	err = linux.Retry(func() error {
		_, _, errno := unix.Syscall6(unix.SYS_WAITID, uintptr(idType), uintptr(id), uintptr(unsafe.Pointer(&info)),
			uintptr(options), uintptr(unsafe.Pointer(&e.usage)), 0)
		if errno != 0 {
			return errno
		}
		return nil
	})
	if err != nil {
		return 0, exit{}, err
	}
	const exited, dumped = 1, 3 // CLD_EXITED to CLD_DUMPED; those between are ends by signal, those above stops
	e.code, e.stopped = int(info.status), info.code > dumped
	if info.code != exited {
		e.signal = syscall.Signal(info.status)
		e.code = 128 + int(info.status)
	}
	return int(info.pid), e, nil
}
