package process

import (
	"fmt"
	"strconv"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// limitNames are the kernel's resource limits, by number.
var limitNames = [...]string{
	"processor time", "file size", "data", "stack", "core", "resident memory", "processes", "open files", "locked memory",
	"address space", "file locks", "pending signals", "message queues", "nice", "real-time priority", "real-time timeout",
}

// ownLimits notices when the limits of this program are changed from inside the sandbox, as every process of the same
// user may do, and sets them back. A hard limit that was lowered stays lowered if this program has no right to raise
// it; then warn is called. Children inherit the limits too.
type ownLimits struct {
	warn func(string)

	mu   sync.Mutex
	want [len(limitNames)]unix.Rlimit
	lost [len(limitNames)]unix.Rlimit // as want, but the present value where it could not be set back
}

func newOwnLimits(warn func(string)) *ownLimits {
	l := &ownLimits{warn: warn}
	for i := range l.want {
		_ = prlimit(i, nil, &l.want[i]) // where it fails, the limit counts as unlimited
	}
	l.lost = l.want
	return l
}

// prlimit is prlimit(2) on this program. The function of the syscall package would also change the limit of open
// files that children get.
func prlimit(resource int, set, was *unix.Rlimit) error {
	_, _, errno := unix.RawSyscall6(unix.SYS_PRLIMIT64, 0, uintptr(resource),
		uintptr(unsafe.Pointer(set)), uintptr(unsafe.Pointer(was)), 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// check sets back what was changed.
func (l *ownLimits) check() {
	var is [len(limitNames)]unix.Rlimit
	same := true
	for i := range is {
		if prlimit(i, nil, &is[i]) != nil || i == unix.RLIMIT_RTTIME { // the last is lent to children, see tag
			is[i] = l.want[i]
		}
		same = same && is[i] == l.want[i]
	}
	if same {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, now := range is {
		want := l.want[i]
		if now == want || now == l.lost[i] {
			continue
		}
		was := now
		if prlimit(i, &want, nil) != nil { // raising a hard limit needs a right
			next := unix.Rlimit{Cur: min(want.Cur, now.Max), Max: min(want.Max, now.Max)}
			_ = prlimit(i, &next, nil)
		}
		_ = prlimit(i, nil, &now)
		l.lost[i] = now
		if l.warn == nil {
			continue
		}
		text := fmt.Sprintf("a process in the sandbox set this program's limit of %s to %s", limitNames[i], limitText(was))
		if now == want {
			l.warn(text + "; it was set back")
		} else {
			l.warn(text + "; it could only be set back to " + limitText(now) + ", not to " + limitText(want) +
				": stop and start the sandbox if commands fail")
		}
	}
}

// harm says which limits could not be set back, to stand in an error; "" for none.
func (l *ownLimits) harm() (text string) {
	l.check()
	for i, want := range l.want {
		var now unix.Rlimit
		if i != unix.RLIMIT_RTTIME && prlimit(i, nil, &now) == nil && now != want {
			text += fmt.Sprintf(" (a process in the sandbox set the toolbox's limit of %s to %s; stop and start the sandbox)",
				limitNames[i], limitText(now))
		}
	}
	return text
}

func limitText(l unix.Rlimit) string {
	one := func(n uint64) string {
		if n == unix.RLIM_INFINITY {
			return "unlimited"
		}
		return strconv.FormatUint(n, 10)
	}
	return one(l.Cur) + " of " + one(l.Max)
}
