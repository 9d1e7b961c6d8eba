package session

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/sandlot-dev/sandlot/internal/linux"
	"github.com/sandlot-dev/sandlot/process"
)

const (
	maxSaid  = 16 << 10 // bytes kept of what a shell writes to its control socket during one command
	maxNoise = 4 << 20  // bytes written there during one command after which the shell counts as lost
)

// Keys of control's descriptors in the poller. FIFOs have keys above these.
const (
	reportKey = 0
	linesKey  = -1
)

// control is how a session talks with its shell: a pipe of lines that the shell reads and runs, one for each job, and a
// socket to which it reports the end of each job. The socket is the shell's own standard output and error, so it also
// carries the shell's messages. A socket cannot be opened through /proc/PID/fd, and the kernel says which process wrote
// to it; what others than the shell wrote is dropped.
type control struct {
	poll    *process.Poller
	dialect dialect
	base    int // first of the descriptors that are ours in a bash

	mu     sync.Mutex
	pid    int    // of the shell
	named  bool   // the kernel says who wrote
	lines  int    // our end of the pipe, -1 once closed
	socket int    // our end of the socket, -1 once closed
	job    job    // the one that was sent last
	runs   bool   // job is not at its end
	last   report // of the job before
	said   []byte // what the shell wrote to the socket since the last job ended
	noise  int    // bytes written there since, by anyone
}

// newControl returns a control for a shell that is started with stdin as standard input and output as standard output
// and error. The caller closes both after that.
func newControl(poll *process.Poller, d dialect) (c *control, stdin, output *os.File, err error) {
	c = &control{poll: poll, dialect: d, base: firstFD(), lines: -1, socket: -1}
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
		return nil, nil, nil, os.NewSyscallError("pipe2", err)
	}
	c.lines, stdin = pipe[1], os.NewFile(uintptr(pipe[0]), "stdin")
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		c.close()
		return nil, nil, nil, errors.Join(os.NewSyscallError("socketpair", err), stdin.Close())
	}
	c.socket, output = pair[0], os.NewFile(uintptr(pair[1]), "control")
	// Without this option, the nonce of the job is the only check.
	c.named = unix.SetsockoptInt(c.socket, unix.SOL_SOCKET, unix.SO_PASSCRED, 1) == nil
	_ = unix.Fchmod(c.lines, 0) // nobody but root can open the pipe through /proc
	// With one slot, and not sixteen, the pipe counts as full until the shell has read all. Where the kernel refuses
	// that, drained asks how many bytes are left.
	_, _ = unix.FcntlInt(uintptr(c.lines), unix.F_SETPIPE_SZ, 1)
	err = unix.SetNonblock(c.socket, true)
	if err == nil {
		err = unix.SetNonblock(c.lines, true)
	}
	if err == nil {
		err = poll.Add(c.socket, onceReady, reportKey)
	}
	if err != nil {
		c.close()
		return nil, nil, nil, errors.Join(err, stdin.Close(), output.Close())
	}
	return c, stdin, output, nil
}

// firstFD returns the first of the descriptors that are to be ours in a bash. It is far above those that programs use
// or close, and within the limit of open files.
func firstFD() int {
	const wanted, reserve = 900, 24
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err == nil && limit.Cur < wanted+reserve {
		return max(int(limit.Cur)-reserve, 10)
	}
	return wanted
}

// setUp sends the shell that runs as pid its first line.
func (c *control) setUp(pid int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pid = pid
	if _, err := unix.Write(c.lines, []byte(c.dialect.setUp(c.base))); err != nil && !errors.Is(err, unix.EPIPE) {
		return os.NewSyscallError("write", err)
	}
	return nil // after EPIPE, the shell's end says all
}

// send gives the shell a job. Error: unix.EPIPE when it has ended.
func (c *control) send(j job) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	line := c.dialect.line(j, c.last, c.base)
	n, err := unix.Write(c.lines, []byte(line))
	switch {
	case err != nil:
		return err
	case n < len(line):
		return unix.ENOSPC
	}
	c.job, c.runs = j, true
	return nil
}

// lastScript returns the path of the script that was sent last.
func (c *control) lastScript() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.job.script
}

// ending is what a shell reported of the end of a job.
type ending struct {
	code     int
	messages []byte // the shell's own, of a job that it could not run
}

// receive reads what the shell wrote, and returns the end of the job that runs, or nil if it has none yet. lost means
// that no report can come any more: something stands in front of the words by which we run jobs, or the shell writes
// without end.
func (c *control) receive() (end *ending, lost bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.readLocked() {
		c.closeSocketLocked()
	}
	if !c.runs {
		c.said, c.noise = nil, 0
		return nil, false
	}
	r, ok := c.dialect.find(c.said, c.job)
	if ok && r.skipped && r.code == 0 || c.noise > maxNoise {
		return nil, true
	}
	if !ok {
		return nil, false
	}
	end = &ending{code: r.code, messages: c.messagesLocked(r)}
	c.last, c.runs, c.said, c.noise = r, false, nil, 0
	return end, false
}

// messagesLocked returns the shell's messages about a job that it could not run, without its trace of our line.
func (c *control) messagesLocked(r report) (messages []byte) {
	switch {
	case r.skipped:
		return []byte("the session's shell could not open the command's input and output; " +
			"it may have too many open files, or the folder of its files is gone\n")
	case r.code == 0 || c.dialect == bashShell:
		return nil
	}
	for line := range bytes.Lines(c.said) {
		if !bytes.Contains(line, []byte(c.job.nonce)) && !bytes.Contains(line, []byte(c.job.script)) {
			messages = append(messages, line...)
		}
	}
	return messages
}

// readLocked reads the socket until it is empty, and reports whether nobody can write to it any more.
func (c *control) readLocked() (eof bool) {
	var buf [1 << 10]byte
	oob := make([]byte, unix.CmsgSpace(unix.SizeofUcred))
	for c.socket >= 0 {
		oobn := 0
		n, err := linux.RetryValue(func() (n int, err error) {
			n, oobn, _, _, err = unix.Recvmsg(c.socket, buf[:], oob, unix.MSG_CMSG_CLOEXEC)
			return n, err
		})
		switch {
		case err != nil:
			return !errors.Is(err, unix.EAGAIN)
		case n == 0:
			return true
		}
		if c.named && writer(oob[:oobn]) != c.pid {
			continue
		}
		c.noise += n
		c.said = append(c.said, buf[:n]...)
		c.said = c.said[max(0, len(c.said)-maxSaid):]
	}
	return true
}

// writer returns the process that a message names, 0 for none. Descriptors that came along are closed.
func writer(oob []byte) (pid int) {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return 0
	}
	for i := range messages {
		if cred, err := unix.ParseUnixCredentials(&messages[i]); err == nil {
			pid = int(cred.Pid)
		}
		if fds, err := unix.ParseUnixRights(&messages[i]); err == nil {
			for _, fd := range fds {
				_ = unix.Close(fd)
			}
		}
	}
	return pid
}

// notifyDrained asks for one event of linesKey when the shell has read all lines. Without memory for it, none comes.
func (c *control) notifyDrained() {
	c.mu.Lock()
	defer c.mu.Unlock()
	const events = unix.EPOLLOUT | unix.EPOLLONESHOT
	if errors.Is(c.poll.Change(c.lines, events, linesKey), unix.ENOENT) {
		_ = c.poll.Add(c.lines, events, linesKey)
	}
}

// drained reports whether the shell has read all lines. It is false where the kernel cannot tell.
func (c *control) drained() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lines < 0 {
		return false
	}
	left, err := unix.IoctlGetInt(c.lines, unix.TIOCINQ)
	return err == nil && left == 0
}

// ping sends an empty line, which does nothing, and reports whether it could.
func (c *control) ping() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, err := unix.Write(c.lines, []byte("\n"))
	return err == nil
}

// closeLines closes the pipe.
func (c *control) closeLines() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lines >= 0 {
		c.poll.Remove(c.lines)
		_ = unix.Close(c.lines)
		c.lines = -1
	}
}

// close closes the pipe and the socket.
func (c *control) close() {
	c.closeLines()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closeSocketLocked()
}

func (c *control) closeSocketLocked() {
	if c.socket >= 0 {
		c.poll.Remove(c.socket)
		_ = unix.Close(c.socket)
		c.socket = -1
	}
}

// newNonce returns what the report of one job is known by.
func newNonce() string {
	var b [6]byte
	_, _ = rand.Read(b[:]) // never fails
	return base64.RawURLEncoding.EncodeToString(b[:])
}
