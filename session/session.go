package session

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/process"
	"github.com/sandlot-dev/sandlot/process/journal"
)

// linger is how long a background process that holds a command's output may delay its completion.
const linger = 100 * time.Millisecond

// brief is how long the caller that gave a command waits for its end in its own thread: that is sooner than through the runtime.
const brief = 2 * time.Millisecond

// slow is the time after which a running command's shell is asked whether it still listens.
const slow = 100 * time.Millisecond

// Session is a shell and the commands it was given.
type Session struct {
	m        *Manager
	id       string
	starting sync.Mutex // held until the shell runs, or could not be started
	failed   bool       // it could not; starting guards it

	dialect dialect
	base    int    // the first of the descriptors that are ours in the shell, if it is bash
	dir     string // of the files below
	shell   *process.Process
	poll    *process.Poller
	over    chan struct{} // closed when the shell has ended and all commands are done

	reading sync.Mutex // held while reading from a FIFO; taken before mu

	mu        sync.Mutex
	stdin     int            // where the shell reads what to do: a pipe that counts as full until all is read; -1 once it has ended
	control   control        // its standard output and error between commands, where it says what became of them
	job       job            // what runs, as the shell was told
	last      report         // of the command before
	commands  []*Command     // by age
	queue     []*Command     // not begun
	running   *Command       // begun, its exit code not known
	count     int            // names FIFOs
	fifos     map[int32]fifo // our reading ends, by their keys in poll
	spare     [3]fifo        // by stream: one that nobody holds open, path "" for none
	lastKey   int32
	attending bool     // a caller waits on poll in its own thread
	timing    bool     // a timer will call checkSlow
	seen      *Command // what ran when it did last
	asked     *Command // the shell is asked whether it listens, because of this command
	pinged    bool     // it was given an empty line to read
	deaf      bool     // it read that without having told of the command's end
	ended     bool     // no shell any more
	deleted   bool
}

// Keys in poll; FIFOs have those above.
const (
	controlKey = 0
	stdinKey   = -1
)

// fifo is where one stream of a command comes in.
type fifo struct {
	fd     int
	own    int    // a writing end of ours until the command has ended, -1 then
	path   string // "" once it has no name any more
	wide   bool   // it holds more than usual
	c      *Command
	stream journal.Stream
}

// start starts the shell in folder dir. The caller holds starting.
func (s *Session) start(dir string) (err error) {
	defer func() {
		if err != nil {
			s.failed = true
			s.mu.Lock()
			s.ended = true
			s.mu.Unlock()
		}
	}()
	shell := s.m.cfg.Shell
	if shell == "" {
		if shell, err = s.m.cfg.Processes.Shell(); err != nil {
			return err
		}
	}
	s.dialect, s.base = dialectOf(shell), firstFD()
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
	go func() { s.shellEnded(s.shell.Result()) }()
	return nil
}

func (s *Session) startShell(shell, dir string) (err error) {
	var input [2]int
	if err := unix.Pipe2(input[:], unix.O_CLOEXEC); err != nil {
		return os.NewSyscallError("pipe2", err)
	}
	stdin := os.NewFile(uintptr(input[0]), "stdin")
	defer stdin.Close() // the shell has it
	s.stdin = input[1]
	control, output, err := newControl()
	if err != nil {
		return errors.Join(err, unix.Close(s.stdin))
	}
	defer output.Close()
	s.control = control
	_ = unix.Fchmod(s.stdin, 0) // nobody need open it by way of /proc; root could anyway
	// One place, not sixteen, and so full until the shell has read all. Where the kernel cannot do that, drained finds out.
	_, _ = unix.FcntlInt(uintptr(s.stdin), unix.F_SETPIPE_SZ, 1)
	err = unix.SetNonblock(s.stdin, true)
	if err == nil {
		err = s.poll.Add(s.control.fd, onceReady, controlKey)
	}
	if err == nil {
		s.shell, err = s.m.cfg.Processes.Start(process.Spec{
			Argv: []string{shell}, Dir: dir, Streams: process.Files{stdin, output, output},
		})
	}
	if err != nil {
		return errors.Join(err, unix.Close(s.stdin), unix.Close(s.control.fd))
	}
	s.control.pid = s.shell.PID()
	if _, err := unix.Write(s.stdin, []byte(s.dialect.setUp(s.base))); err != nil && !errors.Is(err, unix.EPIPE) { // EPIPE: it has ended already
		s.shell.Kill()
		return errors.Join(os.NewSyscallError("write", err), unix.Close(s.stdin), unix.Close(s.control.fd))
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

// Log is Command for those who read alone. Where the image starts nothing, the entrypoint's command is one that is done and wrote nothing.
func (s *Session) Log(id string) (*Command, error) {
	c, err := s.Command(id)
	if err == nil || s.id != EntrypointID || id != EntrypointCommand {
		return c, err
	}
	c = &Command{ID: id, stdin: -1, done: make(chan struct{}), output: s.m.cfg.Processes.NewJournal(s.m.cfg.Limits)}
	c.complete(0, nil)
	c.output.Settle()
	return c, nil
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

// Exec gives the shell a command, which runs after those given before; Command.Done tells the end. It returns at once, or for a command that is
// not Async after 2 ms or its end, whichever is first. Errors: ErrReserved, fault.Invalid for an empty command or one with a NUL byte, ErrEnded,
// fault.Limited when 1,000 commands wait.
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
		ID: newID(), Text: spec.Script, Given: time.Now(), async: spec.Async, echo: spec.Async && !spec.HideEcho, stdin: -1, done: make(chan struct{}),
		output: s.m.cfg.Processes.NewJournal(s.m.cfg.Limits),
	}
	s.mu.Lock()
	if s.ended || s.deaf || s.deleted {
		why := ErrEnded
		if s.deaf {
			why = ErrDeaf
		}
		s.mu.Unlock()
		return nil, fmt.Errorf("session %q: %w", s.id, why)
	}
	if len(s.queue) >= maxWaiting {
		s.mu.Unlock()
		return nil, fault.Newf(fault.Limited, "session %q has %d commands waiting, which is the limit", s.id, maxWaiting)
	}
	s.forgetLocked()
	s.commands = append(s.commands, c)
	s.queue = append(s.queue, c)
	s.nextLocked()
	attend := s.running == c && !c.async && !s.attending && s.m.mayAttend()
	if attend {
		s.attending = true
	}
	wait := !s.attending
	s.mu.Unlock()
	if attend {
		s.attend(c)
	} else if wait {
		s.poll.Arm()
	}
	return c, nil
}

// attend takes what a command writes and its end, for a short time.
func (s *Session) attend(c *Command) {
	var ready process.Ready
	for until := time.Now().Add(brief); ; {
		left := time.Until(until)
		if left <= 0 || s.poll.WaitHere(&ready, left) != nil {
			break
		}
		s.take(&ready)
		if _, done := c.ExitCode(); done {
			break
		}
	}
	s.m.attending.Add(-1)
	s.mu.Lock()
	s.attending = false
	wait := s.waitsLocked()
	s.mu.Unlock()
	if wait {
		s.poll.Arm()
	}
}

// waitsLocked reports whether there is anything to wait for.
func (s *Session) waitsLocked() bool { return s.running != nil || len(s.fifos) > 0 }

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
	for s.running == nil && len(s.queue) > 0 && !s.ended && !s.deaf && !s.deleted {
		c := s.queue[0]
		s.queue = s.queue[1:]
		if err := s.launchLocked(c); err != nil {
			s.releaseFIFOsLocked(c)
			if errors.Is(err, unix.EPIPE) {
				err = ErrEnded // its own goroutine is about to tell
			} else {
				err = fault.System("hand the command to the shell", err)
			}
			c.output.Append(journal.Stderr, []byte(err.Error()+"\n"))
			c.complete(-1, err)
			c.output.Settle()
			continue
		}
		s.running = c
		if !s.timing {
			s.timing = true
			time.AfterFunc(slow, s.checkSlow)
		}
	}
}

// launchLocked makes the command's files and tells the shell to take them.
func (s *Session) launchLocked(c *Command) error {
	j := job{nonce: newNonce(), script: s.dir + "/s", trace: strings.Contains(c.Text, "XTRACEFD")}
	if s.job.script == j.script { // the shell has read that to its end; what it says of the other one cannot be meant for it
		j.script = s.dir + "/t"
	}
	err := writeFile(j.script, c.Text)
	if errors.Is(err, unix.ENOENT) { // somebody cleaned up
		if err = os.Mkdir(s.dir, 0o700); err == nil {
			err = writeFile(j.script, c.Text)
		}
	}
	if err != nil {
		return err
	}
	if j.out, err = s.addFIFOLocked(c, journal.Stdout); err != nil {
		return err
	}
	if j.err, err = s.addFIFOLocked(c, journal.Stderr); err != nil {
		return err
	}
	if c.async {
		j.in = s.fifoName()
		if c.stdin, err = openFIFO(j.in, unix.O_RDWR); err != nil { // also for reading, so that the shell need not be there yet
			return err
		}
		c.stdinPath = j.in
	}
	c.kills = s.m.cfg.Processes.MemoryKills()
	line := s.dialect.line(j, s.last, s.base)
	n, err := unix.Write(s.stdin, []byte(line))
	switch {
	case err != nil:
		return err
	case n < len(line):
		return unix.ENOSPC
	}
	s.job = j
	c.mu.Lock()
	c.begun = true
	c.mu.Unlock()
	return nil
}

// firstFD returns the first of the descriptors that are to be ours in a shell: far from those that programs use or close, and within the limit.
func firstFD() int {
	const wanted, reserve = 900, 24
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err == nil && limit.Cur < wanted+reserve {
		return max(int(limit.Cur)-reserve, 10)
	}
	return wanted
}

func (s *Session) fifoName() string {
	s.count++
	return s.dir + "/" + strconv.Itoa(s.count)
}

// writeFile is os.WriteFile for a text that ends with a line, without what that does for files that can be waited on.
func writeFile(path, text string) error {
	if !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	fd, err := unix.Open(path, unix.O_WRONLY|unix.O_CREAT|unix.O_TRUNC|unix.O_CLOEXEC, 0o600)
	for err == nil && text != "" {
		n := 0
		if n, err = unix.Write(fd, []byte(text)); err == nil {
			text = text[n:]
		}
	}
	if fd >= 0 {
		err = errors.Join(err, unix.Close(fd))
	}
	if err != nil {
		return &os.PathError{Op: "write", Path: path, Err: err}
	}
	return nil
}

func openFIFO(path string, mode int) (int, error) {
	if err := unix.Mkfifo(path, 0o600); err != nil {
		return -1, &os.PathError{Op: "mkfifo", Path: path, Err: err}
	}
	return reopenFIFO(path, mode)
}

func reopenFIFO(path string, mode int) (int, error) {
	fd, err := unix.Open(path, mode|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return fd, nil
}

// addFIFOLocked gives the command a FIFO for a stream, the one of an earlier command if nobody holds that any more. It returns its path.
func (s *Session) addFIFOLocked(c *Command, stream journal.Stream) (path string, err error) {
	f := s.spare[stream]
	s.spare[stream] = fifo{}
	if f.path != "" {
		if f.own, err = reopenFIFO(f.path, unix.O_WRONLY); err != nil { // somebody cleaned up
			_ = unix.Close(f.fd)
			f.path = ""
		}
	}
	if f.path == "" {
		f.path = s.fifoName()
		if f.fd, err = openFIFO(f.path, unix.O_RDONLY); err != nil {
			return "", err
		}
		// Without a writer, the shell's opening it would count as an event, and the order of events is to be that of writing.
		if f.own, err = reopenFIFO(f.path, unix.O_WRONLY); err != nil {
			_ = unix.Close(f.fd)
			return "", err
		}
	}
	f.c, f.stream = c, stream
	s.lastKey++
	if err := s.poll.Add(f.fd, onceReady, s.lastKey); err != nil {
		s.closeFIFO(f)
		return "", err
	}
	s.fifos[s.lastKey] = f
	return f.path, nil
}

// releaseFIFOsLocked gives up what a command that was not launched was given. Who reads them closes them, for they may be read from just now.
func (s *Session) releaseFIFOsLocked(c *Command) {
	for key, f := range s.fifos {
		if f.c == c {
			_ = unix.Close(f.own)
			_ = unix.Unlink(f.path)
			f.own, f.path = -1, ""
			s.fifos[key] = f
			_ = s.poll.Change(f.fd, onceReady, key) // tells its end
		}
	}
	_ = unix.Unlink(c.stdinPath) // it may have none
}

func (s *Session) closeFIFO(f fifo) {
	s.poll.Remove(f.fd)
	_ = unix.Close(f.fd)
	if f.own >= 0 {
		_ = unix.Close(f.own)
	}
	_ = unix.Unlink(f.path) // it may have none
}

// watch reads what commands write and what the shell reports, whenever no caller attends to it. It ends when the shell has, and nobody can write
// any more.
func (s *Session) watch() {
	var ready process.Ready
	for s.poll.Wait() == nil {
		s.mu.Lock()
		mine := !s.attending // else two would read, in no order
		s.mu.Unlock()
		if mine && s.poll.WaitHere(&ready, 0) == nil {
			s.take(&ready)
		}
		s.mu.Lock()
		wait := !s.attending && s.waitsLocked()
		s.mu.Unlock()
		if wait {
			s.poll.Arm()
		}
	}
	s.closeControl()
}

// onceReady has an event when something comes, and not because something is still there: so events are in the order of coming.
const onceReady = unix.EPOLLIN | unix.EPOLLET

// atLeast is what a read takes at least, in bytes, if there is so much.
const atLeast = 4 << 10

// take takes what is ready.
func (s *Session) take(ready *process.Ready) {
	for key := range ready.Keys {
		switch key {
		case controlKey:
			if s.report() {
				s.closeControl()
			}
		case stdinKey:
			s.drained()
		default:
			n := s.read(key)
			s.mu.Lock()
			if f, ok := s.fifos[key]; ok && (n >= atLeast || n > 0 && f.own < 0) {
				_ = s.poll.Change(f.fd, onceReady, key) // there may be more, or its end
			}
			s.mu.Unlock()
		}
	}
}

func (s *Session) closeControl() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.control.fd >= 0 {
		s.poll.Remove(s.control.fd)
		_ = unix.Close(s.control.fd)
		s.control.fd = -1
	}
}

// report takes an exit code from the control socket, finishes the command and starts the next. It reports the end of the socket.
func (s *Session) report() (eof bool) {
	s.mu.Lock()
	eof = s.control.read()
	c := s.running
	if c == nil {
		s.control.forget()
		s.mu.Unlock()
		return eof
	}
	r, ok := s.dialect.find(s.control.said, s.job)
	if ok && r.skipped && r.code == 0 || s.control.noise > maxNoise {
		s.deafLocked() // something stands before what runs our commands, or it cannot read them any more
		ok = false
	}
	if !ok {
		s.mu.Unlock()
		return eof
	}
	said := s.complaintsLocked(r)
	s.control.forget()
	s.last, s.running = r, nil
	if r.code == process.CodeKilled && !s.deleted {
		c.oom = s.m.cfg.Processes.EndedForMemory(c.kills)
	}
	s.nextLocked()
	s.mu.Unlock()
	s.finish(c, r.code, nil, said)
	return eof
}

// complaintsLocked returns what is to be told of a command that the shell could not run: what it said itself, without its traces of our line.
func (s *Session) complaintsLocked(r report) (said []byte) {
	switch {
	case r.skipped:
		return []byte("the session's shell could not open the command's input and output; it may have too many open files, or the folder of its files is gone\n")
	case r.code == 0 || s.dialect == bashShell:
		return nil
	}
	for line := range bytes.Lines(s.control.said) {
		if !bytes.Contains(line, []byte(s.job.nonce)) && !bytes.Contains(line, []byte(s.job.script)) {
			said = append(said, line...)
		}
	}
	return said
}

func (s *Session) deafLocked() {
	if !s.deaf {
		s.deaf = true
		s.shell.Signal(unix.SIGKILL, false) // shellEnded tells the rest
	}
}

// checkSlow sees to it that a command which has run for some time is not waited for in vain: from then on it is an event when the shell reads
// on without having told of the command's end.
func (s *Session) checkSlow() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.timing = false
	c := s.running
	switch {
	case c == nil || s.ended || c == s.asked:
	case c != s.seen:
		s.seen, s.timing = c, true
		time.AfterFunc(slow, s.checkSlow)
	default:
		s.asked, s.pinged = c, false
		s.askLocked()
	}
}

// askLocked makes it an event when the shell has read all that it was given.
func (s *Session) askLocked() {
	const events = unix.EPOLLOUT | unix.EPOLLONESHOT
	if errors.Is(s.poll.Change(s.stdin, events, stdinKey), unix.ENOENT) {
		_ = s.poll.Add(s.stdin, events, stdinKey) // without memory for it, it is not asked
	}
}

// drained is called when the shell has read all that it was given. Some shells do so before they run it: an empty line tells.
func (s *Session) drained() {
	s.report() // what it said comes first
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running == nil || s.running != s.asked || s.stdin < 0 {
		return
	}
	if left, err := unix.IoctlGetInt(s.stdin, unix.TIOCINQ); err != nil || left != 0 {
		return // this kernel's pipes cannot tell, or the shell has ended
	}
	if !s.pinged {
		if _, err := unix.Write(s.stdin, []byte("\n")); err == nil {
			s.pinged = true
			s.askLocked()
		}
		return
	}
	s.deafLocked()
}

// finish completes a command that has ended. All it wrote is in its FIFOs by now; what a background process may add later is waited for
// until linger is over. What the shell said itself is told where the command did not: the command was not run at all then.
func (s *Session) finish(c *Command, code int, err error, said []byte) {
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
	if c.stdinPath != "" {
		_ = unix.Unlink(c.stdinPath) // gone already where somebody cleaned up
	}
	c.pending = &outcome{code, err}
	held = s.fifosOfLocked(c)
	for _, key := range held { // a later command is not to have it
		f := s.fifos[key]
		_ = unix.Unlink(f.path)
		f.path = ""
		s.fifos[key] = f
		_ = s.poll.Change(f.fd, onceReady, key) // an event of what is there now may have been taken before
	}
	s.mu.Unlock()
	if len(said) > 0 && c.output.Size(0) == 0 {
		c.output.Append(journal.Stderr, said)
	}
	if len(held) > 0 && err == nil {
		time.AfterFunc(linger, func() { c.complete(code, nil) })
		return
	}
	c.complete(code, err)
	if len(held) == 0 {
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
		n, err = journal.Drop(f.fd)
	}
	if errors.Is(err, unix.EAGAIN) {
		return -1
	}
	if n > 0 {
		if n > 32<<10 && !f.wide { // fewer turns with a larger pipe
			_, _ = unix.FcntlInt(uintptr(f.fd), unix.F_SETPIPE_SZ, pipeSize)
			s.mu.Lock()
			if now, ok := s.fifos[key]; ok { // f is a copy, and may be old
				now.wide = true
				s.fifos[key] = now
			}
			s.mu.Unlock()
		}
		return n
	}
	s.closed(key)
	return 0
}

// closed is called when a FIFO is at its end, by who holds reading.
func (s *Session) closed(key int32) {
	s.mu.Lock()
	f, ok := s.fifos[key] // as it is now: a copy from before the read may name a descriptor that is closed, and another's by now
	if !ok {
		s.mu.Unlock()
		return
	}
	delete(s.fifos, key)
	if f.path != "" && !f.wide && !s.ended && s.spare[f.stream].path == "" {
		s.poll.Remove(f.fd)
		s.spare[f.stream] = fifo{fd: f.fd, own: -1, path: f.path}
	} else {
		s.closeFIFO(f)
	}
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

// shellEnded completes what runs with the shell's end, and what waits with ErrEnded.
func (s *Session) shellEnded(shell process.Result) {
	code := shell.ExitCode
	s.report() // the last command's own code, if it came to that
	s.mu.Lock()
	s.ended = true
	running, waiting := s.running, s.queue
	s.running, s.queue = nil, nil
	for i, f := range s.spare {
		if f.path != "" {
			_ = unix.Close(f.fd)
			s.spare[i] = fifo{}
		}
	}
	why := ErrEnded
	var err error
	switch {
	case s.deleted:
		err = fmt.Errorf("session %q: deleted: %w", s.id, ErrEnded)
	case s.deaf:
		why, code = ErrDeaf, -1
		err = fmt.Errorf("session %q: %w", s.id, ErrDeaf)
	}
	s.mu.Unlock()
	if running != nil {
		if s.deaf {
			running.output.Append(journal.Stderr, []byte(ErrDeaf.Msg+"\n"))
		}
		running.oom = shell.OutOfMemory
		s.finish(running, code, err, nil)
	}
	for _, c := range waiting {
		c.output.Append(journal.Stderr, []byte("the session's shell ended before this command ran\n"))
		c.complete(-1, fmt.Errorf("session %q: %w", s.id, why))
		c.output.Settle()
	}
	_ = os.RemoveAll(s.dir) // in memory or a temporary folder; nothing to tell
	s.mu.Lock()
	defer s.mu.Unlock()
	s.poll.Remove(s.stdin)
	_ = unix.Close(s.stdin)
	s.stdin = -1
	if len(s.fifos) == 0 {
		s.poll.Close()
	}
	close(s.over)
}

// end ends the shell and what else scope says.
func (s *Session) end(scope process.Scope, grace time.Duration) {
	s.mu.Lock()
	s.deleted = true
	s.mu.Unlock()
	s.shell.EndWith(scope, grace)
	<-s.over
}

// discard gives up the output of all commands.
func (s *Session) discard() {
	for _, c := range s.Commands() {
		c.complete(-1, fmt.Errorf("session %q: deleted: %w", s.id, ErrEnded))
		c.output.Discard()
	}
}
