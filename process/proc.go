package process

import (
	"bytes"
	"os"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/sandlot-dev/sandlot/internal/linux"
)

// proc is a running process as /proc shows it. Pid and start time together are never used twice.
type proc struct {
	pid, parent, group, session int
	started                     uint64 // clock ticks since boot
	terminal                    bool   // it has a controlling terminal
	state                       byte   // as ps shows it: R runs or could, T is stopped
}

// ticks is the present time in the unit of proc.started, less up to 1 s, because start times are coarse and are not
// rounded alike everywhere.
func ticks() uint64 {
	const perSecond = 100 // in /proc, whatever the kernel's own rate is
	var now unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &now) != nil || now.Sec < 1 {
		return 0
	}
	return uint64(now.Sec-1) * perSecond
}

// pids lists the ids of all processes but this one, the dead that were not waited for included.
func pids() []int {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	names, err := dir.Readdirnames(-1)
	_ = dir.Close() // opened for reading
	if err != nil {
		return nil
	}
	all := make([]int, 0, len(names))
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil && pid != os.Getpid() {
			all = append(all, pid)
		}
	}
	return all
}

// running lists every process but this one and the dead.
func running() []proc {
	ids := pids()
	all := make([]proc, 0, len(ids))
	for _, pid := range ids {
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
	n, err := linux.RetryValue(func() (int, error) { return unix.Read(fd, buf[:]) })
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
	return proc{
		pid: pid, parent: number(1), group: number(2), session: number(3),
		started: started, terminal: number(4) != 0, state: f[0][0],
	}, true
}

// lastPIDFiles hold, as their last word, the pid that was given out last in this sandbox. Not every kernel has the
// first one; of the second, lxcfs may have put the whole machine's in its place.
var lastPIDFiles = []string{"/proc/sys/kernel/ns_last_pid", "/proc/loadavg"}

// lastPID is the pid that was given out last, as text; "" where no file has it.
func lastPID() string {
	for _, file := range lastPIDFiles {
		if raw, err := os.ReadFile(file); err == nil {
			raw = bytes.TrimSpace(raw)
			return string(raw[bytes.LastIndexByte(raw, ' ')+1:])
		}
	}
	return ""
}

// environs are buffers for marked.
var environs = sync.Pool{New: func() any { return new([64 << 10]byte) }}

// marked reports whether the environment that the process was given has an entry that begins with variable
// (NAME=value).
func marked(pid int, variable string) bool {
	f, err := os.Open("/proc/" + strconv.Itoa(pid) + "/environ")
	if err != nil {
		return false
	}
	defer f.Close() // opened for reading
	want := []byte("\x00" + variable)
	pooled := environs.Get().(*[64 << 10]byte)
	defer environs.Put(pooled)
	buf := pooled[:]
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
