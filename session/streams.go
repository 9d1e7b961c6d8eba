package session

import (
	"errors"
	"maps"
	"slices"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/sandlot-dev/sandlot/process"
	"github.com/sandlot-dev/sandlot/process/journal"
)

// pipeSize is the most that a FIFO holds, in bytes. It holds 64 KiB until there is much output.
const pipeSize = 1 << 20

// onceReady asks for one event when output comes, and for none while it is still there. So events are in the order in
// which output came.
const onceReady = unix.EPOLLIN | unix.EPOLLET

// streams are the FIFOs of a session's commands. Each command has one for standard output and one for standard error,
// from which streams reads into the command's journal; an asynchronous command has a third one for its input. A
// background process may write to its command's FIFOs after the command, and after the session.
type streams struct {
	poll  *process.Poller
	files *scratch

	reading sync.Mutex // held while a FIFO is read, and by whoever closes our reading end; taken before mu

	mu      sync.Mutex
	fifos   map[int32]*fifo // open ones, by their keys in poll, which are above 0
	lastKey int32
	spare   [3]*fifo // by stream: a FIFO for the next command, nil for none
	retired bool     // the shell has ended
}

// fifo is the FIFO of one output stream of a command.
type fifo struct {
	fd     int    // our reading end
	own    int    // our writing end until the command has ended, -1 then
	path   string // "" once it is unlinked
	wide   bool   // it holds pipeSize; reading guards it
	c      *Command
	stream journal.Stream
}

func newStreams(poll *process.Poller, files *scratch) *streams {
	return &streams{poll: poll, files: files, fifos: map[int32]*fifo{}}
}

// open makes the FIFOs of a command and enters their paths into j. A command that is not run after all, also because of
// an error here, is given to release.
func (s *streams) open(c *Command, j *job) (err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if j.out, err = s.addLocked(c, journal.Stdout); err != nil {
		return err
	}
	if j.err, err = s.addLocked(c, journal.Stderr); err != nil {
		return err
	}
	if !c.async {
		return nil
	}
	j.in = s.files.newName()
	if c.stdin, err = makeFIFO(j.in, unix.O_RDWR); err != nil { // with O_WRONLY it would fail until the shell reads
		return err
	}
	c.stdinPath = j.in
	return nil
}

// addLocked gives a command the FIFO of one stream: the spare one if its file is still there, or a new one.
func (s *streams) addLocked(c *Command, stream journal.Stream) (path string, err error) {
	f := s.spare[stream]
	s.spare[stream] = nil
	if f != nil {
		if f.own, err = openFIFO(f.path, unix.O_WRONLY); err != nil { // a command has removed the file
			_ = unix.Close(f.fd)
			f = nil
		}
	}
	if f == nil {
		f = &fifo{path: s.files.newName()}
		if f.fd, err = makeFIFO(f.path, unix.O_RDONLY); err != nil {
			return "", err
		}
		// Without a writer, the shell's opening would count as an event, out of the order of writing.
		if f.own, err = openFIFO(f.path, unix.O_WRONLY); err != nil {
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

// release gives up the FIFOs of a command that was not run. Their reading ends are closed by read, at the event that
// tells their end.
func (s *streams) release(c *Command) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, key := range s.keysLocked(c) {
		s.closeOwnLocked(key)
		s.unlinkLocked(key)
	}
	_ = unix.Unlink(c.stdinPath) // it may have none
}

// ready handles the event of a FIFO.
func (s *streams) ready(key int32) {
	const block = 4 << 10 // a read that gives less has emptied the FIFO
	n := s.read(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if f := s.fifos[key]; f != nil && (n >= block || n > 0 && f.own < 0) {
		_ = s.poll.Change(f.fd, onceReady, key) // there may be more, or the end
	}
}

// finish reads all that a command has written by its end. It reports whether background processes hold the command's
// output open; if so, the last of them completes the command with o, if nothing else has.
func (s *streams) finish(c *Command, o outcome) (held bool) {
	s.mu.Lock()
	keys := s.keysLocked(c)
	for _, key := range keys {
		s.closeOwnLocked(key) // from here on, a FIFO is at its end when the last process closes it
	}
	s.mu.Unlock()
	for _, key := range keys {
		for left := pipeSize; left > 0; {
			n := s.read(key)
			if n <= 0 {
				break
			}
			left -= n
		}
	}
	if c.stdinPath != "" {
		_ = unix.Unlink(c.stdinPath) // a command may have removed it
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c.pending = &o
	keys = s.keysLocked(c)
	for _, key := range keys {
		s.unlinkLocked(key)
	}
	return len(keys) > 0
}

// read reads from a FIFO once. It returns 0 at the FIFO's end, and less than 0 when there is nothing to read now.
func (s *streams) read(key int32) int {
	s.reading.Lock()
	defer s.reading.Unlock()
	s.mu.Lock()
	f := s.fifos[key]
	s.mu.Unlock()
	if f == nil {
		return 0
	}
	n, err := f.c.output.Fill(f.stream, f.fd)
	if n < 0 && err == nil { // the session is deleted, and its journals with it
		n, err = journal.Drop(f.fd)
	}
	if errors.Is(err, unix.EAGAIN) {
		return -1
	}
	if n <= 0 {
		s.closed(key, f)
		return 0
	}
	if n > 32<<10 && !f.wide { // a larger pipe needs fewer reads
		_, _ = unix.FcntlInt(uintptr(f.fd), unix.F_SETPIPE_SZ, pipeSize)
		f.wide = true
	}
	return n
}

// closed takes a FIFO out that is at its end. It completes the command if that has ended before. The caller holds
// reading.
func (s *streams) closed(key int32, f *fifo) {
	s.mu.Lock()
	c := f.c
	delete(s.fifos, key)
	if f.path != "" && f.own < 0 && !f.wide && !s.retired && s.spare[f.stream] == nil {
		s.poll.Remove(f.fd)
		s.spare[f.stream] = f
	} else {
		s.closeFIFO(f)
	}
	ended := c.pending
	if len(s.keysLocked(c)) > 0 {
		ended = nil
	}
	s.closePollLocked()
	s.mu.Unlock()
	if ended != nil {
		c.complete(*ended)
		c.output.Settle()
	}
}

// busy reports whether any FIFO is open.
func (s *streams) busy() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.fifos) > 0
}

// hold reports whether a command's output is still open.
func (s *streams) hold(c *Command) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.keysLocked(c)) > 0
}

// retire is called when the shell has ended. The poller is closed with the last FIFO.
func (s *streams) retire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.retired = true
	for i, f := range s.spare {
		if f != nil {
			_ = unix.Close(f.fd)
			s.spare[i] = nil
		}
	}
	s.closePollLocked()
}

// close closes all FIFOs, whoever holds them. Nothing is read any more.
func (s *streams) close() {
	s.reading.Lock()
	defer s.reading.Unlock()
	s.mu.Lock()
	s.retired = true
	open := maps.Clone(s.fifos)
	s.mu.Unlock()
	for key, f := range open {
		s.closed(key, f)
	}
}

func (s *streams) closePollLocked() {
	if s.retired && len(s.fifos) == 0 {
		s.poll.Close()
	}
}

// keysLocked returns the keys of a command's open FIFOs, standard output first.
func (s *streams) keysLocked(c *Command) (keys []int32) {
	for key, f := range s.fifos {
		if f.c == c {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

func (s *streams) closeOwnLocked(key int32) {
	f := s.fifos[key]
	_ = unix.Close(f.own)
	f.own = -1
}

// unlinkLocked keeps a FIFO from later commands, and asks for another event: the last one may have been taken already.
func (s *streams) unlinkLocked(key int32) {
	f := s.fifos[key]
	_ = unix.Unlink(f.path)
	f.path = ""
	_ = s.poll.Change(f.fd, onceReady, key)
}

func (s *streams) closeFIFO(f *fifo) {
	s.poll.Remove(f.fd)
	_ = unix.Close(f.fd)
	if f.own >= 0 {
		_ = unix.Close(f.own)
	}
	_ = unix.Unlink(f.path) // it may have none
}
