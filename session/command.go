package session

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/process"
	"github.com/sandlot-dev/sandlot/process/journal"
)

// Command is one command of a session.
type Command struct {
	ID    string    // a UUID
	Text  string    // as it was given
	Given time.Time // when it was given

	output *journal.Journal
	echo   bool // input is part of the output
	async  bool

	pending *outcome // its end, when only its output's is missing; the session's lock guards it

	stdinPath string // of its standard input, "" for none; the session's lock guards it
	kills     int64  // for memory, before it began; guarded likewise

	mu    sync.Mutex
	stdin int // our end of its standard input; less than 0 when there is none
	begun bool

	done chan struct{} // closed when the fields below are set
	exit int
	err  error // set when it has no exit code: it never ran, or its session was deleted
	end  int64 // size of output then
	oom  *process.OutOfMemory
}

type outcome struct {
	code int
	err  error
}

// Done is closed when the command has ended and its output is there.
func (c *Command) Done() <-chan struct{} { return c.done }

// ExitCode returns the exit code; ok is false while it runs, or waits to run.
func (c *Command) ExitCode() (code int, ok bool) {
	select {
	case <-c.done:
		return c.exit, true
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

// Follow gives the output from an offset on to each, as it comes, until the command is done and all of its output was given, ctx ends, or
// each returns an error. The chunk is valid during the call alone.
func (c *Command) Follow(ctx context.Context, from int64, each func(journal.Chunk) error) error {
	live, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		select {
		case <-c.done:
			stop()
		case <-live.Done():
		}
	}()
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
		default: // done: what is left is there. Later output of background processes is not waited for.
			snapshot = true
			r.Close()
			r = c.output.Until(from, c.end)
		}
	}
}

// complete sets how the command ended. Later calls do nothing.
func (c *Command) complete(exit int, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case <-c.done:
		return
	default:
	}
	c.exit, c.err, c.end = exit, err, c.output.Size(0)
	c.closeStdinLocked()
	close(c.done)
}

func (c *Command) closeStdinLocked() {
	if c.stdin >= 0 {
		_ = unix.Close(c.stdin)
		c.stdin = -1
	}
}

// Input gives data to a command's standard input and, unless that was turned off, adds it to the output. It never waits: fault.Conflict when
// the command has 64 KiB that it has not read. Other errors: ErrCompleted, fault.Conflict for a command that has no input or has not
// begun.
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
	if room, err := unix.FcntlInt(uintptr(c.stdin), unix.F_GETPIPE_SZ, 0); err == nil {
		if waiting, err := unix.IoctlGetInt(c.stdin, unix.TIOCINQ); err == nil && room-waiting < len(data) {
			return fault.Newf(fault.Conflict, "command %s has %d bytes of input that it has not read yet; there is room for %d, not for %d",
				c.ID, waiting, room-waiting, len(data))
		}
	}
	if c.echo { // before the command can answer it
		c.output.Append(journal.Stdout, data)
	}
	for given := data; len(given) > 0; {
		n, err := unix.Write(c.stdin, given)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EPIPE) {
			return fault.Newf(fault.Conflict, "command %s does not read its input: %w", c.ID, err)
		}
		if err != nil {
			return fault.System("give input to command "+c.ID, err)
		}
		given = given[n:]
	}
	return nil
}

// newID makes a random UUID (RFC 9562, version 4).
func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

func find(commands []*Command, id string) *Command {
	for _, c := range slices.Backward(commands) { // the newest are asked for most
		if c.ID == id {
			return c
		}
	}
	return nil
}
