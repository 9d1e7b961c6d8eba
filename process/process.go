package process

import (
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sandlot-dev/sandlot/process/journal"
)

// killTime bounds the end of killed processes: what is not gone by then is unkillable.
const killTime = 2 * time.Second

// Result is how a process ended.
type Result struct {
	ExitCode  int           // 0-255, 128+n after signal n as a shell reports it; -1 when it could not be started or killed
	Signal    string        // "SIGKILL" and so on when a signal ended it, else ""
	TimedOut  bool          // Spec.Timeout was reached
	Lingering bool          // a background child still holds the output
	Wall      time.Duration // from start to the leader's exit
	CPU       time.Duration // user and system time of the leader and of those it waited for
	PeakRSS   int64         // of the largest of these, in bytes; 0 when not known: it was less than this program's own
	Output    *journal.Journal

	OutOfMemory *OutOfMemory // it was killed for memory, or a shell says so of its last command; nil for any other end

	kept bool // others may be given the same Result
}

// Discard gives up the output. It is to be called after use.
func (r Result) Discard() {
	if !r.kept && r.Output != nil {
		r.Output.Discard()
	}
}

// Process is a started process. Its methods are safe for concurrent use.
type Process struct {
	m           *Manager
	spec        Spec
	child       *child
	descendants descendants
	ownRSS      int64       // KiB of this program's own memory at the start
	kills       int64       // how many processes the kernel had killed for memory before the start
	asked       atomic.Bool // its end was asked for by way of this program

	ends
}

// Dir returns the folder that the process was started in.
func (p *Process) Dir() string { return p.spec.Dir }

// PID returns the leader's process id.
func (p *Process) PID() int { return p.child.pid }

// Output returns the journal of what the process writes.
func (p *Process) Output() *journal.Journal { return p.output }

// Sync moves into Output what the process has written up to now. Without it, that is a matter of moments.
func (p *Process) Sync() { p.sync(p.output) }

// LimitMemory bounds the memory that the process, and each process that it starts, may have of its own. What is above
// that is refused to it. It does nothing once the process has ended.
func (p *Process) LimitMemory(bytes int64) {
	p.m.children.limit(p.child, unix.RLIMIT_DATA, uint64(bytes))
}

// Exited is closed when the leader has ended; output may still be on its way.
func (p *Process) Exited() <-chan struct{} { return p.child.ended }

// Done is closed when the Result is there.
func (p *Process) Done() <-chan struct{} { return p.done }

// Drained is closed when the leader has ended and both streams are at their end: no process holds them any more.
func (p *Process) Drained() <-chan struct{} { return p.drained }

// Result waits for Done and returns how the process ended.
func (p *Process) Result() Result {
	<-p.done // it is not changed after that
	return p.result
}

// Signal sends a signal to the leader, or to its process group. It does nothing once the leader has ended.
func (p *Process) Signal(sig syscall.Signal, group bool) {
	if sig == unix.SIGKILL {
		p.asked.Store(true)
	}
	p.m.children.signal(p.child, sig, group)
}

// Kill ends the process and all its descendants at once, and returns when they are gone, at most 2 s later.
func (p *Process) Kill() { p.KillWith(Descendants) }

// KillWith is Kill of what scope says.
func (p *Process) KillWith(scope Scope) {
	p.asked.Store(true)
	killAll(p.descendants.of(scope), time.Now().Add(killTime))
}

// End asks the process and all its descendants to end by SIGTERM; interactive shells get SIGHUP at once, and what is
// left without a handler of SIGTERM gets it a second later. It kills what is left after grace, and returns when they
// are gone, at most 2 s after that. More than 256 have a grace of 1 s at most.
func (p *Process) End(grace time.Duration) { p.EndWith(Descendants, grace) }

// EndWith is End of what scope says.
func (p *Process) EndWith(scope Scope, grace time.Duration) {
	p.asked.Store(true)
	endAll(p.descendants.of(scope), grace, killTime)
}

// Gone waits for the last of the four ends: no process is left of those that this one started, directly or not. It
// reports false when the time is over first.
func (p *Process) Gone(within time.Duration) bool {
	return allGone(p.descendants.all, time.Now().Add(within))
}
