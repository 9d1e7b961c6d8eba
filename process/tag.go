package process

import (
	"bytes"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"
)

// tag says whose descendant a process is. It is kept in a resource limit that every process inherits and that has no
// effect unless a process is scheduled in real time (RLIMIT_RTTIME, in µs). Its parts are a bit that makes the limit
// practically unlimited, the Manager's number and the process's number. A new session, a wiped environment or another
// user do not change it; only a process that sets out to escape does.
type tag uint64

const (
	tagBit     = 1 << 62
	tagManager = 40 // the lowest bit of the Manager's number
)

// newTags returns the tag from which those of one Manager count up.
func newTags() tag { return tagBit | tag(rand.Uint64N(1<<(62-tagManager)))<<tagManager } //nolint:gosec // not a secret

func (t tag) of(count uint64) tag { return t | tag(count%(1<<tagManager)) }

// ownLimit is held while this program has a tag of its own for a child to inherit, and for reading by starts of
// children that need none.
var ownLimit sync.RWMutex

// lend gives this program the tag until giveBack is called, for the one child that is started meanwhile. With tag 0
// the child gets none, and such starts do not wait for one another. Where limits cannot be set there are no tags.
func (t tag) lend() (giveBack func()) {
	if t == 0 {
		ownLimit.RLock()
		return ownLimit.RUnlock
	}
	ownLimit.Lock()
	var was unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_RTTIME, &was) != nil ||
		unix.Setrlimit(unix.RLIMIT_RTTIME, &unix.Rlimit{Cur: uint64(t), Max: was.Max}) != nil {
		return ownLimit.Unlock
	}
	// Somebody may have given this program a tag, for all its children to inherit.
	if was.Cur&tagBit != 0 && was.Cur != unix.RLIM_INFINITY {
		was.Cur = was.Max
	}
	return func() {
		_ = unix.Setrlimit(unix.RLIMIT_RTTIME, &was) // it was that
		ownLimit.Unlock()
	}
}

// give gives the tag to a process that has started nothing yet. For 0 it takes away that of another.
func (t tag) give(pid int) {
	var was unix.Rlimit
	if unix.Prlimit(pid, unix.RLIMIT_RTTIME, nil, &was) != nil {
		return
	}
	set := unix.Rlimit{Cur: uint64(t), Max: was.Max}
	if t == 0 {
		set.Cur = was.Max
	}
	_ = unix.Prlimit(pid, unix.RLIMIT_RTTIME, &set, nil) // where it fails there are no tags
}

// tagOf reads a process's tag, 0 for none.
func tagOf(pid int) tag {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/limits")
	_, line, ok := bytes.Cut(data, []byte("\nMax realtime timeout"))
	if err != nil || !ok {
		return 0
	}
	field, _, _ := bytes.Cut(bytes.TrimLeft(line, " "), []byte(" "))
	n, err := strconv.ParseUint(string(field), 10, 64)
	if err != nil || n&tagBit == 0 {
		return 0
	}
	return tag(n)
}
