package process

import (
	"fmt"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Memory reports on the sandbox's memory. Its methods are safe for concurrent use and return 0 for what is not known.
type Memory interface {
	Kills() int64              // how many processes the kernel has killed because it was full; asked at each start
	Peak() (peak, limit int64) // the most that was used so far and the most that may be used, in bytes
}

// OutOfMemory says that the kernel killed a process because the sandbox's memory was full. Sizes are bytes.
type OutOfMemory struct {
	Peak  int64 // the most that the whole sandbox has used since it was started; 0 where that is not told
	Limit int64 // what it may use
}

// String is for people.
func (o OutOfMemory) String() string {
	if o.Peak == 0 {
		return fmt.Sprintf("killed for memory: the sandbox has %d MiB", o.Limit>>20)
	}
	return fmt.Sprintf("killed for memory: the sandbox used %d MiB of its %d MiB", o.Peak>>20, o.Limit>>20)
}

// CodeKilled is the exit code after SIGKILL, also that of a shell whose last command ended by it.
const CodeKilled = 128 + int(unix.SIGKILL)

// killFresh is how long after the notice of a kill for memory an end may be due to it. Large processes take some time
// to end.
const killFresh = 3 * time.Second

// memoryKills distinguishes ends by SIGKILL that the kernel caused for memory from those that somebody asked for. The
// kernel counts its kills and does not say which processes they hit. An end is counted as a kill for memory if the
// count rose while the process ran, the rise was noticed within killFresh before the end, and no other end has been
// counted for it. That is wrong only for a process that somebody kills within killFresh of a kill for memory that hit
// a process that nobody here waits for.
type memoryKills struct {
	memory Memory // nil knows of nothing

	mu    sync.Mutex
	count int64     // kills at the last look
	fresh int64     // kills that no end has been counted for
	at    time.Time // when the last of them was noticed
}

func newMemoryKills(memory Memory) *memoryKills {
	k := &memoryKills{memory: memory}
	if memory != nil {
		k.count = memory.Kills()
	}
	return k
}

// look notices new kills. It takes about 2 µs.
func (k *memoryKills) look() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.lookLocked(time.Now())
}

// noticed returns how many kills there were at the last look.
func (k *memoryKills) noticed() int64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.count
}

func (k *memoryKills) lookLocked(now time.Time) {
	if k.memory == nil {
		return
	}
	count := k.memory.Kills()
	if now.Sub(k.at) > killFresh {
		k.fresh = 0
	}
	if count > k.count {
		k.fresh, k.at = k.fresh+count-k.count, now
	}
	k.count = count
}

// claim counts an end by SIGKILL for a kill for memory, and returns nil if there is none. since is what noticed
// returned when the process was started.
func (k *memoryKills) claim(since int64) *OutOfMemory {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.lookLocked(time.Now())
	if k.fresh == 0 || k.count <= since {
		return nil
	}
	k.fresh--
	o := &OutOfMemory{}
	o.Peak, o.Limit = k.memory.Peak()
	return o
}

// MemoryKills returns how many processes of the sandbox the kernel has killed for memory so far, for EndedForMemory.
func (m *Manager) MemoryKills() int64 {
	m.memory.look()
	return m.memory.noticed()
}

// EndedForMemory is for commands of a shell. It reports on one that has the exit code CodeKilled and that nobody here
// has killed; it returns nil unless the kernel killed it for memory. since is what MemoryKills returned before the
// command began. It is to be called once for each end.
func (m *Manager) EndedForMemory(since int64) *OutOfMemory { return m.memory.claim(since) }
