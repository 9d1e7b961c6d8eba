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
	scrollback = 512 << 10              // bytes of output kept
	lead       = 128 << 10              // bytes by which the program may be ahead of the slowest client
	patience   = 500 * time.Millisecond // for a client that takes nothing
	maxInput   = 1 << 20                // bytes that wait to be read by the program
	linger     = 100 * time.Millisecond // for output after the shell's end, if a background process holds the terminal
)

// Terminal is a shell on a pseudo-terminal.
type Terminal struct {
	m       *Manager
	spec    Spec
	created time.Time
	output  *journal.Journal
	done    chan struct{} // closed when it has ended; exit and oom are set then

	mu     sync.Mutex
	size   Size
	master *os.File // nil before the start
	raw    syscall.RawConn
	shell  *process.Process
	ended  bool
	exit   int
	oom    *process.OutOfMemory
	input  []byte // waits for the program
	typing bool   // a goroutine is writing input

	rest int // bytes that may still be read after the shell's end; watch's own

	view    sync.Mutex // guards what follows; taken after mu
	screen  screen
	clients map[*Client]struct{}
	caught  chan struct{} // closed when a client has taken something
}

func newTerminal(m *Manager, spec Spec, now time.Time) *Terminal {
	return &Terminal{
		m: m, spec: spec, created: now, size: spec.Size, rest: 1 << 20, done: make(chan struct{}), clients: map[*Client]struct{}{},
		output: m.processes.NewJournal(journal.Limits{Memory: scrollback, File: -1}),
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
		ID: t.spec.ID, Dir: dir, Env: t.spec.Env, Size: t.size, Created: t.created, Active: t.master != nil && !t.ended, Lazy: t.spec.Lazy,
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
	go t.watch()
	return nil
}

// open returns both ends of a new pseudo-terminal, the master's one waited on through the runtime.
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
	go func() {
		<-t.shell.Exited()
		_ = t.master.SetReadDeadline(time.Now().Add(linger))
	}()
	for t.read() {
		t.holdBack()
	}
	res := t.shell.Result()
	t.m.remove(t)
	t.finish(res.ExitCode, res.OutOfMemory)
	_ = t.master.Close()
}

// read takes output once, and reports whether there may be more.
func (t *Terminal) read() bool {
	n := 0
	var inner error
	before := t.output.Size(0)
	take := func(fd uintptr) bool {
		n, inner = t.output.Fill(journal.Stdout, int(fd))
		return !errors.Is(inner, unix.EAGAIN)
	}
	err := t.raw.Read(take)
	if errors.Is(err, os.ErrDeadlineExceeded) && t.rest > 0 { // the shell has ended: what is there is all
		err = t.raw.Control(func(fd uintptr) { take(fd) })
		t.rest -= n
	}
	if err != nil || inner != nil || n <= 0 { // EIO when nobody has it open any more
		return false
	}
	r := t.output.Until(before, before+int64(n))
	defer r.Close()
	if c, err := r.Next(context.Background()); err == nil {
		if err := t.show(c.Data); err != nil {
			reason, _, _ := strings.Cut(err.Error(), "\n")
			t.output.Append(journal.Stdout, []byte("\r\n[sandlot: this terminal is at its end, by a defect of ours: "+reason+"]\r\n"))
			t.shell.Kill()
			return false
		}
	}
	return true
}

// show takes output into what clients that join later are given. A panic over it ends this terminal, and not the daemon.
func (t *Terminal) show(data []byte) (err error) {
	defer fault.Recovered(&err)
	t.view.Lock()
	defer t.view.Unlock()
	t.screen.feed(data)
	return nil
}

// holdBack waits while a client is far behind, unless that client has not taken anything for some time.
func (t *Terminal) holdBack() {
	for {
		end := t.output.Size(0)
		t.view.Lock()
		slow := false
		for c := range t.clients {
			slow = slow || !c.late && end-c.taken > lead
		}
		if !slow {
			t.view.Unlock()
			return
		}
		if t.caught == nil {
			t.caught = make(chan struct{})
		}
		caught := t.caught
		t.view.Unlock()
		select {
		case <-caught:
		case <-t.shell.Exited():
			return
		case <-time.After(patience):
			t.view.Lock()
			for c := range t.clients {
				c.late = c.late || end-c.taken > lead
			}
			t.view.Unlock()
		}
	}
}

func (t *Terminal) finish(code int, oom *process.OutOfMemory) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended {
		return
	}
	t.ended, t.exit, t.oom, t.input = true, code, oom, nil
	t.output.Close()
	close(t.done)
}

func (t *Terminal) kill(scope process.Scope) {
	t.mu.Lock()
	shell := t.shell
	t.mu.Unlock()
	if shell == nil {
		t.finish(process.CodeKilled, nil)
		return
	}
	shell.KillWith(scope)
}

// Resize sets the size; the program is told by SIGWINCH. Before a lazy start it is the size to start with. Errors: fault.Invalid for a bad
// size, ErrEnded.
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
			return ErrEnded // it is about to
		}
	}
	t.size = size
	return nil
}

// Input types data. It never waits: what the program has not read is kept up to 1 MiB. Errors: fault.Limited beyond that, ErrEnded.
func (t *Terminal) Input(data []byte) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended || t.master == nil {
		return ErrEnded
	}
	if t.typing {
		if len(t.input)+len(data) > maxInput {
			return fault.Newf(fault.Limited, "the program in the terminal does not read its input; %d bytes wait", len(t.input))
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
		go t.typeRest()
	}
	return nil
}

// typeRest writes what the terminal did not take at once.
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
	c := &Client{t: t}
	t.view.Lock()
	defer t.view.Unlock()
	c.rejoinLocked()
	t.clients[c] = struct{}{}
	if t.screen.alternate() { // a full-screen program: let it draw anew
		t.redraw()
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

// Client is one attached client.
type Client struct {
	t      *Terminal
	reader *journal.Reader
	intro  []byte // to be given first
	taken  int64  // offset of what it has taken; the terminal's view guards it
	late   bool   // the program does not wait for it; guarded likewise
}

// rejoinLocked goes to the oldest place that the screen can be shown from.
func (c *Client) rejoinLocked() {
	if c.reader != nil {
		c.reader.Close()
	}
	from, intro := c.t.screen.replay(c.t.output.Dropped())
	c.taken, c.intro, c.late = from, intro, false
	c.reader = c.t.output.Follow(from)
}

// Next returns the next output, at most 32 KiB, valid until the next call. Errors: io.EOF when the terminal has ended and all was given, ctx's
// cause.
func (c *Client) Next(ctx context.Context) ([]byte, error) {
	if data := c.intro; len(data) > 0 {
		c.intro = nil
		return data, nil
	}
	chunk, err := c.reader.Next(ctx)
	if err != nil {
		return nil, err
	}
	c.t.view.Lock()
	defer c.t.view.Unlock()
	if chunk.Skipped > 0 {
		c.rejoinLocked()
		if len(c.intro) == 0 {
			c.intro = []byte(resetScreen)
		}
		data := c.intro
		c.intro = nil
		return data, nil
	}
	c.taken = chunk.Offset + int64(len(chunk.Data))
	c.late = c.late && c.t.output.Size(0)-c.taken > lead
	if c.t.caught != nil {
		close(c.t.caught)
		c.t.caught = nil
	}
	return chunk.Data, nil
}

// Close detaches the client. The terminal goes on.
func (c *Client) Close() {
	c.t.view.Lock()
	defer c.t.view.Unlock()
	delete(c.t.clients, c)
	c.reader.Close()
	if c.t.caught != nil {
		close(c.t.caught)
		c.t.caught = nil
	}
}
