package measure

import "os"

// Memory tells how often the memory of this process's control group was full. It is safe for concurrent use.
type Memory struct {
	meter Meter
	kills *os.File // open for as long as the program runs; nil where nobody counts
}

// NewMemory opens what the kernel counts, for good. root is as Meter.Root.
func NewMemory(root string) *Memory {
	m := &Memory{meter: Meter{Root: root}}
	g := m.meter.group()
	var ok bool
	if m.kills, ok = g.open("", "memory.events"); !ok {
		m.kills, _ = g.open("memory", "memory.oom_control")
	}
	return m
}

// Kills returns how many processes the kernel has killed because memory was full; 0 where it does not count.
func (m *Memory) Kills() int64 {
	if m.kills == nil {
		return 0
	}
	var buf [512]byte // a few short lines
	n, _ := m.kills.ReadAt(buf[:], 0)
	return field(string(buf[:n]), "oom_kill")
}

// Peak returns the most that was used so far and the limit, in bytes, the page cache and what is in tmpfs included.
// What cannot be read is 0.
func (m *Memory) Peak() (peak, limit int64) {
	g := m.meter.group()
	host := m.meter.meminfo()["MemTotal"]
	if limit, ok := g.number("", "memory.max"); ok {
		peak, _ := g.number("", "memory.peak")
		return peak, least(limit, host)
	}
	peak, _ = g.number("memory", "memory.max_usage_in_bytes")
	limit, _ = g.number("memory", "memory.limit_in_bytes")
	return peak, least(limit, host)
}
