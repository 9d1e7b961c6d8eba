package session

import (
	"fmt"
	"strings"
	"sync"

	"github.com/sandlot-dev/sandlot/process"
	"github.com/sandlot-dev/sandlot/process/journal"
)

// EntrypointID and EntrypointCommand name the image's own program as a session with one command.
const (
	EntrypointID      = "entrypoint"
	EntrypointCommand = "entrypoint_command"
)

// Entrypoint is the image's own program. It reads like a session with one command, or with none if the image starts
// nothing. It has no shell: it takes no commands and no input, and cannot be deleted.
type Entrypoint struct {
	cfg     Config
	closing chan struct{}
	wg      sync.WaitGroup

	mu      sync.Mutex
	closed  bool
	process *process.Process // nil if none runs
	command *Command         // nil if the image starts nothing
}

func newEntrypoint(cfg Config) *Entrypoint {
	return &Entrypoint{cfg: cfg, closing: make(chan struct{})}
}

// ID returns EntrypointID.
func (e *Entrypoint) ID() string { return EntrypointID }

// Commands returns the one command, or none.
func (e *Entrypoint) Commands() []*Command {
	if c := e.get(); c != nil {
		return []*Command{c}
	}
	return nil
}

// Command returns the command. Error: ErrCommandNotFound, also if the image starts nothing.
func (e *Entrypoint) Command(id string) (*Command, error) {
	if c := e.get(); c != nil && id == EntrypointCommand {
		return c, nil
	}
	return nil, fmt.Errorf("session %q: command %q: %w", EntrypointID, id, ErrCommandNotFound)
}

// Log is like Command, but also answers if the image starts nothing: with a command that is done and wrote nothing.
func (e *Entrypoint) Log(id string) (*Command, error) {
	c, err := e.Command(id)
	if err == nil || id != EntrypointCommand {
		return c, err
	}
	c = newCommand(id, "", e.cfg.Processes.NewJournal(e.cfg.Limits))
	c.complete(outcome{})
	c.output.Settle()
	return c, nil
}

func (e *Entrypoint) get() *Command {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.command
}

// start runs a program. If it cannot be started, start returns the error and records a failed command: exit code 127 or
// 126, as a shell has it, and the error as its output.
func (e *Entrypoint) start(argv []string) (*process.Process, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil, process.ErrClosed
	}
	p, err := e.cfg.Processes.Start(process.Spec{
		Argv: argv, Streams: process.Capture{Split: true, Limits: e.cfg.Limits},
	})
	if err != nil {
		c := newCommand(EntrypointCommand, quote(argv), e.cfg.Processes.NewJournal(e.cfg.Limits))
		c.output.Append(journal.Stderr, []byte(err.Error()+"\n"))
		code, _ := process.StartCode(err)
		c.complete(outcome{code: code})
		c.output.Settle()
		e.command = c
		return nil, err
	}
	c := newCommand(EntrypointCommand, quote(argv), p.Output())
	e.process, e.command = p, c
	e.wg.Go(func() {
		res := p.Result()
		c.oom = res.OutOfMemory
		c.complete(outcome{code: res.ExitCode})
		select {
		case <-p.Drained():
		case <-e.closing: // a process that could not be ended may hold the output
		}
		c.output.Settle()
	})
	return p, nil
}

// close ends the program and all that it started, and returns when its goroutine has ended.
func (e *Entrypoint) close() {
	e.mu.Lock()
	p, again := e.process, e.closed
	e.closed = true
	e.mu.Unlock()
	if p != nil {
		p.End(e.cfg.Grace)
	}
	if !again {
		close(e.closing)
	}
	e.wg.Wait()
}

// quote makes one shell command line of a program and its arguments.
func quote(argv []string) string {
	quoted := make([]string, len(argv))
	for i, a := range argv {
		quoted[i] = "'" + strings.ReplaceAll(a, "'", `'\''`) + "'"
	}
	return strings.Join(quoted, " ")
}
