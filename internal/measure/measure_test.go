package measure

import (
	"encoding/binary"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"
)

func tree(t *testing.T, files map[string]string) *Meter {
	t.Helper()
	root := t.TempDir()
	for name, content := range files {
		_ = os.MkdirAll(filepath.Dir(root+name), 0o755)
		if err := os.WriteFile(root+name, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return &Meter{Root: root}
}

const meminfo = "MemTotal:       8000000 kB\nMemFree:        3000000 kB\nBuffers:        1000 kB\n" +
	"Cached:         1000000 kB\nShmem:          500000 kB\n"

func TestMeterReadsWhatIsGranted(t *testing.T) {
	for _, tc := range []struct {
		name               string
		files              map[string]string
		cpus               int
		total, used, cache int64
	}{
		{"version 2", map[string]string{
			"/proc/self/cgroup": "0::/\n", "/proc/meminfo": meminfo,
			"/sys/fs/cgroup/cpu.stat": "usage_usec 5000\nuser_usec 1\n", "/sys/fs/cgroup/cpu.max": "50000 100000\n",
			"/sys/fs/cgroup/memory.current": "1000000\n", "/sys/fs/cgroup/memory.max": "4000000\n",
			"/sys/fs/cgroup/memory.stat": "anon 1\nfile 300000\nshmem 100000\n",
		}, 1, 4000000, 800000, 200000},
		{"version 2 without limits", map[string]string{
			"/proc/self/cgroup": "0::/x\n", "/proc/meminfo": meminfo, "/sys/fs/cgroup/x/cpu.stat": "usage_usec 5000\n",
			"/sys/fs/cgroup/x/cpu.max":        "max 100000\n",
			"/sys/fs/cgroup/x/memory.current": "1000000\n", "/sys/fs/cgroup/x/memory.max": "max\n",
			"/sys/fs/cgroup/x/memory.stat": "file 300000\n",
		}, 0, 8000000 << 10, 700000, 300000},
		{"version 1, the host's path shown", map[string]string{
			"/proc/self/cgroup": "5:memory:/docker/abc\n4:cpu,cpuacct:/docker/abc\n", "/proc/meminfo": meminfo,
			"/sys/fs/cgroup/cpuacct/cpuacct.usage": "5000000\n", "/sys/fs/cgroup/cpu/cpu.cfs_quota_us": "100000\n",
			"/sys/fs/cgroup/cpu/cpu.cfs_period_us":        "100000\n",
			"/sys/fs/cgroup/memory/memory.usage_in_bytes": "900000\n",
			"/sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
			"/sys/fs/cgroup/memory/memory.stat":           "cache 1\ntotal_cache 200000\ntotal_shmem 50000\n",
		}, 1, 8000000 << 10, 750000, 150000},
		{"version 2, the host's path shown", map[string]string{ // the container's own group is the mount
			"/proc/self/cgroup": "0::/system.slice/docker-abc.scope\n", "/proc/meminfo": meminfo,
			"/sys/fs/cgroup/cpu.stat": "usage_usec 5000\n", "/sys/fs/cgroup/cpu.max": "100000 100000\n",
			"/sys/fs/cgroup/memory.current": "1000000\n", "/sys/fs/cgroup/memory.max": "4000000\n",
			"/sys/fs/cgroup/memory.stat": "file 300000\nshmem 300000\n",
		}, 1, 4000000, 1000000, 0},
		{"version 2, the host's tree mounted", map[string]string{ // whose root has neither memory.current nor cpu.max
			"/proc/self/cgroup": "0::/docker/abc\n", "/proc/meminfo": meminfo,
			"/sys/fs/cgroup/cpu.stat": "usage_usec 999999999\n", "/sys/fs/cgroup/docker/abc/cpu.stat": "usage_usec 5000\n",
			"/sys/fs/cgroup/docker/abc/cpu.max": "100000 100000\n", "/sys/fs/cgroup/docker/abc/memory.current": "1000000\n",
			"/sys/fs/cgroup/docker/abc/memory.max":  "4000000\n",
			"/sys/fs/cgroup/docker/abc/memory.stat": "file 300000\n",
		}, 1, 4000000, 700000, 300000},
		{"version 2 without the memory controller", map[string]string{
			"/proc/self/cgroup": "0::/\n", "/proc/meminfo": meminfo, "/sys/fs/cgroup/cpu.stat": "usage_usec 5000\n",
			"/sys/fs/cgroup/cpu.max": "10000 100000\n",
		}, 1, 8000000 << 10, (8000000 - 3000000 - 501000) << 10, 501000 << 10},
		{"version 2, a grant of more than there is", map[string]string{
			"/proc/self/cgroup": "0::/\n", "/proc/meminfo": meminfo, "/sys/fs/cgroup/cpu.stat": "usage_usec 5000\n",
			"/sys/fs/cgroup/cpu.max":        "999900000 100000\n",
			"/sys/fs/cgroup/memory.current": "1000000\n", "/sys/fs/cgroup/memory.max": "99999999999\n",
		}, runtime.NumCPU(), 8000000 << 10, 1000000, 0},
		{"version 2, files that say nothing of sense", map[string]string{
			"/proc/self/cgroup": "0::/\nx\n:\n::\n", "/proc/meminfo": "MemTotal: many kB\n:\n",
			"/sys/fs/cgroup/cpu.stat": "usage_usec\n", "/sys/fs/cgroup/cpu.max": "-1 0\n",
			"/sys/fs/cgroup/memory.current": "x\n", "/sys/fs/cgroup/memory.max": "\n",
		}, 0, 0, 0, 0},
		{"version 1 in a group namespace of its own", map[string]string{
			"/proc/self/cgroup": "5:memory:/\n4:cpu,cpuacct:/\n0::/\n", "/proc/meminfo": meminfo,
			"/sys/fs/cgroup/cpuacct/cpuacct.usage": "5000000\n", "/sys/fs/cgroup/cpu/cpu.cfs_quota_us": "50000\n",
			"/sys/fs/cgroup/cpu/cpu.cfs_period_us":        "100000\n",
			"/sys/fs/cgroup/memory/memory.usage_in_bytes": "900000\n",
			"/sys/fs/cgroup/memory/memory.limit_in_bytes": "4000000\n",
			"/sys/fs/cgroup/memory/memory.stat":           "total_cache 200000\n",
		}, 1, 4000000, 700000, 200000},
		{"version 1 with version 2 beside it for nothing", map[string]string{
			"/proc/self/cgroup": "5:memory:/a\n4:cpu,cpuacct:/a\n0::/a\n", "/proc/meminfo": meminfo,
			"/sys/fs/cgroup/unified/a/cpu.stat":      "usage_usec 1\n",
			"/sys/fs/cgroup/cpuacct/a/cpuacct.usage": "5000000\n", "/sys/fs/cgroup/cpu/a/cpu.cfs_quota_us": "-1\n",
			"/sys/fs/cgroup/cpu/a/cpu.cfs_period_us":        "100000\n",
			"/sys/fs/cgroup/memory/a/memory.usage_in_bytes": "900000\n",
			"/sys/fs/cgroup/memory/a/memory.limit_in_bytes": "4000000\n",
		}, runtime.NumCPU(), 4000000, 900000, 0},
		{
			"no groups",
			map[string]string{"/proc/meminfo": meminfo, "/proc/stat": "cpu 1 2 3 4 5 6 7 8\n"},
			0,
			8000000 << 10, (8000000 - 3000000 - 501000) << 10, 501000 << 10,
		},
		{"nothing at all", nil, 0, 0, 0, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			u := tree(t, tc.files).Read()
			if tc.cpus != 0 && u.CPUs != tc.cpus || u.CPUs < 1 || u.MemTotal != tc.total || u.MemUsed != tc.used ||
				u.MemCache != tc.cache || u.CPUPercent != 0 || u.DiskTotal == 0 {
				t.Errorf("%+v; want %+v", u, tc)
			}
		})
	}
}

// TestPercentOfVersion2 lets a recorded group use half of its half processor, and more than it has.
func TestPercentOfVersion2(t *testing.T) {
	m := tree(t, map[string]string{
		"/proc/self/cgroup": "0::/\n", "/sys/fs/cgroup/cpu.stat": "usage_usec 1000000\n",
		"/sys/fs/cgroup/cpu.max": "50000 100000\n",
	})
	if u := m.Read(); u.CPUPercent != 0 {
		t.Errorf("at first %v %%", u.CPUPercent)
	}
	for i, tc := range []struct{ least, most float64 }{{25, 50}, {100, 100}} {
		m.at = m.at.Add(-time.Second) // it was so long ago
		text := []string{"usage_usec 1250000\n", "usage_usec 99000000\n"}[i]
		if err := os.WriteFile(m.Root+"/sys/fs/cgroup/cpu.stat", []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if u := m.Read(); u.CPUPercent < tc.least || u.CPUPercent > tc.most || u.CPUs != 1 {
			t.Errorf("%q a second later: %+v, want %v to %v %%", text, u, tc.least, tc.most)
		}
	}
}

func TestPercentIsOfTheGrant(t *testing.T) {
	m := &Meter{}
	now := time.Now()
	for _, tc := range []struct {
		after, used time.Duration
		granted     float64
		want        float64
	}{
		{0, time.Second, 0.5, 0},
		{time.Second, 1250 * time.Millisecond, 0.5, 50},
		{time.Second + MinWindow/2, 2 * time.Second, 0.5, 50}, // too soon: the last figure
		{2 * time.Second, 1250 * time.Millisecond, 0.5, 0},
		{3 * time.Second, 9 * time.Second, 0.5, 100},
		{4 * time.Second, -1, 0.5, 0},
	} {
		if got := m.window(now.Add(tc.after), tc.used, tc.granted); got != tc.want {
			t.Errorf("after %v: %v, want %v", tc.after, got, tc.want)
		}
	}
}

func TestRealMeterSeesWork(t *testing.T) {
	m := &Meter{}
	first := m.Read()
	for end := time.Now().Add(2 * MinWindow); time.Now().Before(end); { // busy on purpose
	}
	second := m.Read()
	if first.CPUPercent != 0 || second.CPUPercent <= 0 || second.MemTotal <= 0 || second.MemUsed <= 0 ||
		second.DiskUsed <= 0 || second.CPUs < 1 {
		t.Errorf("%+v then %+v", first, second)
	}
}

func TestPortsAreFreshAndNotOurOwn(t *testing.T) {
	own, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	port := own.Addr().(*net.TCPAddr).Port
	for _, addr := range []string{"127.0.0.1:0", "[::1]:0"} {
		ln, err := net.Listen("tcp", addr)
		if err != nil {
			t.Logf("%s: %v", addr, err)
			continue
		}
		// a child holds the socket, and this process not any more
		f, _ := ln.(*net.TCPListener).File()
		child := exec.Command("/bin/cat")
		child.ExtraFiles = []*os.File{f}
		in, _ := child.StdinPipe()
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		other := ln.Addr().(*net.TCPAddr).Port
		_, _ = f.Close(), ln.Close()
		ports, err := Ports()
		if err != nil || !slices.Contains(ports, other) || slices.Contains(ports, port) || !slices.IsSorted(ports) {
			t.Errorf("%s: %v %v; want %d in it and not %d", addr, ports, err, other, port)
		}
		if used, err := InUse(other); !used || err != nil {
			t.Errorf("%d in use: %v %v", other, used, err)
		}
		_ = in.Close()
		_ = child.Wait()
		if used, err := InUse(other); used || err != nil {
			t.Errorf("%d still in use: %v %v", other, used, err)
		}
	}
	diag, err := listening()
	table, perr := fromProc("/proc/net")
	if err != nil || perr != nil {
		t.Fatal(err, perr)
	}
	for _, s := range table {
		if s.port == port && !slices.Contains(diag, s) {
			t.Errorf("%v is in the table and not in the kernel's answer", s)
		}
	}
}

func TestEnginesNameServerIsNoPort(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.11:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	port := ln.Addr().(*net.TCPAddr).Port
	for name, list := range map[string]func() ([]socket, error){
		"kernel": listening, "table": func() ([]socket, error) { return fromProc("/proc/net") },
	} {
		all, err := list()
		if err != nil || slices.ContainsFunc(all, func(s socket) bool { return s.port == port }) {
			t.Errorf("%s: %v, %v; want no %d", name, all, err, port)
		}
	}
}

func FuzzPorts(f *testing.F) {
	f.Add([]byte("  sl  local_address\n" +
		"   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 123 1\n"))
	msg := make([]byte, 88)
	binary.NativeEndian.PutUint32(msg, 88)
	binary.NativeEndian.PutUint16(msg[4:], diagByFamily)
	f.Add(msg)
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, s := range parseTable(string(data)) {
			if s.port < 0 || s.port > 65535 {
				t.Fatal(s)
			}
		}
		_, _, _ = parseDiag(data)
	})
}

func BenchmarkPorts(b *testing.B) {
	for b.Loop() {
		_, _ = Ports()
	}
}

func BenchmarkMeter(b *testing.B) {
	m := &Meter{}
	for b.Loop() {
		m.Read()
	}
}

func TestMemoryTellsKillsAndPeak(t *testing.T) {
	for name, tc := range map[string]struct {
		files              map[string]string
		kills, peak, limit int64
	}{
		"version 2": {map[string]string{
			"/proc/self/cgroup": "0::/\n", "/proc/meminfo": meminfo,
			"/sys/fs/cgroup/memory.events": "low 0\nhigh 0\nmax 9\noom 4\noom_kill 3\noom_group_kill 0\n",
			"/sys/fs/cgroup/memory.peak":   "5000\n", "/sys/fs/cgroup/memory.max": "6000\n",
		}, 3, 5000, 6000},
		"version 2 before memory.peak": {map[string]string{
			"/proc/self/cgroup": "0::/\n", "/proc/meminfo": meminfo, "/sys/fs/cgroup/memory.events": "oom_kill 3\n",
			"/sys/fs/cgroup/memory.max": "6000\n",
		}, 3, 0, 6000},
		"version 1": {map[string]string{
			"/proc/self/cgroup": "4:memory:/docker/abc\n", "/proc/meminfo": meminfo,
			"/sys/fs/cgroup/memory/memory.oom_control":        "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
			"/sys/fs/cgroup/memory/memory.max_usage_in_bytes": "5000\n",
			"/sys/fs/cgroup/memory/memory.limit_in_bytes":     "9223372036854771712\n",
		}, 2, 5000, 8000000 << 10},
		"nobody counts": {map[string]string{"/proc/self/cgroup": "\n", "/proc/meminfo": meminfo}, 0, 0, 8000000 << 10},
	} {
		m := NewMemory(tree(t, tc.files).Root)
		peak, limit := m.Peak()
		if kills := m.Kills(); kills != tc.kills || peak != tc.peak || limit != tc.limit {
			t.Errorf("%s: %d kills, peak %d of %d; want %d, %d of %d", name, kills, peak, limit, tc.kills, tc.peak, tc.limit)
		}
	}
}
