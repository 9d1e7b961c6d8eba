package session

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/internal/linux"
	"github.com/sandlot-dev/sandlot/process"
	"github.com/sandlot-dev/sandlot/process/journal"
)

// Command is one command of a session, or the entrypoint's.
type Command struct {
	ID    string    // a UUID, or EntrypointCommand
	Text  string    // as it was given
	Given time.Time // when it was given

	output *journal.Journal
	async  bool
	echo   bool // input is part of the output

	pending   *outcome // its end, once it has one; the lock of streams guards it
	stdinPath string   // of the FIFO of its standard input, "" for none; set before it begins
	kills     int64    // count of kills for memory before it began

	mu    sync.Mutex
	begun bool
	stdin int         // our end of its standard input, less than 0 for none
	late  *time.Timer // completes it, nil if none was set

	done chan struct{} // closed when the fields below are set
	outcome
	end int64 // size of the output then
	oom *process.OutOfMemory
}

// outcome is how a command ended.
type outcome struct {
	code int
	err  error // set when it has no exit code: it did not run, or its session was deleted
}

func newCommand(id, text string, output *journal.Journal) *Command {
	return &Command{ID: id, Text: text, Given: time.Now(), output: output, stdin: -1, done: make(chan struct{})}
}

// Done is closed when the command has ended and its output is there.
func (c *Command) Done() <-chan struct{} { return c.done }

// ExitCode returns the exit code; ok is false while it runs, or waits to run.
func (c *Command) ExitCode() (code int, ok bool) {
	select {
	case <-c.done:
		return c.code, true
	default:
		return 0, false
	}
}

// Err returns why a command that is done has no exit code of its own, nil if it has one.
func (c *Command) Err() error {
	<-c.done
	return c.err
}

// OutOfMemory waits for the command's end, and returns nil unless it was killed for memory.
func (c *Command) OutOfMemory() *process.OutOfMemory {
	<-c.done
	return c.oom
}

// Output returns the journal of what the command wrote, and of the input it was given if that is echoed.
func (c *Command) Output() *journal.Journal { return c.output }

// Follow calls each with the output from an offset on, as it comes. It ends when the command is done and all of its
// output was given, when ctx ends, or when each returns an error. The chunk is valid during the call alone.
func (c *Command) Follow(ctx context.Context, from int64, each func(journal.Chunk) error) error {
	live, stop := context.WithCancel(ctx)
	var watch sync.WaitGroup
	defer watch.Wait()
	defer stop()
	watch.Go(func() {
		select {
		case <-c.done:
			stop()
		case <-live.Done():
		}
	})
	r := c.output.Follow(from)
	defer func() { r.Close() }()
	for snapshot := false; ; {
		chunk, err := r.Next(live)
		switch {
		case err == nil:
			from = chunk.Offset + int64(len(chunk.Data))
			if err := each(chunk); err != nil {
				return err
			}
		case errors.Is(err, io.EOF):
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case snapshot:
			return err
		default: // The command is done. It does not wait for later output of background processes.
			snapshot = true
			r.Close()
			r = c.output.Until(from, c.end)
		}
	}
}

// begin is called when the shell was told to run the command.
func (c *Command) begin() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.begun = true
}

// complete sets how the command ended. Later calls do nothing.
func (c *Command) complete(o outcome) {
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case <-c.done:
		return
	default:
	}
	if c.late != nil {
		c.late.Stop()
	}
	c.outcome, c.end = o, c.output.Size(0)
	if c.stdin >= 0 {
		_ = unix.Close(c.stdin)
		c.stdin = -1
	}
	close(c.done)
}

// completeAfter is complete at a later time.
func (c *Command) completeAfter(d time.Duration, o outcome) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.late = time.AfterFunc(d, func() { c.complete(o) })
}

// fail completes a command that did not run. Its error output says why.
func (c *Command) fail(err error, message string) {
	c.output.Append(journal.Stderr, []byte(message+"\n"))
	c.complete(outcome{code: -1, err: err})
	c.output.Settle()
}

// Input gives data to the command's standard input and, unless that was turned off, adds it to the output. It never
// waits. Errors: fault.Conflict when the command has not read 64 KiB of input, has no input, or has not begun;
// ErrCompleted.
func (c *Command) Input(data []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case <-c.done:
		return fmt.Errorf("command %s: %w", c.ID, ErrCompleted)
	default:
	}
	switch {
	case !c.async:
		return fault.Newf(fault.Conflict, "command %s was run synchronously and has no input; run it with runAsync", c.ID)
	case !c.begun:
		return fault.Newf(fault.Conflict, "command %s waits for the one before it and takes no input yet", c.ID)
	}
	if size, err := unix.FcntlInt(uintptr(c.stdin), unix.F_GETPIPE_SZ, 0); err == nil {
		if waiting, err := unix.IoctlGetInt(c.stdin, unix.TIOCINQ); err == nil && size-waiting < len(data) {
			return fault.Newf(fault.Conflict,
				"command %s has %d bytes of input that it has not read yet; there is room for %d, not for %d",
				c.ID, waiting, size-waiting, len(data))
		}
	}
	if c.echo { // before the command can answer it
		c.output.Append(journal.Stdout, data)
	}
	for len(data) > 0 {
		n, err := linux.RetryValue(func() (int, error) { return unix.Write(c.stdin, data) })
		if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EPIPE) {
			return fault.Newf(fault.Conflict, "command %s does not read its input: %w", c.ID, err)
		}
		if err != nil {
			return fault.System("give input to command "+c.ID, err)
		}
		data = data[n:]
	}
	return nil
}
