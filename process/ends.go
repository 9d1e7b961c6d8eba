package process

import (
	"bytes"
	"errors"
	"os"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sandlot-dev/sandlot/internal/linux"
)

const (
	// hangUpAfter is how long a process has between SIGTERM and SIGHUP.
	hangUpAfter = time.Second

	// manyMore is how many processes a set may start after it was asked to end. Programs run some to clean up; a fork
	// bomb runs more.
	manyMore = 64

	// crowded is the number of processes from which on ending some of them begins by stopping all.
	crowded = 256
)

// identity distinguishes a process from every other one, also from a later one with the same pid.
type identity struct {
	pid     int
	started uint64
}

func (p proc) identity() identity { return identity{p.pid, p.started} }

// send signals p unless its pid belongs to another process by now.
func send(p proc, sig syscall.Signal) {
	fd, err := unix.PidfdOpen(p.pid, 0)
	if err != nil && !errors.Is(err, unix.ESRCH) {
		fd = -1 // no pidfd here: the check below leaves a mistake very unlikely
	} else if err != nil {
		return
	}
	if now, ok := stat(p.pid); !ok || now.started != p.started {
		sig = 0
	}
	if fd < 0 {
		_ = unix.Kill(p.pid, sig)
		return
	}
	_ = unix.PidfdSendSignal(fd, sig, nil, 0) // it may have ended
	_ = unix.Close(fd)
}

// someGone waits until one of the first of a set has ended, or until the deadline.
func someGone(set []proc, deadline time.Time) {
	var fds []unix.PollFd
	defer func() {
		for _, fd := range fds {
			_ = unix.Close(int(fd.Fd)) // nothing was written
		}
	}()
	for _, p := range set[:min(len(set), 64)] {
		fd, err := unix.PidfdOpen(p.pid, 0)
		if err != nil {
			return
		}
		fds = append(fds, unix.PollFd{Fd: int32(fd), Events: unix.POLLIN})
		if now, ok := stat(p.pid); !ok || now.started != p.started {
			return
		}
	}
	_, _ = linux.RetryValue(func() (int, error) {
		left := int(time.Until(deadline).Milliseconds())
		return unix.Poll(fds, max(left, 0))
	})
}

// allGone waits until nothing is left of the set, and reports false when the deadline came first.
func allGone(find finder, deadline time.Time) bool {
	return allGoneUnless(find, deadline, func([]proc) (hopeless bool, next time.Time) { return false, deadline })
}

// allGoneUnless is allGone, but gives up when look finds what is left hopeless. It calls look whenever a process has
// ended, and at the time that look returned last, because no event says that a process has started another.
func allGoneUnless(find finder, deadline time.Time, look func(left []proc) (hopeless bool, next time.Time)) bool {
	for {
		left := scan(find)
		if len(left) == 0 {
			return true
		}
		hopeless, next := look(left)
		if hopeless || !time.Now().Before(deadline) {
			return false
		}
		if next.After(deadline) {
			next = deadline
		}
		someGone(left, next)
	}
}

// killAll ends the set at once and reports whether all of it is gone by the deadline. Stopping before killing keeps
// every parent alive until all of its descendants were seen, so none is lost by being orphaned in between. Where
// processes are started as fast as they are stopped, or there are very many, the whole sandbox is stopped for the
// moment, if this is its process 1.
func killAll(find finder, deadline time.Time) bool {
	still := func() {}
	if len(pids()) > crowded {
		still = standStill()
	}
	defer func() { still() }()
	stopped := make(map[identity]bool)
	var set []proc
	for pass := 0; time.Now().Before(deadline); pass++ {
		fresh := scan(func() []proc {
			return slices.DeleteFunc(find(), func(p proc) bool { return stopped[p.identity()] })
		})
		if len(fresh) == 0 {
			break
		}
		if pass == 2 {
			still()
			still = standStill()
		}
		for _, p := range fresh {
			send(p, unix.SIGSTOP)
			stopped[p.identity()] = true
		}
		set = append(set, fresh...)
	}
	for _, p := range set {
		send(p, unix.SIGKILL)
	}
	still()
	still = func() {}
	return allGone(func() []proc {
		left := find()
		for _, p := range left {
			send(p, unix.SIGKILL)
		}
		return left
	}, deadline)
}

// endAll asks the set to end by SIGTERM, and kills what is left after grace, or as soon as it has started many more.
// Interactive shells ignore SIGTERM, so they get SIGHUP at once. What is left after hangUpAfter gets SIGHUP then,
// except what handles SIGTERM and would die of SIGHUP: it is cleaning up. A set of more than crowded has a grace of
// hangUpAfter at most.
func endAll(find finder, grace, force time.Duration) bool {
	known := make(map[identity]bool)
	still := func() {}
	if len(pids()) > crowded {
		still = standStill() // else what forks gets more processor time than this program
	}
	asked := find()
	for _, p := range asked {
		known[p.identity()] = true
		shell := p.terminal && handles(p.pid).interactive()
		send(p, unix.SIGTERM)
		if shell {
			send(p, unix.SIGHUP)
		}
		send(p, unix.SIGCONT)
	}
	still()
	if len(asked) > crowded {
		grace = min(grace, hangUpAfter)
	}
	began := time.Now()
	more, hungUp := 0, false
	pause := 50 * time.Millisecond
	look := func(left []proc) (bool, time.Time) {
		for _, p := range left {
			if !known[p.identity()] {
				known[p.identity()] = true
				more++
			}
		}
		if !hungUp && time.Since(began) >= hangUpAfter {
			hungUp = true
			hangUp(left, asked)
		}
		pause *= 2
		next := time.Now().Add(pause)
		if at := began.Add(hangUpAfter); !hungUp && next.After(at) {
			next = at
		}
		return more > manyMore, next
	}
	return allGoneUnless(find, began.Add(grace), look) || killAll(find, time.Now().Add(force))
}

// hangUp sends SIGHUP to those of asked that are left, except those that handle SIGTERM and would die of SIGHUP.
func hangUp(left, asked []proc) {
	for _, p := range left {
		was := slices.ContainsFunc(asked, func(a proc) bool { return a.identity() == p.identity() })
		if was && !handles(p.pid).cleansUp() {
			send(p, unix.SIGHUP)
		}
	}
}

// handling is what a process does about signals: a bit for each, the lowest for signal 1.
type handling struct{ ignored, caught uint64 }

// handles reads what a process does about signals. It returns zero for a process that is gone.
func handles(pid int) handling {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return handling{}
	}
	set := func(name string) uint64 {
		_, rest, _ := bytes.Cut(data, []byte("\n"+name+":\t"))
		digits, _, _ := bytes.Cut(rest, []byte("\n"))
		n, _ := strconv.ParseUint(string(digits), 16, 64) // the kernel's own number
		return n
	}
	return handling{ignored: set("SigIgn"), caught: set("SigCgt")}
}

func bit(sig syscall.Signal) uint64 { return 1 << (sig - 1) }

// interactive reports whether a process with a terminal is a shell that somebody types into.
func (h handling) interactive() bool {
	return h.ignored&bit(unix.SIGTERM) != 0 && h.ignored&bit(unix.SIGHUP) == 0
}

// cleansUp reports whether a process handles SIGTERM and would die of SIGHUP.
func (h handling) cleansUp() bool {
	return h.caught&bit(unix.SIGTERM) != 0 && h.caught&bit(unix.SIGHUP) == 0
}

// outlives reports whether nohup started a process.
func (h handling) outlives() bool {
	return h.ignored&bit(unix.SIGHUP) != 0 && h.ignored&bit(unix.SIGTERM) == 0
}

// stillness is held while the sandbox stands still.
var stillness sync.Mutex

// standStill stops every process of the sandbox in one system call, so that none escapes by starting others. goOn
// lets them go on, except those that were stopped before. Outside process 1 it does nothing, because there it would
// stop processes that are not the sandbox's.
func standStill() (goOn func()) {
	if os.Getpid() != 1 {
		return func() {}
	}
	stillness.Lock()
	// Looking at all of them takes too long when this program gets little processor time. The oldest come first, because
	// they are not part of a fork bomb.
	before := make(map[identity]bool)
	for soon, ids := time.Now().Add(200*time.Millisecond), pids(); len(ids) > 0 && time.Now().Before(soon); ids = ids[1:] {
		if p, ok := stat(ids[0]); ok && (p.state == 'T' || p.state == 't') {
			before[p.identity()] = true
		}
	}
	_ = unix.Kill(-1, unix.SIGSTOP) // this program is left out; an error says that there is no other
	return func() {
		defer stillness.Unlock()
		for _, p := range childrenFirst(running()) { // a parent must not see its child stopped
			if p.state == 'T' && !before[p.identity()] {
				send(p, unix.SIGCONT)
			}
		}
	}
}

// childrenFirst sorts processes so that none comes before its children.
func childrenFirst(all []proc) []proc {
	parent := make(map[int]int, len(all))
	for _, p := range all {
		parent[p.pid] = p.parent
	}
	depths := make(map[int]int, len(all))
	for _, p := range all {
		for up := p.pid; parent[up] != 0 && depths[p.pid] <= len(all); up = parent[up] {
			depths[p.pid]++
		}
	}
	slices.SortFunc(all, func(a, b proc) int { return depths[b.pid] - depths[a.pid] })
	return all
}
