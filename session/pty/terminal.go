package pty

import (
	"context"
	"errors"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/process"
	"github.com/sandlot-dev/sandlot/process/journal"
)

const (
	scrollback = 512 << 10              // bytes of output that are kept
	maxInput   = 1 << 20                // bytes of input that the program has not read
	linger     = 100 * time.Millisecond // for output after the shell's end, if a background process holds the terminal
)

// Terminal is a shell on a pseudo-terminal.
type Terminal struct {
	m       *Manager
	spec    Spec
	created time.Time
	output  *journal.Journal
	display *display
	done    chan struct{} // closed when it has ended; exit and oom are set then

	mu     sync.Mutex
	size   Size
	master *os.File // nil before the start
	raw    syscall.RawConn
	shell  *process.Process
	ended  bool
	exit   int
	oom    *process.OutOfMemory
	input  []byte // the program has not read it
	typing bool   // a goroutine is writing input

	rest int // bytes that may still be read after the shell's end; only watch uses it
}

func newTerminal(m *Manager, spec Spec, now time.Time) *Terminal {
	output := m.processes.NewJournal(journal.Limits{Memory: scrollback, File: -1})
	return &Terminal{
		m: m, spec: spec, created: now, size: spec.Size, rest: 1 << 20, done: make(chan struct{}),
		output: output, display: newDisplay(output),
	}
}

// Info describes a terminal.
type Info struct {
	ID, Dir string
	Env     map[string]string // not to be changed
	Size    Size
	Created time.Time
	Active  bool // the process runs
	Lazy    bool
}

// Info describes the terminal as it is now.
func (t *Terminal) Info() Info {
	t.mu.Lock()
	defer t.mu.Unlock()
	dir := t.spec.Dir
	if dir == "" { // not started yet
		dir = t.m.processes.Dir()
	}
	return Info{
		ID: t.spec.ID, Dir: dir, Env: t.spec.Env, Size: t.size, Created: t.created,
		Active: t.master != nil && !t.ended, Lazy: t.spec.Lazy,
	}
}

// Done is closed when the terminal has ended and all its output is there.
func (t *Terminal) Done() <-chan struct{} { return t.done }

// ExitCode waits for Done and returns the shell's exit code, 128+n after signal n.
func (t *Terminal) ExitCode() int {
	<-t.done
	return t.exit
}

// OutOfMemory waits for Done, and returns nil unless the shell, or its last command, was killed for memory.
func (t *Terminal) OutOfMemory() *process.OutOfMemory {
	<-t.done
	return t.oom
}

// startLocked starts the shell.
func (t *Terminal) startLocked() error {
	argv := t.spec.Argv
	if argv == nil {
		shell, err := t.m.processes.Shell()
		if err != nil {
			return err
		}
		argv = []string{shell, "-i", "-l"}
	}
	master, slave, err := open()
	if err != nil {
		return fault.Newf(fault.Unavailable, "this sandbox has no pseudo-terminals (/dev/ptmx, /dev/pts): %w", err)
	}
	defer slave.Close() // the shell has it
	raw, err := master.SyscallConn()
	if err == nil {
		err = setSize(master, t.size)
	}
	if err == nil {
		t.shell, err = t.m.processes.Start(process.Spec{
			Argv: argv, Dir: t.spec.Dir, Env: t.spec.Env, Streams: process.Terminal{File: slave},
		})
	}
	if err != nil {
		return errors.Join(err, master.Close())
	}
	t.master, t.raw, t.spec.Dir = master, raw, t.shell.Dir()
	t.m.goroutines.Go(t.watch)
	return nil
}

// open returns both ends of a new pseudo-terminal. The runtime's poller waits on the master.
func open() (master, slave *os.File, err error) {
	blocking, slave, err := pty.Open()
	if err != nil {
		return nil, nil, err
	}
	defer blocking.Close() // master is a copy
	fd, err := unix.FcntlInt(blocking.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err == nil {
		err = unix.SetNonblock(fd, true)
	}
	if err != nil {
		return nil, nil, errors.Join(err, slave.Close())
	}
	return os.NewFile(uintptr(fd), "ptmx"), slave, nil
}

func setSize(f *os.File, s Size) error {
	return pty.Setsize(f, &pty.Winsize{Cols: s.Cols, Rows: s.Rows})
}

// watch reads what the terminal shows until it has ended.
func (t *Terminal) watch() {
	t.m.goroutines.Go(func() {
		<-t.shell.Exited()
		_ = t.master.SetReadDeadline(time.Now().Add(linger))
	})
	for t.read() {
		t.display.holdBack(t.shell.Exited())
	}
	res := t.shell.Result()
	t.m.remove(t)
	t.finish(res.ExitCode, res.OutOfMemory)
	_ = t.master.Close()
}

// read reads output once, and reports whether there may be more.
func (t *Terminal) read() bool {
	n := 0
	var inner error
	before := t.output.Size(0)
	fill := func(fd uintptr) bool {
		n, inner = t.output.Fill(journal.Stdout, int(fd))
		return !errors.Is(inner, unix.EAGAIN)
	}
	err := t.raw.Read(fill)
	if errors.Is(err, os.ErrDeadlineExceeded) && t.rest > 0 { // the shell has ended: no more output comes
		err = t.raw.Control(func(fd uintptr) { fill(fd) })
		t.rest -= n
	}
	if err != nil || inner != nil || n <= 0 { // EIO when nobody has it open any more
		return false
	}
	r := t.output.Until(before, before+int64(n))
	defer r.Close()
	if c, err := r.Next(context.Background()); err == nil {
		if err := t.display.feed(c.Data); err != nil {
			reason, _, _ := strings.Cut(err.Error(), "\n")
			notice := "\r\n[sandlot: this terminal is at its end, by a defect of ours: " + reason + "]\r\n"
			t.output.Append(journal.Stdout, []byte(notice))
			t.shell.Kill()
			return false
		}
	}
	return true
}

// finish ends a terminal whose process has ended.
func (t *Terminal) finish(code int, oom *process.OutOfMemory) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.finishLocked(code, oom)
}

func (t *Terminal) finishLocked(code int, oom *process.OutOfMemory) {
	if t.ended {
		return
	}
	t.ended, t.exit, t.oom, t.input = true, code, oom, nil
	t.output.Close()
	close(t.done)
}

// kill ends the terminal's process and, of what it started, what scope says. One that has not started never will.
func (t *Terminal) kill(scope process.Scope) {
	t.mu.Lock()
	shell := t.shell
	if shell == nil {
		t.finishLocked(process.CodeKilled, nil)
	}
	t.mu.Unlock()
	if shell != nil {
		shell.KillWith(scope)
	}
}

// Resize sets the size, and the kernel sends the program SIGWINCH. A lazy terminal starts with the size that was set
// last. Errors: fault.Invalid for a bad size, ErrEnded.
func (t *Terminal) Resize(size Size) error {
	if err := size.check(); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended {
		return ErrEnded
	}
	if t.master != nil {
		if err := setSize(t.master, size); err != nil {
			return ErrEnded // watch is about to see it
		}
	}
	t.size = size
	return nil
}

// Input types data. It never waits: up to 1 MiB is kept until the program reads it. Errors: fault.Limited beyond that,
// ErrEnded.
func (t *Terminal) Input(data []byte) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended || t.master == nil {
		return ErrEnded
	}
	if t.typing {
		if len(t.input)+len(data) > maxInput {
			return fault.Newf(fault.Limited,
				"the program in the terminal does not read its input; %d bytes wait", len(t.input))
		}
		t.input = append(t.input, data...)
		return nil
	}
	n := 0
	err := t.raw.Write(func(fd uintptr) bool { // once, without waiting
		var werr error
		if n, werr = unix.Write(int(fd), data); werr != nil {
			n = 0
		}
		return true
	})
	if err != nil {
		return ErrEnded
	}
	if n < len(data) {
		t.input, t.typing = append(t.input, data[n:]...), true
		t.m.goroutines.Go(t.typeRest)
	}
	return nil
}

// typeRest writes the input that did not fit into the terminal at once.
func (t *Terminal) typeRest() {
	for {
		t.mu.Lock()
		data := t.input
		t.input = nil
		if len(data) == 0 || t.ended {
			t.typing = false
			t.mu.Unlock()
			return
		}
		t.mu.Unlock()
		if _, err := t.master.Write(data); err != nil {
			return // it has ended; typing stays true, so that later input is at most kept
		}
	}
}

// Attach adds a client, and starts a lazy terminal. Errors: ErrEnded, and those of a start.
func (t *Terminal) Attach() (*Client, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended {
		return nil, ErrEnded
	}
	if t.master == nil {
		if err := t.startLocked(); err != nil {
			return nil, err
		}
	}
	c, fullScreen := t.display.attach()
	if fullScreen {
		t.redraw() // such a program draws anew
	}
	return c, nil
}

// redraw sends the foreground processes SIGWINCH.
func (t *Terminal) redraw() {
	_ = t.raw.Control(func(fd uintptr) {
		if group, err := unix.IoctlGetInt(int(fd), unix.TIOCGPGRP); err == nil && group > 1 {
			_ = unix.Kill(-group, unix.SIGWINCH)
		}
	})
}
