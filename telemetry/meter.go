package telemetry

import (
	"os"
	"runtime"
	"strconv"
	"strings"

	"github.com/sandlot-dev/sandlot/internal/measure"
)

// Gauge is one measured value.
type Gauge struct {
	Name  string // for Prometheus
	OTel  string // for OpenTelemetry
	Help  string
	Unit  string // as OpenTelemetry writes it
	Value float64
}

// Meter measures what the sandbox may use and uses, and what the daemon itself uses. The zero value is ready for use.
type Meter struct {
	sandbox measure.Meter
}

// Usage returns the sandbox's own figures.
func (m *Meter) Usage() measure.Usage { return m.sandbox.Read() }

// Gauges takes all measurements. What cannot be read is 0.
func (m *Meter) Gauges() []Gauge {
	u := m.sandbox.Read()
	const box, self = "daytona.sandbox.", "sandlot.toolboxd."
	return []Gauge{
		{"sandbox_cpu_cores", box + "cpu.limit", "Processors granted", "{cpu}", float64(u.CPUs)},
		{
			"sandbox_cpu_used_percent", box + "cpu.utilization", "Processor use of what is granted, mean since the last look",
			"%", u.CPUPercent,
		},
		{"sandbox_memory_total_bytes", box + "memory.limit", "Memory granted", "By", float64(u.MemTotal)},
		{
			"sandbox_memory_used_bytes", box + "memory.usage", "Memory used, without what can be dropped",
			"By", float64(u.MemUsed),
		},
		{
			"sandbox_memory_cache_bytes", box + "memory.cache", "Memory of files that can be dropped",
			"By", float64(u.MemCache),
		},
		{
			"sandbox_disk_total_bytes", box + "filesystem.total", "Size of the root file system",
			"By", float64(u.DiskTotal),
		},
		{"sandbox_disk_used_bytes", box + "filesystem.usage", "Used of the root file system", "By", float64(u.DiskUsed)},
		{"sandbox_disk_free_bytes", box + "filesystem.free", "Free of the root file system", "By", float64(u.DiskFree)},
		{
			"toolboxd_goroutines", self + "goroutines", "Goroutines of the daemon",
			"{goroutine}", float64(runtime.NumGoroutine()),
		},
		{"toolboxd_open_files", self + "open_files", "Descriptors the daemon has open", "{file}", float64(openFiles())},
		{"toolboxd_resident_bytes", self + "resident", "Resident memory of the daemon", "By", float64(resident())},
	}
}

func openFiles() int {
	list, _ := os.ReadDir("/proc/self/fd") // 0 where there is no /proc
	return len(list)
}

func resident() int {
	raw, _ := os.ReadFile("/proc/self/statm") // 0 where there is no /proc
	fields := strings.Fields(string(raw))
	if len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.Atoi(fields[1]) // the kernel writes numbers
	return pages * os.Getpagesize()
}
