package session

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/process"
)

// linger is how long a background process that holds a command's output may delay its completion.
const linger = 100 * time.Millisecond

// controlFD is the shell's end of the control pipe: the highest that every shell can redirect.
const controlFD = 9

// Session is a shell and the commands it was given.
type Session struct {
	m        *Manager
	id       string
	starting sync.Mutex // held until the shell runs

	source  string // how this shell sources a file without dying of a syntax error in it
	dir     string // of the files below
	shell   *process.Process
	stdin   *os.File // where the shell reads what to do
	control int      // where it says what became of it
	poll    *process.Poller
	over    chan struct{} // closed when the shell has ended and all commands are done

	reading sync.Mutex // held while reading from a FIFO; taken before mu

	mu       sync.Mutex
	commands []*Command     // by age
	queue    []*Command     // not begun
	running  *Command       // begun, its exit code not known
	count    int            // names files
	fifos    map[int32]fifo // our reading ends, by their keys in poll
	lastKey  int32
	ended    bool // no shell any more
	deleted  bool
	partial  []byte // of a line of the control pipe
}

// controlKey is that of the control pipe; FIFOs have those above.
const controlKey = 0

// fifo is where one stream of a command comes in.
type fifo struct {
	fd     int
	own    int // a writing end of ours until the command has ended, -1 then
	c      *Command
	stream process.Stream
}

// start starts the shell in folder dir.
func (s *Session) start(dir string) (err error) {
	defer s.starting.Unlock()
	defer func() {
		if err != nil {
			s.mu.Lock()
			s.ended = true
			s.mu.Unlock()
		}
	}()
	shell, err := s.m.cfg.Processes.Shell()
	if err != nil {
		return err
	}
	s.source = sourceBy(shell)
	if s.dir, err = scratch(); err != nil {
		return err
	}
	if s.poll, err = process.NewPoller(); err != nil {
		return errors.Join(err, os.RemoveAll(s.dir))
	}
	if err := s.startShell(shell, dir); err != nil {
		s.poll.Close()
		return errors.Join(err, os.RemoveAll(s.dir))
	}
	go s.watch()
	go func() { s.shellEnded(s.shell.Result().ExitCode) }()
	return nil
}

// sourceBy returns how a shell sources a file. In plain sh a bare `.` ends the shell when the file is missing or wrong.
func sourceBy(shell string) string {
	if name := filepath.Base(shell); name == "bash" || name == "zsh" {
		return "."
	}
	return "command ."
}

func (s *Session) startShell(shell, dir string) error {
	input, stdin, err := os.Pipe()
	if err != nil {
		return err
	}
	defer input.Close() // the shell has it
	control, report, err := os.Pipe()
	if err != nil {
		return errors.Join(err, stdin.Close())
	}
	defer report.Close()  // the shell has it
	defer control.Close() // s.control is a copy outside of the runtime's poller
	extra := make([]*os.File, controlFD-2)
	extra[controlFD-3] = report
	s.stdin = stdin
	s.control, err = unix.FcntlInt(control.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err == nil {
		err = unix.SetNonblock(s.control, true)
	}
	if err == nil {
		err = s.poll.Add(s.control, unix.EPOLLIN, controlKey)
	}
	if err == nil {
		s.shell, err = s.m.cfg.Processes.Start(process.Spec{
			Argv: []string{shell}, Dir: dir, Stdin: input, Extra: extra, Linger: time.Millisecond, Limits: process.Limits{File: -1},
		})
	}
	if err != nil {
		return errors.Join(err, stdin.Close(), unix.Close(s.control))
	}
	return nil
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
	if c := find(s.commands, id); c != nil {
		return c, nil
	}
	return nil, fmt.Errorf("session %q: command %q: %w", s.id, id, ErrCommandNotFound)
}

// Ended reports whether the shell has ended. The entrypoint's session never had one.
func (s *Session) Ended() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ended
}

// Spec says what to run in a session.
type Spec struct {
	Script   string
	Async    bool // standard input is open for Input; else it is at its end
	HideEcho bool // input does not become part of the output
}

// Exec gives the shell a command, which runs after those given before. It returns at once; Command.Done tells the end. Errors: ErrReserved,
// fault.Invalid for an empty command or one with a NUL byte, ErrEnded, fault.Limited when 1,000 commands wait.
func (s *Session) Exec(spec Spec) (*Command, error) {
	switch {
	case s.id == EntrypointID:
		return nil, ErrReserved
	case strings.TrimSpace(spec.Script) == "":
		return nil, fault.New(fault.Invalid, "the command is empty")
	case strings.Contains(spec.Script, "\x00"):
		return nil, fault.New(fault.Invalid, "the command holds a NUL byte, which no shell can be given")
	}
	c := &Command{
		ID: newID(), Text: spec.Script, async: spec.Async, echo: spec.Async && !spec.HideEcho, stdin: -1, done: make(chan struct{}),
		output: s.m.cfg.Processes.NewJournal(s.m.cfg.Limits),
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return nil, fmt.Errorf("session %q: %w", s.id, ErrEnded)
	}
	if len(s.queue) >= maxWaiting {
		return nil, fault.Newf(fault.Limited, "session %q has %d commands waiting, which is the limit", s.id, maxWaiting)
	}
	s.forgetLocked()
	s.commands = append(s.commands, c)
	s.queue = append(s.queue, c)
	s.nextLocked()
	return c, nil
}

// forgetLocked makes room for one more command by forgetting the oldest that have ended.
func (s *Session) forgetLocked() {
	for i := 0; len(s.commands) >= maxCommands && i < len(s.commands); {
		if c := s.commands[i]; c.pending == nil || len(s.fifosOfLocked(c)) > 0 {
			i++ // it waits, runs, or has a background process that still writes
			continue
		}
		s.commands[i].output.Discard()
		s.commands = slices.Delete(s.commands, i, i+1)
	}
}

// nextLocked gives the shell the next command if it has none.
func (s *Session) nextLocked() {
	for s.running == nil && len(s.queue) > 0 && !s.ended {
		c := s.queue[0]
		s.queue = s.queue[1:]
		s.count++
		if err := s.launchLocked(c); err != nil {
			s.removeFiles(s.count)
			if errors.Is(err, unix.EPIPE) {
				err = ErrEnded // its own goroutine is about to tell
			} else {
				err = fault.Newf(fault.Full, "the command could not be handed to the shell: %w", err)
			}
			c.output.Append(process.Stderr, []byte(err.Error()+"\n"))
			c.complete(-1, err)
			c.output.Settle()
			continue
		}
		s.running = c
	}
}

// launchLocked makes the command's files and tells the shell to take them.
func (s *Session) launchLocked(c *Command) error {
	script := s.file(s.count, "")
	err := writeFile(script, c.Text)
	if errors.Is(err, os.ErrNotExist) { // somebody cleaned up
		if err = os.Mkdir(s.dir, 0o700); err == nil {
			err = writeFile(script, c.Text)
		}
	}
	if err != nil {
		return err
	}
	out, errOut, in := s.file(s.count, "o"), s.file(s.count, "e"), "/dev/null"
	if err := s.addFIFOLocked(out, c, process.Stdout); err != nil {
		return err
	}
	if err := s.addFIFOLocked(errOut, c, process.Stderr); err != nil {
		s.closeFIFOsLocked(c)
		return err
	}
	if c.async {
		in = s.file(s.count, "i")
		if c.stdin, err = openFIFO(in, unix.O_RDWR); err != nil { // also for reading, so that the shell need not be there yet
			s.closeFIFOsLocked(c)
			return err
		}
	}
	line := fmt.Sprintf("{ %s %s; } <%s >%s 2>%s %d>&-; printf '%%s\\n' \"$?\" >&%d\n", s.source, script, in, out, errOut, controlFD, controlFD)
	if _, err := s.stdin.WriteString(line); err != nil {
		s.closeFIFOsLocked(c)
		return err
	}
	c.mu.Lock()
	c.begun = true
	c.mu.Unlock()
	return nil
}

func (s *Session) file(n int, kind string) string { return s.dir + "/" + strconv.Itoa(n) + kind }

// removeFiles removes the names of a command's files: who needs them has them open.
func (s *Session) removeFiles(n int) {
	for _, kind := range []string{"", "o", "e", "i"} {
		_ = unix.Unlink(s.file(n, kind)) // not all of them were made
	}
}

func writeFile(path, text string) error {
	if !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	return os.WriteFile(path, []byte(text), 0o600)
}

func openFIFO(path string, mode int) (int, error) {
	if err := unix.Mkfifo(path, 0o600); err != nil {
		return -1, &os.PathError{Op: "mkfifo", Path: path, Err: err}
	}
	fd, err := unix.Open(path, mode|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return fd, nil
}

func (s *Session) addFIFOLocked(path string, c *Command, stream process.Stream) error {
	fd, err := openFIFO(path, unix.O_RDONLY)
	if err != nil {
		return err
	}
	// Without a writer, the shell's opening it would count as an event, and the order of events is to be that of writing.
	own, err := unix.Open(path, unix.O_WRONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		_ = unix.Close(fd)
		return &os.PathError{Op: "open", Path: path, Err: err}
	}
	s.lastKey++
	s.fifos[s.lastKey] = fifo{fd, own, c, stream}
	return s.poll.Add(fd, unix.EPOLLIN, s.lastKey)
}

func (s *Session) closeFIFOsLocked(c *Command) {
	for key, f := range s.fifos {
		if f.c == c {
			delete(s.fifos, key)
			s.closeFIFO(f)
		}
	}
}

func (s *Session) closeFIFO(f fifo) {
	s.poll.Remove(f.fd)
	_ = unix.Close(f.fd)
	if f.own >= 0 {
		_ = unix.Close(f.own)
	}
}

// watch is the one goroutine that reads what commands write and what the shell reports. It ends when the shell has, and nobody can write
// any more.
func (s *Session) watch() {
	for {
		ready, err := s.poll.Wait()
		if err != nil {
			break
		}
		for _, key := range ready {
			if key != controlKey {
				s.read(key)
			} else if s.report() {
				s.closeControl()
			}
		}
	}
	s.closeControl()
}

func (s *Session) closeControl() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.control >= 0 {
		s.poll.Remove(s.control)
		_ = unix.Close(s.control)
		s.control = -1
	}
}

// report takes an exit code from the control pipe, finishes the command and starts the next. It reports the end of the pipe.
func (s *Session) report() (eof bool) {
	s.mu.Lock()
	var buf [256]byte
	n, err := unix.Read(s.control, buf[:])
	if n == 0 && err == nil {
		s.mu.Unlock()
		return true
	}
	s.partial = append(s.partial, buf[:max(n, 0)]...)
	line, rest, ok := bytes.Cut(s.partial, []byte("\n"))
	if !ok {
		s.mu.Unlock()
		return false
	}
	s.partial = rest // empty, since the shell has one command at a time
	code, err := strconv.Atoi(string(line))
	c, number := s.running, s.count
	if err != nil || c == nil {
		s.mu.Unlock()
		return false
	}
	s.running = nil
	s.nextLocked()
	s.mu.Unlock()
	s.finish(c, number, code, nil)
	return false
}

// finish completes a command that has ended. All it wrote is in its FIFOs by now; what a background process may add later is waited for
// until linger is over.
func (s *Session) finish(c *Command, number, code int, err error) {
	s.removeFiles(number)
	s.mu.Lock()
	held := s.fifosOfLocked(c)
	for _, key := range held { // from here on, the end is where the last process of the command closes it
		f := s.fifos[key]
		_ = unix.Close(f.own)
		f.own = -1
		s.fifos[key] = f
	}
	s.mu.Unlock()
	for _, key := range held {
		for left := pipeSize; left > 0; { // what was in it when the command ended
			n := s.read(key)
			if n <= 0 {
				break
			}
			left -= n
		}
	}
	s.mu.Lock()
	c.pending = &outcome{code, err}
	open := len(s.fifosOfLocked(c)) > 0
	s.mu.Unlock()
	if open && err == nil {
		time.AfterFunc(linger, func() { c.complete(code, nil) })
		return
	}
	c.complete(code, err)
	if !open {
		c.output.Settle()
	}
}

func (s *Session) fifosOfLocked(c *Command) (keys []int32) {
	for key, f := range s.fifos {
		if f.c == c {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys) // standard output was opened first
	return keys
}

// pipeSize is the most that a FIFO holds, in bytes. It has 64 KiB until there is much output.
const pipeSize = 1 << 20

// read takes what is in a FIFO, once. It returns 0 at its end and less than 0 when there is nothing now.
func (s *Session) read(key int32) int {
	s.reading.Lock()
	defer s.reading.Unlock()
	s.mu.Lock()
	f, ok := s.fifos[key]
	s.mu.Unlock()
	if !ok {
		return 0
	}
	n, err := f.c.output.Fill(f.stream, f.fd)
	if n < 0 && err == nil { // the session is deleted: nobody wants it any more
		n, err = process.Drop(f.fd)
	}
	if errors.Is(err, unix.EAGAIN) {
		return -1
	}
	if n > 0 {
		if n > 32<<10 { // fewer turns with a larger pipe
			_, _ = unix.FcntlInt(uintptr(f.fd), unix.F_SETPIPE_SZ, pipeSize)
		}
		return n
	}
	s.closed(key, f)
	return 0
}

// closed is called when a FIFO is at its end.
func (s *Session) closed(key int32, f fifo) {
	s.mu.Lock()
	delete(s.fifos, key)
	s.closeFIFO(f)
	last := len(s.fifosOfLocked(f.c)) == 0
	pending := f.c.pending
	over := s.ended && len(s.fifos) == 0
	s.mu.Unlock()
	if last && pending != nil { // it had ended before
		f.c.complete(pending.code, pending.err)
		f.c.output.Settle()
	}
	if over {
		s.poll.Close()
	}
}

// shellEnded completes what runs with the shell's exit code, and what waits with ErrEnded.
func (s *Session) shellEnded(code int) {
	s.report() // the last command's own code, if it came to that
	s.mu.Lock()
	s.ended = true
	running, number, waiting := s.running, s.count, s.queue
	s.running, s.queue = nil, nil
	var err error
	if s.deleted {
		err = fmt.Errorf("session %q: deleted: %w", s.id, ErrEnded)
	}
	s.mu.Unlock()
	if running != nil {
		s.finish(running, number, code, err)
	}
	for _, c := range waiting {
		c.output.Append(process.Stderr, []byte("the session's shell ended before this command ran\n"))
		c.complete(-1, fmt.Errorf("session %q: %w", s.id, ErrEnded))
		c.output.Settle()
	}
	_ = s.stdin.Close()
	_ = os.RemoveAll(s.dir) // in memory or a temporary folder; nothing to tell
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.fifos) == 0 {
		s.poll.Close()
	}
	close(s.over)
}

// end ends the shell and all its descendants.
func (s *Session) end(grace time.Duration) {
	s.mu.Lock()
	s.deleted = true
	s.mu.Unlock()
	s.shell.End(grace)
	<-s.over
}

// discard gives up the output of all commands.
func (s *Session) discard() {
	for _, c := range s.Commands() {
		c.complete(-1, fmt.Errorf("session %q: deleted: %w", s.id, ErrEnded))
		c.output.Discard()
	}
}
