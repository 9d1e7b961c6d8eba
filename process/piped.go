package process

import (
	"errors"
	"io"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/process/journal"
)

// ErrInputClosed is returned for input that no process reads any more.
var ErrInputClosed = fault.New(fault.Gone, "the command has closed its input")

// Piped is a Process whose three streams are its caller's, without a journal between: what the caller does not read holds the process back, as a
// pipe does. Its methods are safe for concurrent use, but each stream is for one reader.
type Piped struct {
	*Process

	in    *os.File
	outs  [3]*os.File   // by Stream
	rest  [3]int        // bytes of it that are still to be read behind its deadline; less than 0 before that
	ended chan struct{} // closed when the process has ended and the deadlines are set
}

// StartPiped starts spec, whose Streams are not looked at. Errors are those of Start.
func (m *Manager) StartPiped(spec Spec) (_ *Piped, err error) {
	p := &Piped{rest: [3]int{-1, -1, -1}, ended: make(chan struct{})}
	var theirs Files
	defer func() {
		for _, f := range theirs {
			_ = f.Close() // the child has its own
		}
		if err != nil {
			p.Close()
		}
	}()
	for s := range 3 {
		r, w, err := pipe(s != 0, s == 0)
		if err != nil {
			return nil, fault.Newf(fault.Internal, "start a process: %w", err)
		}
		reader, writer := os.NewFile(uintptr(r), "pipe"), os.NewFile(uintptr(w), "pipe")
		if s == 0 {
			p.in, theirs = writer, append(theirs, reader)
		} else {
			p.outs[s], theirs = reader, append(theirs, writer)
		}
	}
	spec.Streams = theirs
	if p.Process, err = m.Start(spec); err != nil {
		return nil, err
	}
	go p.over()
	return p, nil
}

// over ends the reading of what a background child may hold open for ever, when the process has ended and some time has passed.
func (p *Piped) over() {
	<-p.done
	_ = p.in.Close()
	for _, f := range p.outs[journal.Stdout:] {
		_ = f.SetReadDeadline(time.Now().Add(p.spec.Linger)) // a pipe always takes one
	}
	close(p.ended)
}

// Write gives input to the process and waits until it is in the pipe. Error: ErrInputClosed.
func (p *Piped) Write(data []byte) (int, error) {
	n, err := p.in.Write(data)
	if errors.Is(err, syscall.EPIPE) || errors.Is(err, os.ErrClosed) {
		err = ErrInputClosed
	}
	return n, err
}

// CloseInput ends the input. It may be called again.
func (p *Piped) CloseInput() { _ = p.in.Close() }

// Read reads some of a stream, as io.Reader does. The stream is at its end when no process holds it, or when the process has ended, Spec.Linger
// has passed, and what was written up to then is read.
func (p *Piped) Read(s journal.Stream, buf []byte) (int, error) {
	n, err := p.outs[s].Read(buf)
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return n, err
	}
	raw, err := p.outs[s].SyscallConn()
	if err != nil {
		return 0, io.EOF
	}
	n = 0
	err = raw.Control(func(fd uintptr) {
		if p.rest[s] < 0 {
			p.rest[s], _ = unix.IoctlGetInt(int(fd), unix.TIOCINQ) // 0 where there is nothing
		}
		if p.rest[s] > 0 {
			n, _ = ignoringEINTR(func() (int, error) { return unix.Read(int(fd), buf[:min(len(buf), p.rest[s])]) }) // it is there
		}
	})
	if n <= 0 || err != nil {
		return 0, io.EOF
	}
	p.rest[s] -= n
	return n, nil
}

// Close waits for the end of the process and gives up the streams. A background child that still holds one of the outputs goes on: what it writes is read and forgotten.
func (p *Piped) Close() {
	if p.Process != nil {
		<-p.ended
	}
	for _, f := range append([]*os.File{p.in}, p.outs[journal.Stdout:]...) {
		switch {
		case f == nil: // it could not be made
		case f == p.in || p.Process == nil:
			_ = f.Close()
		default:
			go forget(f)
		}
	}
}

// forget reads a stream to its end.
func forget(f *os.File) {
	defer f.Close() // only read from
	if f.SetReadDeadline(time.Time{}) != nil {
		return
	}
	raw, err := f.SyscallConn()
	for n := 1; err == nil && n > 0; {
		err = raw.Read(func(fd uintptr) bool {
			var failed error
			n, failed = journal.Drop(int(fd))
			return !errors.Is(failed, unix.EAGAIN)
		})
	}
}

// Failed returns what a shell says of a spec that could not be started, and the exit code that it has then. known is false for a bad
// spec.
func Failed(err error) (message string, code int, known bool) {
	if code, known = StartCode(err); !known {
		return "", 0, false
	}
	return err.Error() + "\n", code, true
}
