package process

import (
	"bytes"
	"errors"
	"os"
	"slices"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// proc is a running process as /proc shows it. Pid and start time together are never used twice.
type proc struct {
	pid, parent, group, session int
	started                     uint64 // clock ticks since boot
}

// ticks is the present time as proc.started has it, or up to 1 s less: that is coarse, and not rounded alike everywhere.
func ticks() uint64 {
	const perSecond = 100 // in /proc, whatever the kernel's own rate is
	var now unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &now) != nil || now.Sec < 1 {
		return 0
	}
	return uint64(now.Sec-1) * perSecond
}

// finder lists the processes of a set as they are now.
type finder func() []proc

// running lists every process but this one and the dead.
func running() []proc {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	names, err := dir.Readdirnames(-1)
	_ = dir.Close()
	if err != nil {
		return nil
	}
	all := make([]proc, 0, len(names))
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil || pid == os.Getpid() {
			continue
		}
		if p, ok := stat(pid); ok {
			all = append(all, p)
		}
	}
	return all
}

// stat reads one process; ok is false when it has ended, though its parent may not have waited for it yet.
func stat(pid int) (proc, bool) {
	fd, err := unix.Open("/proc/"+strconv.Itoa(pid)+"/stat", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return proc{}, false
	}
	var buf [1 << 10]byte // the kernel writes less than half of it
	n, err := ignoringEINTR(func() (int, error) { return unix.Read(fd, buf[:]) })
	_ = unix.Close(fd) // it was read
	if err != nil {
		return proc{}, false
	}
	data := buf[:n]
	f := bytes.Fields(data[bytes.LastIndexByte(data, ')')+1:]) // the name before may hold anything
	if len(f) < 20 || f[0][0] == 'Z' || f[0][0] == 'X' {
		return proc{}, false
	}
	number := func(i int) int { n, _ := strconv.Atoi(string(f[i])); return n } // the kernel's own numbers
	started, _ := strconv.ParseUint(string(f[19]), 10, 64)                     // as above
	return proc{pid: pid, parent: number(1), group: number(2), session: number(3), started: started}, true
}

// below adds to set all of its processes' descendants among all.
func below(all []proc, set map[int]proc) {
	for grew := true; grew; {
		grew = false
		for _, p := range all {
			if _, in := set[p.pid]; in {
				continue
			}
			if _, child := set[p.parent]; child {
				set[p.pid] = p
				grew = true
			}
		}
	}
}

// scan is find, but does not take the set for empty while processes are being started: one that is forked behind the end of the listing,
// and whose parent has gone before it was read, is in no single one.
func scan(find finder) []proc {
	for range 10 {
		last := lastPID()
		if found := find(); len(found) > 0 || last == lastPID() {
			return found
		}
	}
	return nil
}

// lastPID is the pid that was given out last, in words; "" where that is not told.
func lastPID() string {
	raw, err := os.ReadFile("/proc/loadavg")
	fields := bytes.Fields(raw)
	if err != nil || len(fields) < 5 {
		return ""
	}
	return string(fields[4])
}

// marked reports whether the environment that the process was given has an entry that begins with variable (NAME=value).
func marked(pid int, variable string) bool {
	f, err := os.Open("/proc/" + strconv.Itoa(pid) + "/environ")
	if err != nil {
		return false
	}
	defer f.Close() // opened for reading
	want := []byte("\x00" + variable)
	buf := newBlock()
	defer freeBlock(buf)
	buf[0] = 0
	for have := 1; ; {
		n, err := f.Read(buf[have:])
		have += n
		if bytes.Contains(buf[:have], want) {
			return true
		}
		if err != nil {
			return false
		}
		keep := min(have, len(want)-1)
		copy(buf, buf[have-keep:have])
		have = keep
	}
}

// send signals p unless its pid belongs to another process by now.
func send(p proc, sig syscall.Signal) {
	fd, err := unix.PidfdOpen(p.pid, 0)
	if err != nil && !errors.Is(err, unix.ESRCH) {
		fd = -1 // no pidfd here: the check below makes a mistake all but impossible
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
	_, _ = ignoringEINTR(func() (int, error) {
		left := int(time.Until(deadline).Milliseconds())
		return unix.Poll(fds, max(left, 0))
	})
}

// allGone waits until nothing is left of the set, and reports false when the deadline came first.
func allGone(find finder, deadline time.Time) bool {
	return allGoneUnless(find, deadline, func([]proc) (hopeless bool, next time.Time) { return false, deadline })
}

// allGoneUnless is allGone that also gives up when what is left is hopeless. That is looked at whenever one has ended, and at the next time told:
// nothing says when a process starts another.
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

// killAll ends the set at once and reports whether all of it is gone by the deadline. Stopping before killing keeps every parent alive
// until all of its descendants were seen, so none is lost by being orphaned in between.
func killAll(find finder, deadline time.Time) bool {
	var stopped []proc
	for time.Now().Before(deadline) {
		fresh := scan(func() []proc {
			return slices.DeleteFunc(find(), func(p proc) bool { return slices.Contains(stopped, p) })
		})
		if len(fresh) == 0 {
			break
		}
		for _, p := range fresh {
			send(p, unix.SIGSTOP)
		}
		stopped = append(stopped, fresh...)
	}
	for _, p := range stopped {
		send(p, unix.SIGKILL)
	}
	return allGone(func() []proc {
		left := find()
		for _, p := range left {
			send(p, unix.SIGKILL)
		}
		return left
	}, deadline)
}

// manyMore is how many processes a set may start after it was asked to end. Programs run some to clean up; a fork bomb runs more.
const manyMore = 64

// endAll asks the set to end, by SIGTERM and as if its terminal were gone, and kills what is left after grace, or as soon as it has
// started many more.
func endAll(find finder, grace, force time.Duration) bool {
	type id struct {
		pid     int
		started uint64
	}
	known, more := make(map[id]bool), 0
	for _, p := range find() {
		known[id{p.pid, p.started}] = true
		for _, sig := range []syscall.Signal{unix.SIGTERM, unix.SIGHUP, unix.SIGCONT} {
			send(p, sig)
		}
	}
	pause := 50 * time.Millisecond
	bomb := func(left []proc) (bool, time.Time) {
		for _, p := range left {
			if i := (id{p.pid, p.started}); !known[i] {
				known[i] = true
				more++
			}
		}
		pause *= 2
		return more > manyMore, time.Now().Add(pause)
	}
	return allGoneUnless(find, time.Now().Add(grace), bomb) || killAll(find, time.Now().Add(force))
}
