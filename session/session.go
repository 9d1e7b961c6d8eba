package session

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sys/unix"

	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/process"
	"github.com/sandlot-dev/sandlot/process/journal"
)

// linger is how long a background process that holds a command's output may delay the command's completion.
const linger = 100 * time.Millisecond

// inlineTime is how long Exec polls for a command's end on the caller's thread. That is faster than by way of watch.
const inlineTime = 2 * time.Millisecond

// Session is a shell and the commands that it was given. It decides which command runs when; streams carry the
// commands' input and output, control gives the shell its jobs, and probe finds out whether it still answers.
//
// Its lock is taken before those of streams, control and probe.
type Session struct {
	m        *Manager
	id       string
	starting sync.Mutex // held until the shell runs, or could not be started
	failed   bool       // it could not; starting guards it

	files   *scratch
	shell   *process.Process
	poll    *process.Poller // of the descriptors of streams and control
	streams *streams
	control *control
	probe   *probe
	ended   chan struct{} // closed when the shell has ended and all commands are completed

	mu       sync.Mutex
	commands []*Command // by age
	queue    []*Command // not begun
	running  *Command   // begun, its exit code not known
	inline   bool       // a caller polls on its own thread, and watch does not
	lost     bool       // the shell does not answer any more, and was killed
	shut     bool       // the shell has ended
	deleted  bool
}

// start starts the shell in folder dir. The caller holds starting.
func (s *Session) start(dir string) (err error) {
	defer func() {
		if err != nil {
			s.failed = true
			s.mu.Lock()
			s.shut = true
			s.mu.Unlock()
		}
	}()
	shell := s.m.cfg.Shell
	if shell == "" {
		if shell, err = s.m.cfg.Processes.Shell(); err != nil {
			return err
		}
	}
	if s.files, err = newScratch(); err != nil {
		return err
	}
	if s.poll, err = process.NewPoller(); err == nil {
		if err = s.startShell(shell, dir); err != nil {
			s.poll.Close()
		}
	}
	if err != nil {
		s.files.remove()
		return err
	}
	s.streams, s.probe = newStreams(s.poll, s.files), &probe{control: s.control}
	s.m.run(s)
	return nil
}

func (s *Session) startShell(shell, dir string) error {
	control, stdin, output, err := newControl(s.poll, dialectOf(shell))
	if err != nil {
		return err
	}
	defer stdin.Close()
	defer output.Close()
	s.control = control
	s.shell, err = s.m.cfg.Processes.Start(process.Spec{
		Argv: []string{shell}, Dir: dir, Streams: process.Files{stdin, output, output},
	})
	if err == nil {
		if err = control.setUp(s.shell.PID()); err != nil {
			s.shell.Kill()
		}
	}
	if err != nil {
		control.close()
	}
	return err
}

// ID returns the session's id.
func (s *Session) ID() string { return s.id }

// Commands returns the commands by age.
func (s *Session) Commands() []*Command {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.commands)
}

// Command returns one command. Error: ErrCommandNotFound.
func (s *Session) Command(id string) (*Command, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range slices.Backward(s.commands) { // the newest are asked for most
		if c.ID == id {
			return c, nil
		}
	}
	return nil, fmt.Errorf("session %q: command %q: %w", s.id, id, ErrCommandNotFound)
}

// Log is Command. It is a method of its own because Entrypoint.Log is.
func (s *Session) Log(id string) (*Command, error) { return s.Command(id) }

// Ended reports whether the shell has ended.
func (s *Session) Ended() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.shut
}

// Spec says what to run in a session.
type Spec struct {
	Script   string
	Async    bool // standard input is open for Input; else it is at its end
	HideEcho bool // input does not become part of the output
}

func (s Spec) check() error {
	switch {
	case strings.TrimSpace(s.Script) == "":
		return fault.New(fault.Invalid, "the command is empty")
	case strings.Contains(s.Script, "\x00"):
		return fault.New(fault.Invalid, "the command holds a NUL byte, which no shell can be given")
	}
	return nil
}

// Exec enqueues a command, which runs after those enqueued before; Command.Done tells its end. Exec returns at once if
// the command is Async, and else at the command's end or after 2 ms, whichever is first. Errors: fault.Invalid for an
// empty command or one with a NUL byte, ErrEnded, ErrUnresponsive, fault.Limited when 1,000 commands wait.
func (s *Session) Exec(spec Spec) (*Command, error) {
	if err := spec.check(); err != nil {
		return nil, err
	}
	c := newCommand(uuid.NewString(), spec.Script, s.m.cfg.Processes.NewJournal(s.m.cfg.Limits))
	c.async, c.echo = spec.Async, spec.Async && !spec.HideEcho
	inline, watched, err := s.enqueue(c)
	if err != nil {
		return nil, err
	}
	if inline {
		s.pollInline(c)
	} else if watched {
		s.poll.Arm()
	}
	return c, nil
}

// enqueue adds a command. inline means that the caller is to poll for its end, watched that watch is to.
func (s *Session) enqueue(c *Command) (inline, watched bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.lost:
		return false, false, fmt.Errorf("session %q: %w", s.id, ErrUnresponsive)
	case s.shut || s.deleted:
		return false, false, fmt.Errorf("session %q: %w", s.id, ErrEnded)
	case len(s.queue) >= maxWaiting:
		return false, false, fault.Newf(fault.Limited,
			"session %q has %d commands waiting, which is the limit", s.id, maxWaiting)
	}
	s.evictLocked()
	s.commands = append(s.commands, c)
	s.queue = append(s.queue, c)
	s.runNextLocked()
	if s.running == c && !c.async && !s.inline && s.m.mayPollInline() {
		s.inline = true
		return true, false, nil
	}
	return false, !s.inline, nil
}

// evictLocked makes room for one more command: the oldest ones that have ended are forgotten.
func (s *Session) evictLocked() {
	for i := 0; len(s.commands) >= maxCommands && i < len(s.commands); {
		c := s.commands[i]
		if _, done := c.ExitCode(); !done || s.streams.hold(c) {
			i++
			continue
		}
		c.output.Discard()
		s.commands = slices.Delete(s.commands, i, i+1)
	}
}

// runNextLocked gives the shell the next command if it has none.
func (s *Session) runNextLocked() {
	for s.running == nil && len(s.queue) > 0 && !s.shut && !s.lost && !s.deleted {
		c := s.queue[0]
		s.queue = s.queue[1:]
		if err := s.launch(c); err != nil {
			s.streams.release(c)
			if errors.Is(err, unix.EPIPE) {
				err = ErrEnded // awaitShell completes the others
			} else {
				err = fault.System("hand the command to the shell", err)
			}
			c.fail(err, err.Error())
			continue
		}
		s.running = c
		s.probe.begin()
	}
}

// launch makes a command's files and tells the shell to run it.
func (s *Session) launch(c *Command) (err error) {
	j := job{nonce: newNonce(), trace: strings.Contains(c.Text, "XTRACEFD")}
	if j.script, err = s.files.writeScript(s.control.lastScript(), c.Text); err != nil {
		return err
	}
	if err = s.streams.open(c, &j); err != nil {
		return err
	}
	c.kills = s.m.cfg.Processes.MemoryKills()
	if err = s.control.send(j); err != nil {
		return err
	}
	c.begin()
	return nil
}

// watch handles events, except while a caller does so in pollInline. It ends when the shell has ended and no process
// can write to the session any more, or when the Manager closes.
func (s *Session) watch() {
	var ready process.Ready
	for s.poll.Wait() == nil {
		s.mu.Lock()
		mine := !s.inline // two readers would mix the order of events
		s.mu.Unlock()
		if mine && s.poll.WaitHere(&ready, 0) == nil {
			s.handle(&ready)
		}
		s.mu.Lock()
		more := !s.inline && s.expectsLocked()
		s.mu.Unlock()
		if more {
			s.poll.Arm()
		}
	}
	s.streams.close()
	s.control.close()
}

// pollInline handles events on the calling thread until c has ended, for inlineTime at most.
func (s *Session) pollInline(c *Command) {
	var ready process.Ready
	for until := time.Now().Add(inlineTime); ; {
		left := time.Until(until)
		if left <= 0 || s.poll.WaitHere(&ready, left) != nil {
			break
		}
		s.handle(&ready)
		if _, done := c.ExitCode(); done {
			break
		}
	}
	s.m.inline.Add(-1)
	s.mu.Lock()
	s.inline = false
	more := s.expectsLocked()
	s.mu.Unlock()
	if more {
		s.poll.Arm()
	}
}

// expectsLocked reports whether any event can come.
func (s *Session) expectsLocked() bool { return s.running != nil || s.streams.busy() }

func (s *Session) handle(ready *process.Ready) {
	for key := range ready.Keys {
		switch key {
		case reportKey:
			s.receive()
		case linesKey:
			s.drained()
		default:
			s.streams.ready(key)
		}
	}
}

// receive takes the shell's report of a command's end, completes the command and runs the next one.
func (s *Session) receive() {
	s.mu.Lock()
	end, lost := s.control.receive()
	c := s.running
	if lost {
		s.loseLocked()
	}
	if end == nil || c == nil {
		s.mu.Unlock()
		return
	}
	s.running = nil
	s.probe.end()
	if end.code == process.CodeKilled && !s.deleted {
		c.oom = s.m.cfg.Processes.EndedForMemory(c.kills)
	}
	s.runNextLocked()
	s.mu.Unlock()
	s.finish(c, outcome{code: end.code}, end.messages)
}

// drained handles the event that the shell has read all lines. A report that was written before is received before the
// verdict.
func (s *Session) drained() {
	s.mu.Lock()
	c := s.running
	s.mu.Unlock()
	lost := s.probe.drained()
	s.receive()
	s.mu.Lock()
	defer s.mu.Unlock()
	if lost && c != nil && s.running == c {
		s.loseLocked()
	}
}

// loseLocked kills a shell that does not answer any more; awaitShell does the rest.
func (s *Session) loseLocked() {
	if s.running != nil && !s.lost {
		s.lost = true
		s.shell.Signal(unix.SIGKILL, false)
	}
}

// finish completes a command that has ended. All that it wrote is in its FIFOs by now. For output that a background
// process may still write, it waits for linger at most. messages are the shell's own, and become the output of a
// command that could not be run.
func (s *Session) finish(c *Command, o outcome, messages []byte) {
	held := s.streams.finish(c, o)
	if len(messages) > 0 && c.output.Size(0) == 0 {
		c.output.Append(journal.Stderr, messages)
	}
	if held && o.err == nil {
		c.completeAfter(linger, o)
		return
	}
	c.complete(o)
	if !held {
		c.output.Settle()
	}
}

// awaitShell waits for the shell's end. It then completes the command that runs with the shell's exit code, and those
// that wait with an error.
func (s *Session) awaitShell() {
	shell := s.shell.Result()
	s.receive() // the command may have ended before
	s.probe.stop()
	s.mu.Lock()
	s.shut = true
	running, waiting := s.running, s.queue
	s.running, s.queue = nil, nil
	o, why := outcome{code: shell.ExitCode}, ErrEnded
	switch {
	case s.deleted:
		o.err = errDeleted(s.id)
	case s.lost:
		why = ErrUnresponsive
		o = outcome{code: -1, err: fmt.Errorf("session %q: %w", s.id, ErrUnresponsive)}
	}
	lost := s.lost
	s.mu.Unlock()
	s.streams.retire()
	if running != nil {
		if lost {
			running.output.Append(journal.Stderr, []byte(ErrUnresponsive.Msg+"\n"))
		}
		running.oom = shell.OutOfMemory
		s.finish(running, o, nil)
	}
	for _, c := range waiting {
		c.fail(fmt.Errorf("session %q: %w", s.id, why), "the session's shell ended before this command ran")
	}
	s.files.remove()
	s.control.closeLines()
	close(s.ended)
}

// end ends the shell and, of what it started, what scope says.
func (s *Session) end(scope process.Scope, grace time.Duration) {
	s.mu.Lock()
	s.deleted = true
	s.mu.Unlock()
	s.shell.EndWith(scope, grace)
	<-s.ended
}

// discard gives up the output of all commands.
func (s *Session) discard() {
	for _, c := range s.Commands() {
		c.complete(outcome{code: -1, err: errDeleted(s.id)})
		c.output.Discard()
	}
}

func errDeleted(id string) error { return fmt.Errorf("session %q: deleted: %w", id, ErrEnded) }
