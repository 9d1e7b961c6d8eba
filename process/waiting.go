package process

import (
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sandlot-dev/sandlot/process/journal"
)

// ends collects the ends of a process, that of the leader and that of each output, and makes the Result of them.
type ends struct {
	pipes
	output *journal.Journal
	began  time.Time

	done    chan struct{} // closed when result is set
	drained chan struct{} // closed when also both streams are at their end

	mu        sync.Mutex
	result    Result // not changed once published
	published bool
	exited    bool
	streams   int // that are not at their end
	timer     *time.Timer
}

// follow starts what a child needs beside the wait for its leader and for standard output: the time limit, the reader
// of standard error, the writer of input. Each ends with what it waits for.
func (p *Process) follow() {
	if p.spec.Timeout > 0 {
		p.mu.Lock()
		if !p.exited {
			p.timer = time.AfterFunc(time.Until(p.began.Add(p.spec.Timeout)), p.late)
		}
		p.mu.Unlock()
	}
	if p.err != nil {
		go p.drain(p.err, journal.Stderr)
	}
	if capture, ok := p.spec.Streams.(Capture); ok && p.in != nil {
		go p.feed(capture.Input)
	}
}

// watch waits for the leader's end.
func (p *Process) watch() {
	p.m.children.wait(p.child)
	p.m.children.close(p.child)
}

// await follows a child on the calling goroutine until the Result is there. Reading the output here, and not on a
// goroutine of its own, saves two hand-offs for each command.
func (p *Process) await() {
	p.follow()
	reaped := p.m.children.sweeps
	if !reaped {
		go p.watch()
	}
	switch {
	case p.out == nil:
	case readInto(p.out, p.output, journal.Stdout):
		p.streamEnded()
	default:
		_ = p.out.SetReadDeadline(time.Time{}) // a background child may go on writing, and must not be held back
		go p.drain(p.out, journal.Stdout)
	}
	if reaped {
		p.m.children.collectSoon(p.child)
	}
	<-p.done
	if reaped {
		p.m.children.close(p.child)
	}
}

// leaderExited is called once, with no lock held and maybe before start has returned.
func (p *Process) leaderExited(e exit) {
	if p.in != nil {
		_ = p.in.Close() // ends feed
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.exited = true
	if p.timer != nil {
		p.timer.Stop()
	}
	if !p.published {
		p.result.ExitCode, p.result.Signal = e.code, signalName(e.signal)
		p.result.Wall = time.Since(p.began)
		p.result.CPU = time.Duration(e.usage.Utime.Nano() + e.usage.Stime.Nano())
		if e.usage.Maxrss > p.ownRSS {
			p.result.PeakRSS = e.usage.Maxrss << 10
		}
		if e.code == CodeKilled && !p.asked.Load() {
			p.result.OutOfMemory = p.m.memory.claim(p.kills)
		}
	}
	if p.streams > 0 && !p.published {
		p.timer = time.AfterFunc(p.spec.Linger, p.lingers)
	}
	p.endedLocked()
}

// late is called when the command's time is over.
func (p *Process) late() {
	p.mu.Lock()
	over := p.exited || p.published
	if !over {
		p.result.TimedOut = true
	}
	p.mu.Unlock()
	if over {
		return
	}
	p.Kill()
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.exited && !p.published {
		p.timer = time.AfterFunc(killTime, p.unkillable)
	}
}

// streamEnded is called once for each stream.
func (e *ends) streamEnded() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.streams--
	e.endedLocked()
}

// endedLocked publishes the Result if the leader and all streams are at their end.
func (e *ends) endedLocked() {
	if !e.exited || e.streams > 0 {
		return
	}
	e.attach(e.output)
	e.publishLocked()
	e.output.Close()
	close(e.drained)
}

func (e *ends) publishLocked() {
	if e.published {
		return
	}
	if e.timer != nil {
		e.timer.Stop()
	}
	e.published = true
	e.result.Output = e.output
	close(e.done)
	if e.streams > 0 && e.out != nil {
		_ = e.out.SetReadDeadline(time.Unix(1, 0)) // ends the reading of await
	}
}

// lingers is called when a background child has held the output for long enough after the leader's exit.
func (e *ends) lingers() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.published {
		e.result.Lingering = true
		e.publishLocked()
	}
}

// unkillable is called when a killed leader has not ended: it belongs to another user, or hangs in the kernel.
func (e *ends) unkillable() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.exited && !e.published {
		e.result.ExitCode, e.result.Wall, e.result.Lingering = -1, time.Since(e.began), true
		e.publishLocked()
	}
}

// drain reads one of the output pipes to its end.
func (e *ends) drain(f *os.File, s journal.Stream) {
	for !readInto(f, e.output, s) {
		_ = f.SetReadDeadline(time.Time{}) // the deadline was meant for await
	}
	e.streamEnded()
}

// feed writes the input and closes the pipe behind the last byte.
func (e *ends) feed(input []byte) {
	_, _ = e.in.Write(input) // an error is a process that does not read it
	_ = e.in.Close()
}

// signalName returns the name of a signal, such as SIGKILL, and "" for none.
func signalName(s syscall.Signal) string {
	if s == 0 {
		return ""
	}
	if name := unix.SignalName(s); name != "" {
		return name
	}
	return "SIG" + strconv.Itoa(int(s))
}
