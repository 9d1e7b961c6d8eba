package process

import (
	"os"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// Shield is what keeps this program alive and answering while the sandbox misbehaves, and what its children have in place of it. A nil Shield
// is none.
type Shield struct {
	nice bool // this program runs before others

	own, theirs string // oom_score_adj of this program and of its children
	file        int    // this program's, open for writing; -1 when they are the same

	mu     sync.Mutex
	starts int // of children going on
}

// ownNice is the nice value of a shielded program; more would have it interrupt its own children as they end. They have 0.
const ownNice = -5

// Protect makes this program the last that the kernel kills for memory and the first that it gives a processor, as far as each is
// permitted, and hides its environment from the sandbox's user. It is to be called once and early: threads inherit from one another.
func Protect() *Shield {
	s := &Shield{nice: renice(ownNice), file: -1}
	s.openScore()
	_ = unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0) // after the file above, which belongs to root from here on
	return s
}

func (s *Shield) openScore() {
	const path = "/proc/self/oom_score_adj"
	raw, err := os.ReadFile(path)
	was, convErr := strconv.Atoi(strings.TrimSpace(string(raw)))
	if err != nil || convErr != nil {
		return
	}
	if s.file, err = unix.Open(path, unix.O_WRONLY|unix.O_CLOEXEC, 0); err != nil {
		s.file = -1
		return
	}
	s.own, s.theirs = "-999", strconv.Itoa(was)
	if !s.score(s.own) { // only root may go down; then the children go up, which everybody may, and back to where it was
		s.own, s.theirs = strconv.Itoa(was), strconv.Itoa(min(was+300, 1000))
	}
	if !s.score(s.theirs) || !s.score(s.own) {
		_ = unix.Close(s.file)
		s.file = -1
	}
}

func (s *Shield) score(value string) bool {
	_, err := unix.Pwrite(s.file, []byte(value), 0)
	return err == nil
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

// drop gives this program the score that children have, for those that start before restore is called to inherit.
func (s *Shield) drop() (restore func()) {
	if s == nil || s.file < 0 {
		return func() {}
	}
	s.change(1)
	return func() { s.change(-1) }
}

func (s *Shield) change(starts int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	was := s.starts
	s.starts += starts
	switch {
	case was == 0:
		s.score(s.theirs)
	case s.starts == 0:
		s.score(s.own)
	}
}

// lift gives a started child the usual place among those that want a processor. What it has started before keeps the other.
func (s *Shield) lift(pid int) {
	if s != nil && s.nice {
		_ = unix.Setpriority(unix.PRIO_PROCESS, pid, 0)
	}
}
