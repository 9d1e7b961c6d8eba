package measure

import (
	"bufio"
	"bytes"
	"io"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Usage is one reading. Sizes are bytes.
type Usage struct {
	CPUs       int     // processors granted, parts rounded up
	CPUPercent float64 // of what is granted, mean over the last window; 0 until there has been one
	MemTotal   int64   // granted
	MemUsed    int64   // without the page cache
	MemCache   int64   // page cache, which the kernel gives up when memory is short
	DiskTotal  int64   // of the root file system
	DiskUsed   int64
	DiskFree   int64 // to an ordinary user
	At         time.Time
}

// MinWindow is the shortest time that processor use is averaged over; calls in quicker succession get the last figure.
const MinWindow = 100 * time.Millisecond

// Meter reads Usage. The zero value reads this process's control group and the file system at "/". It is safe for
// concurrent use.
type Meter struct {
	Root string // where /proc and /sys are looked up, "" for "/": for tests

	mu      sync.Mutex
	at      time.Time
	used    time.Duration
	percent float64
}

// Read takes a reading. What cannot be read is 0.
func (m *Meter) Read() Usage {
	u := Usage{At: time.Now()}
	g := m.group()
	granted, used := g.cpu()
	u.CPUs = int(math.Ceil(granted - 1e-9))
	u.CPUPercent = m.window(u.At, used, granted)
	u.MemTotal, u.MemUsed, u.MemCache = g.memory()
	var st unix.Statfs_t
	if unix.Statfs(m.path("/"), &st) == nil {
		size := st.Frsize
		u.DiskTotal, u.DiskFree = int64(st.Blocks)*size, int64(st.Bavail)*size
		u.DiskUsed = int64(st.Blocks-st.Bfree) * size
	}
	return u
}

// window returns the percentage since the reading before, and starts a new window when the last is long enough.
func (m *Meter) window(now time.Time, used time.Duration, granted float64) float64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	passed := now.Sub(m.at)
	switch {
	case used < 0:
		return 0
	case m.at.IsZero():
	case passed < MinWindow:
		return m.percent
	default:
		m.percent = max(0, min(100, 100*float64(used-m.used)/float64(passed)/granted))
	}
	m.at, m.used = now, used
	return m.percent
}

func (m *Meter) path(p string) string { return filepath.Join(m.Root, "/", p) }

// group finds the files of this process's control groups. In a container they are at the mount itself, whatever path
// /proc/self/cgroup tells of the host's tree.
type group struct {
	m    *Meter
	v1   map[string]string // controller to path
	path string            // of version 2; "" where there is none
}

func (m *Meter) group() group {
	g := group{m: m, v1: map[string]string{}}
	data, _ := os.ReadFile(m.path("/proc/self/cgroup"))
	for line := range strings.Lines(string(data)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 {
			continue
		}
		if parts[1] == "" {
			g.path = parts[2]
			continue
		}
		for c := range strings.SplitSeq(parts[1], ",") {
			g.v1[c] = parts[2]
		}
	}
	return g
}

// open opens a control file: of version 1's controller, or of version 2 for "".
func (g group) open(controller, name string) (*os.File, bool) {
	mount, own := "/sys/fs/cgroup", g.path
	if controller != "" {
		p, ok := g.v1[controller]
		if !ok {
			return nil, false
		}
		mount, own = mount+"/"+controller, p
	}
	for _, dir := range []string{mount + own, mount} {
		if f, err := os.Open(g.m.path(dir + "/" + name)); err == nil {
			return f, true
		}
	}
	return nil, false
}

// file reads a control file, as open finds it.
func (g group) file(controller, name string) (string, bool) {
	f, ok := g.open(controller, name)
	if !ok {
		return "", false
	}
	defer f.Close() // only read from
	data, err := io.ReadAll(f)
	return strings.TrimSpace(string(data)), err == nil
}

func (g group) number(controller, name string) (int64, bool) {
	text, ok := g.file(controller, name)
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseInt(text, 10, 64)
	return n, err == nil
}

// cpu returns the processors granted and the processor time used by all processes of the sandbox, negative when
// nobody tells.
func (g group) cpu() (granted float64, used time.Duration) {
	granted, used = float64(runtime.NumCPU()), -1
	limit := func(quota, period float64) {
		if quota > 0 && period > 0 {
			granted = min(granted, quota/period)
		}
	}
	if text, ok := g.file("", "cpu.stat"); ok && len(g.v1["cpu"]) == 0 {
		used = time.Duration(field(text, "usage_usec")) * time.Microsecond
		if text, ok := g.file("", "cpu.max"); ok {
			quota, period, _ := strings.Cut(text, " ")
			q, _ := strconv.ParseFloat(quota, 64) // "max" is 0
			p, _ := strconv.ParseFloat(period, 64)
			limit(q, p)
		}
		return granted, used
	}
	if ns, ok := g.number("cpuacct", "cpuacct.usage"); ok {
		used = time.Duration(ns)
		quota, _ := g.number("cpu", "cpu.cfs_quota_us")
		period, _ := g.number("cpu", "cpu.cfs_period_us")
		limit(float64(quota), float64(period))
		return granted, used
	}
	data, err := os.ReadFile(g.m.path("/proc/stat"))
	if f := strings.Fields(string(data)); err == nil && len(f) > 8 && f[0] == "cpu" {
		var ticks int64
		for _, i := range []int{1, 2, 3, 6, 7} { // user, nice, system, irq, softirq: not idle, not waiting
			n, _ := strconv.ParseInt(f[i], 10, 64)
			ticks += n
		}
		used = time.Duration(ticks) * (time.Second / 100) // the kernel shows hundredths whatever it counts in
	}
	return granted, used
}

// memory returns what is granted, used and used as cache, in bytes.
func (g group) memory() (total, used, cache int64) {
	host := g.m.meminfo()
	total = host["MemTotal"]
	// what is in tmpfs counts as cache to the kernel, but it cannot be given up
	if now, ok := g.number("", "memory.current"); ok {
		stat, _ := g.file("", "memory.stat")
		cache = max(0, field(stat, "file")-field(stat, "shmem"))
		limit, _ := g.number("", "memory.max")
		return least(limit, total), max(0, now-cache), cache
	}
	if now, ok := g.number("memory", "memory.usage_in_bytes"); ok {
		stat, _ := g.file("memory", "memory.stat")
		cache = max(0, field(stat, "total_cache")-field(stat, "total_shmem"))
		limit, _ := g.number("memory", "memory.limit_in_bytes")
		return least(limit, total), max(0, now-cache), cache
	}
	cache = host["Cached"] + host["Buffers"] - host["Shmem"]
	return total, max(0, total-host["MemFree"]-cache), cache
}

// least is the smaller of a limit, where there is one, and what the machine has.
func least(limit, total int64) int64 {
	if limit > 0 && (total == 0 || limit < total) {
		return limit
	}
	return total
}

// meminfo is /proc/meminfo in bytes.
func (m *Meter) meminfo() map[string]int64 {
	info := map[string]int64{}
	data, _ := os.ReadFile(m.path("/proc/meminfo"))
	for s := bufio.NewScanner(bytes.NewReader(data)); s.Scan(); {
		key, rest, _ := strings.Cut(s.Text(), ":")
		n, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
		if err == nil {
			info[key] = n << 10
		}
	}
	return info
}

// field finds "key number" among lines.
func field(text, key string) int64 {
	for line := range strings.Lines(text) {
		if k, v, _ := strings.Cut(strings.TrimSpace(line), " "); k == key {
			n, _ := strconv.ParseInt(v, 10, 64)
			return n
		}
	}
	return 0
}
