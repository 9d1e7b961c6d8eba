package process

import (
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Shield says what Protect has done for this program, and what children get in place of it.
type Shield struct {
	score string // of children for the kernel's choice of whom to kill for memory; "" leaves what they inherit
	nice  bool   // this program runs before others
}

// ownNice is the nice value of a shielded program; its children have 0. With a lower one it would interrupt its own
// children as they end.
const ownNice = -5

// Protect makes this program the last that the kernel kills for memory and the first that it gives a processor, as
// far as each is permitted, and hides its environment from the sandbox's user. It is to be called early: threads
// inherit from one another.
func Protect() Shield {
	const file = "/proc/self/oom_score_adj"
	var s Shield
	raw, err := os.ReadFile(file)
	was, convErr := strconv.Atoi(strings.TrimSpace(string(raw)))
	if err == nil && convErr == nil {
		s.score = strconv.Itoa(was)
		if os.WriteFile(file, []byte("-999"), 0) != nil { // only root may go down; everybody's children may go up
			s.score = strconv.Itoa(min(was+300, 1000))
		}
	}
	s.nice = renice(ownNice)
	_ = unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0) // after the file above, which belongs to root from here on
	return s
}

// renice sets the nice value of every thread. It reports false, and has changed nothing, when that is not permitted.
func renice(value int) bool {
	for known := 0; ; {
		threads, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return false
		}
		for _, t := range threads {
			if tid, err := strconv.Atoi(t.Name()); err == nil && unix.Setpriority(unix.PRIO_PROCESS, tid, value) != nil {
				return false
			}
		}
		if len(threads) == known { // no thread was made meanwhile
			return true
		}
		known = len(threads)
	}
}

// lift gives a started child what it would have without the shield. This program does not drop its own shield for the
// moment of the fork: memory runs short just when something starts, and the kernel would then kill this program.
func (s Shield) lift(pid int) {
	if s.nice {
		_ = unix.Setpriority(unix.PRIO_PROCESS, pid, 0)
	}
	if s.score == "" {
		return
	}
	fd, err := unix.Open("/proc/"+strconv.Itoa(pid)+"/oom_score_adj", unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err == nil {
		_, _ = unix.Write(fd, []byte(s.score)) // it may have ended
		_ = unix.Close(fd)
	}
}
