package session

import (
	"sync"
	"time"
)

// probeInterval is the time between two looks of a probe at what runs. A command is probed when two looks in a row see
// it, and so 100 to 200 ms after its start.
const probeInterval = 100 * time.Millisecond

// probe finds out whether the shell of a long-running command still answers. A shell runs one line at a time: it reads
// the next one after it has reported the end of the command before. So the probe waits, by an event, for the shell to
// read all lines. Some shells read ahead once; then the probe sends an empty line and waits for that to be read.
type probe struct {
	control *control

	mu      sync.Mutex
	timer   *time.Timer // nil until the first command
	ticking bool        // timer is set
	command int         // number of the last command
	running bool        // it is not at its end
	seen    int         // number of the command that the last look saw
	probed  int         // number of the command that was probed last
	pinged  bool        // it was sent the empty line
	stopped bool
}

// begin is called when a command was sent.
func (p *probe) begin() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.command++
	p.running = true
	p.setTimerLocked()
}

// end is called when the command has ended.
func (p *probe) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.running = false
}

// setTimerLocked makes sure that there will be a look. There is one timer for all commands, since most end before it.
func (p *probe) setTimerLocked() {
	switch {
	case p.ticking || p.stopped:
		return
	case p.timer == nil:
		p.timer = time.AfterFunc(probeInterval, p.look)
	default:
		p.timer.Reset(probeInterval)
	}
	p.ticking = true
}

func (p *probe) look() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ticking = false
	switch {
	case !p.running || p.stopped || p.command == p.probed:
	case p.command != p.seen:
		p.seen = p.command
		p.setTimerLocked()
	default:
		p.probed, p.pinged = p.command, false
		p.control.notifyDrained()
	}
}

// drained is called at the event that the shell has read all lines. lost means that the command which runs has no end
// any more, unless the shell has reported it by now.
func (p *probe) drained() (lost bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.running || p.command != p.probed || !p.control.drained() {
		return false
	}
	if p.pinged {
		return true
	}
	if p.control.ping() {
		p.pinged = true
		p.control.notifyDrained()
	}
	return false
}

// stop ends the looks.
func (p *probe) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stopped = true
	if p.timer != nil {
		p.timer.Stop()
	}
}
