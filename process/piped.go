package process

import (
	"errors"
	"io"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/internal/linux"
	"github.com/sandlot-dev/sandlot/process/journal"
)

// ErrInputClosed is returned for input that no process reads any more.
var ErrInputClosed = fault.New(fault.Gone, "the command has closed its input")

// Piped is a Process that its caller talks to. Nothing is kept between: what the caller does not read holds the process
// back, as a pipe does. It is safe for concurrent use, but each output is for one reader.
type Piped struct {
	*Process

	// Stdin is the process's input. Write waits until the data is in the pipe; its error is ErrInputClosed. Close
	// ends the input and may be called again.
	Stdin io.WriteCloser

	// Stdout and Stderr are the process's outputs. One is at its end when no process holds it, or when the leader has
	// ended, Spec.Linger has passed, and what was written up to then is read.
	Stdout, Stderr io.Reader

	outputs [2]*pipedOutput
	ended   chan struct{} // closed when the leader has ended and both outputs have their deadline
}

// StartPiped starts spec, whose Streams are the Piped's, with more as its descriptors from 3 on. The caller closes more
// after that, and calls Close in the end. Errors are those of Start.
func (m *Manager) StartPiped(spec Spec, more ...*os.File) (*Piped, error) {
	ours, theirs := make(closers, 3), make(closers, 3)
	defer theirs.close() // the child has its own
	var err error
	for i := range ours {
		if ours[i], theirs[i], err = pipe(i > 0); err != nil {
			ours.close()
			return nil, fault.Newf(fault.Internal, "start a process: %w", err)
		}
	}
	spec.Streams = append(Files(theirs), more...)
	started, err := m.Start(spec)
	if err != nil {
		ours.close()
		return nil, err
	}
	p := &Piped{Process: started, Stdin: pipedInput{ours[0]}, ended: make(chan struct{})}
	p.outputs = [2]*pipedOutput{{file: ours[1], rest: -1}, {file: ours[2], rest: -1}}
	p.Stdout, p.Stderr = p.outputs[0], p.outputs[1]
	go p.finish()
	return p, nil
}

// finish waits for the leader's end. From then on the outputs have a deadline, because a background child may hold them
// for ever.
func (p *Piped) finish() {
	<-p.Done()
	_ = p.Stdin.Close()
	for _, o := range p.outputs {
		_ = o.file.SetReadDeadline(time.Now().Add(p.spec.Linger)) // a pipe always takes one
	}
	close(p.ended)
}

// Close waits for the end of the process and gives up the streams. A background child that still holds one of the
// outputs goes on: what it writes is read and forgotten.
func (p *Piped) Close() {
	<-p.ended
	for _, o := range p.outputs {
		go o.forget()
	}
}

// pipedInput is the writing end of a process's input.
type pipedInput struct{ file *os.File }

func (i pipedInput) Write(data []byte) (int, error) {
	n, err := i.file.Write(data)
	if errors.Is(err, syscall.EPIPE) || errors.Is(err, os.ErrClosed) {
		err = ErrInputClosed
	}
	return n, err
}

func (i pipedInput) Close() error {
	_ = i.file.Close() // a pipe's Close loses nothing; a second one fails
	return nil
}

// pipedOutput is the reading end of one of a process's outputs.
type pipedOutput struct {
	file *os.File
	rest int // bytes that were in the pipe at its deadline and are not read; less than 0 before that
}

func (o *pipedOutput) Read(buf []byte) (int, error) {
	n, err := o.file.Read(buf)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return o.readRest(buf)
	}
	return n, err
}

// readRest reads, without waiting, from what was in the pipe at its deadline.
func (o *pipedOutput) readRest(buf []byte) (n int, err error) {
	raw, err := o.file.SyscallConn()
	if err != nil {
		return 0, io.EOF
	}
	err = raw.Control(func(fd uintptr) {
		if o.rest < 0 {
			o.rest, _ = unix.IoctlGetInt(int(fd), unix.TIOCINQ) // 0 where that is not told
		}
		if o.rest > 0 {
			n, _ = linux.RetryValue(func() (int, error) { return unix.Read(int(fd), buf[:min(len(buf), o.rest)]) })
		}
	})
	if n <= 0 || err != nil {
		return 0, io.EOF
	}
	o.rest -= n
	return n, nil
}

// forget reads the output to its end and closes it.
func (o *pipedOutput) forget() {
	defer o.file.Close() // only read from
	if o.file.SetReadDeadline(time.Time{}) != nil {
		return
	}
	raw, err := o.file.SyscallConn()
	for n := 1; err == nil && n > 0; {
		err = raw.Read(func(fd uintptr) bool {
			var failed error
			n, failed = journal.Drop(int(fd))
			return !errors.Is(failed, unix.EAGAIN)
		})
	}
}
