package measure

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
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

// Meter reads Usage. The zero value reads this process's control group and the file system at "/". It keeps the files
// that it reads open. It is safe for concurrent use.
type Meter struct {
	Root string // where /proc and /sys are looked up, "" for "/": for tests

	mu      sync.Mutex
	at      time.Time
	used    time.Duration
	percent float64
	files   map[string]*os.File // open ones by name: of controlFile, or a path
	last    group               // of the last reading
	buf     []byte
}

// Read takes a reading. What cannot be read is 0.
func (m *Meter) Read() Usage {
	m.mu.Lock()
	defer m.mu.Unlock()
	u := Usage{At: time.Now()}
	g := m.groupLocked()
	granted, used := g.cpu()
	u.CPUs = int(math.Ceil(granted - 1e-9))
	u.CPUPercent = m.windowLocked(u.At, used, granted)
	u.MemTotal, u.MemUsed, u.MemCache = g.memory()
	var st unix.Statfs_t
	if unix.Statfs(m.path("/"), &st) == nil {
		size := st.Frsize
		u.DiskTotal, u.DiskFree = int64(st.Blocks)*size, int64(st.Bavail)*size
		u.DiskUsed = int64(st.Blocks-st.Bfree) * size
	}
	return u
}

// windowLocked returns the percentage since the reading before, and starts a new window when the last is long enough.
func (m *Meter) windowLocked(now time.Time, used time.Duration, granted float64) float64 {
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

// textLocked reads the whole of a file that open opens; name distinguishes it from the others. The file stays open. A
// file that can be read no more, as one of a group that was removed, is opened anew.
func (m *Meter) textLocked(name string, open func() (*os.File, error)) (string, bool) {
	f := m.files[name]
	for {
		fresh := f == nil
		if fresh {
			var err error
			if f, err = open(); err != nil {
				return "", false
			}
		}
		text, err := m.readLocked(f)
		if err == nil {
			if fresh {
				if m.files == nil {
					m.files = map[string]*os.File{}
				}
				m.files[name] = f
			}
			return text, true
		}
		_ = f.Close() // only read from
		delete(m.files, name)
		if fresh {
			return "", false
		}
		f = nil
	}
}

// readLocked reads a file from its start.
func (m *Meter) readLocked(f *os.File) (string, error) {
	if m.buf == nil {
		m.buf = make([]byte, 4<<10)
	}
	for n := 0; ; {
		got, err := f.ReadAt(m.buf[n:], int64(n))
		n += got
		switch {
		case errors.Is(err, io.EOF):
			return string(bytes.TrimSpace(m.buf[:n])), nil
		case err != nil:
			return "", err
		}
		m.buf = append(m.buf, make([]byte, len(m.buf))...)
	}
}

// procLocked reads a file of /proc, "" when it cannot be read.
func (m *Meter) procLocked(path string) string {
	text, _ := m.textLocked(path, func() (*os.File, error) { return os.Open(m.path(path)) })
	return text
}

// group finds the files of this process's control groups. In a container they are at the mount itself, whatever path
// /proc/self/cgroup tells of the host's tree.
type group struct {
	m    *Meter
	text string            // of /proc/self/cgroup
	v1   map[string]string // controller to path
	path string            // of version 2; "" where there is none
}

// groupLocked returns the group that this process is in now. The files of another one that it was in are closed.
func (m *Meter) groupLocked() group {
	text := m.procLocked("/proc/self/cgroup")
	if m.last.m == nil || text != m.last.text {
		for name, f := range m.files {
			_ = f.Close() // only read from
			delete(m.files, name)
		}
		m.last = m.parseGroup(text)
	}
	return m.last
}

func (m *Meter) parseGroup(text string) group {
	g := group{m: m, text: text, v1: map[string]string{}}
	for line := range strings.Lines(text) {
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
func (g group) open(controller, name string) (*os.File, error) {
	mount, own := "/sys/fs/cgroup", g.path
	if controller != "" {
		p, ok := g.v1[controller]
		if !ok {
			return nil, fs.ErrNotExist
		}
		mount, own = mount+"/"+controller, p
	}
	f, err := os.Open(g.m.path(mount + own + "/" + name))
	if err != nil {
		f, err = os.Open(g.m.path(mount + "/" + name))
	}
	return f, err
}

// file reads a control file, as open finds it.
func (g group) file(controller, name string) (string, bool) {
	return g.m.textLocked(controller+" "+name, func() (*os.File, error) { return g.open(controller, name) })
}

// unified is number of version 2, which a controller of version 1 is not part of.
func (g group) unified(controller, name string) (int64, bool) {
	if _, ok := g.v1[controller]; ok {
		return 0, false
	}
	return g.number("", name)
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
	if len(g.v1["cpu"]) == 0 {
		if text, ok := g.file("", "cpu.stat"); ok {
			used = time.Duration(field(text, "usage_usec")) * time.Microsecond
			if text, ok := g.file("", "cpu.max"); ok {
				quota, period, _ := strings.Cut(text, " ")
				q, _ := strconv.ParseFloat(quota, 64) // "max" is 0
				p, _ := strconv.ParseFloat(period, 64)
				limit(q, p)
			}
			return granted, used
		}
	}
	if ns, ok := g.number("cpuacct", "cpuacct.usage"); ok {
		used = time.Duration(ns)
		quota, _ := g.number("cpu", "cpu.cfs_quota_us")
		period, _ := g.number("cpu", "cpu.cfs_period_us")
		limit(float64(quota), float64(period))
		return granted, used
	}
	first, _, _ := strings.Cut(g.m.procLocked("/proc/stat"), "\n")
	if f := strings.Fields(first); len(f) > 8 && f[0] == "cpu" {
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
	host := g.m.procLocked("/proc/meminfo")
	total = kilobytes(host, "MemTotal")
	// what is in tmpfs counts as cache to the kernel, but it cannot be given up
	if now, ok := g.unified("memory", "memory.current"); ok {
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
	cache = kilobytes(host, "Cached") + kilobytes(host, "Buffers") - kilobytes(host, "Shmem")
	return total, max(0, total-kilobytes(host, "MemFree")-cache), cache
}

// least is the smaller of a limit, where there is one, and what the machine has.
func least(limit, total int64) int64 {
	if limit > 0 && (total == 0 || limit < total) {
		return limit
	}
	return total
}

// kilobytes finds "key: number kB" among lines and returns it in bytes.
func kilobytes(text, key string) int64 {
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, key+":"); ok {
			n, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			return n << 10
		}
	}
	return 0
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
