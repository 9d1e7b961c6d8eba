package process

import (
	"os"
	"slices"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// manyStarted is how many processes are started in the sandbox between two looks for crowds.
	manyStarted = 64

	// crowd is how many processes of one session make a crowd. Those of a crowd that want a processor run after all
	// others.
	crowd = 64

	// lookAgain is the time from an event to one more look for crowds. While there is a crowd, the next look comes after
	// stillThere.
	lookAgain  = time.Second
	stillThere = 100 * time.Millisecond
)

// crowds keeps a fork bomb from taking the processors from this program and from other commands. When very many
// processes of one session want a processor at the same time, they and what they start are scheduled as SCHED_IDLE,
// so they get what others leave. It looks at events, and once more a second after the last one. It works in process 1
// alone, because elsewhere most processes of the machine are not this program's. It is safe for concurrent use.
type crowds struct {
	children *children
	lastPID  int // file descriptor of one of lastPIDFiles; -1 where crowds are not looked for

	mu     sync.Mutex
	last   int // pid that had been given out last at the last look
	timer  *time.Timer
	busy   bool
	closed bool
	eager  map[int]bool // leaders of sessions started here that took part in a crowd at the last look; for disperse alone
	work   sync.WaitGroup
}

func newCrowds(c *children) *crowds {
	w := &crowds{children: c, lastPID: -1}
	if os.Getpid() != 1 {
		return w
	}
	for _, file := range lastPIDFiles {
		if fd, err := unix.Open(file, unix.O_RDONLY|unix.O_CLOEXEC, 0); err == nil {
			w.lastPID = fd
			break
		}
	}
	return w
}

// look looks for crowds if many processes were started since the last time. It does not wait for that.
func (w *crowds) look() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.lastPID < 0 || w.closed || w.busy {
		return
	}
	if w.timer == nil {
		w.timer = time.AfterFunc(lookAgain, w.lookLast)
	}
	w.lookLocked(false)
}

// lookLast is the look after the last event.
func (w *crowds) lookLast() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.timer = nil
	if !w.closed && !w.busy {
		w.lookLocked(true)
	}
}

func (w *crowds) lookLocked(late bool) {
	var buf [128]byte
	n, err := unix.Pread(w.lastPID, buf[:], 0)
	if err != nil {
		return
	}
	end := n
	for end > 0 && (buf[end-1] < '0' || buf[end-1] > '9') {
		end--
	}
	begin := end
	for begin > 0 && buf[begin-1] >= '0' && buf[begin-1] <= '9' {
		begin--
	}
	pid, err := strconv.Atoi(string(buf[begin:end])) // the last field
	if started := pid - w.last; err != nil || started >= 0 && started < manyStarted && !(late && started > 0) {
		return
	}
	w.last, w.busy = pid, true
	w.work.Go(func() {
		found := w.disperse()
		w.mu.Lock()
		defer w.mu.Unlock()
		w.busy = false
		if !found || w.closed {
			return
		}
		if w.last = 0; w.timer != nil {
			w.timer.Stop()
		}
		w.timer = time.AfterFunc(stillThere, w.lookLast)
	})
}

// disperse makes the processes of crowds run after all others, and reports whether there was a crowd. It leaves the
// leader of a session that was started here alone, so that its later commands do not suffer, unless the leader wants
// a processor at two looks in a row. All other leaders together count as one session.
func (w *crowds) disperse() (found bool) {
	ids := pids()
	if len(ids) < crowd {
		return false
	}
	sessions := make(map[int][]int)
	slices.Reverse(ids) // the newest first: they are the least likely to stand behind already
	for _, pid := range ids {
		session, err := unix.Getsid(pid)
		if err != nil {
			continue
		}
		if session == pid {
			if w.children.has(pid) {
				continue
			}
			session = 0
		}
		sessions[session] = append(sessions[session], pid)
	}
	eager := make(map[int]bool)
	for leader, members := range sessions {
		if len(members) < crowd {
			continue
		}
		var ready []int
		behind := 0
		for _, pid := range members {
			if attr, err := unix.SchedGetAttr(pid, 0); err == nil && attr.Policy == unix.SCHED_IDLE {
				behind++
				continue
			}
			if p, ok := stat(pid); !ok || p.state != 'R' {
				continue
			}
			if ready = append(ready, pid); behind+len(ready) < crowd/2 {
				continue
			}
			for _, pid := range ready { // at once, since each that stands back speeds this up
				standBack(pid)
			}
			behind, ready = behind+len(ready), ready[:0]
		}
		if behind < crowd/2 {
			continue
		}
		found = true
		if p, ok := stat(leader); leader != 0 && ok && p.state == 'R' {
			if eager[leader] = true; w.eager[leader] {
				standBack(leader)
			}
		}
	}
	w.eager = eager
	return found
}

// standBack makes a process run when no other wants to; it may have ended.
func standBack(pid int) {
	_ = unix.SchedSetAttr(pid, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_IDLE}, 0)
}

// close ends all looking.
func (w *crowds) close() {
	w.mu.Lock()
	w.closed = true
	if w.timer != nil {
		w.timer.Stop()
	}
	w.mu.Unlock()
	w.work.Wait()
	if w.lastPID >= 0 {
		_ = unix.Close(w.lastPID) // opened for reading
	}
}
