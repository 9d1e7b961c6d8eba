package process

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"

	"github.com/sandlot-dev/sandlot/internal/linux"
	"github.com/sandlot-dev/sandlot/process/journal"
)

// Streams say where a process's input comes from and where its output goes: Capture, Files or Terminal.
type Streams interface {
	// open makes the files of the process's descriptors, and our ends of the pipes among them. theirs gets what to close
	// after the start. Our ends are returned with an error too, for the caller to close.
	open(null *os.File, theirs *closers) (files Files, ours pipes, err error)
}

// Capture gives a process its input and keeps its output in a Journal.
type Capture struct {
	Input  []byte         // standard input; nil is /dev/null
	Split  bool           // keep stdout and stderr apart, at the cost of the exact order between them
	Limits journal.Limits // of the output; zeros mean the Manager's

	// Attachment gives the process a file in memory as descriptor 3, for what it hands back beside its output. The
	// first 64 MiB of it become the output's stream Events, behind all else.
	Attachment bool

	// More are the process's further descriptors, from 3 on or behind the Attachment. The caller closes them after the
	// start.
	More []*os.File
}

// Files are a process's descriptors from 0 on. The caller closes them after the start. Output is empty.
type Files []*os.File

// Terminal is a process's controlling terminal and all of its three streams. The caller closes it after the start.
// Output is empty.
type Terminal struct{ *os.File }

// pipes are our ends of a process's streams; nil for none.
type pipes struct{ in, out, err, attached *os.File }

// sync moves what the pipes hold now into j. Together with take it keeps the order of each.
func (p *pipes) sync(j *journal.Journal) {
	for i, f := range []*os.File{p.out, p.err} {
		if f == nil {
			continue
		}
		s := journal.Stdout + journal.Stream(i)
		raw, err := f.SyscallConn()
		if err != nil {
			continue
		}
		_ = raw.Control(func(fd uintptr) { // an error is a pipe that was at its end
			for moved, n := 0, 1; n > 0 && moved < maxPipe; moved += n {
				n, _ = j.Fill(s, int(fd))
			}
		})
	}
}

// outputs returns how many of the outputs there are.
func (p *pipes) outputs() (n int) {
	for _, f := range []*os.File{p.out, p.err} {
		if f != nil {
			n++
		}
	}
	return n
}

func (p *pipes) close() {
	all := closers{p.in, p.out, p.err, p.attached}
	all.close() // the start failed: nothing was written or is lost
}

// attach moves what the process has attached into j, once, and closes the file. The caller holds ends.mu.
func (p *pipes) attach(j *journal.Journal) {
	if p.attached == nil {
		return
	}
	defer func() {
		_ = p.attached.Close() // only read from
		p.attached = nil
	}()
	for at, buf := int64(0), []byte(nil); at < maxAttachment; {
		if st, err := p.attached.Stat(); err != nil || st.Size() <= at {
			return
		}
		if buf == nil {
			buf = make([]byte, 64<<10)
		}
		n, _ := p.attached.ReadAt(buf[:min(int64(len(buf)), maxAttachment-at)], at) // it is at its end
		if n == 0 {
			return
		}
		j.Append(journal.Events, buf[:n])
		at += int64(n)
	}
}

func (c Capture) open(null *os.File, theirs *closers) (files Files, ours pipes, err error) {
	files = Files{null, nil, nil}
	if c.Input != nil {
		if ours.in, files[0], err = pipe(false); err != nil {
			return nil, ours, err
		}
		*theirs = append(*theirs, files[0])
	}
	if ours.out, files[1], err = pipe(true); err != nil {
		return nil, ours, err
	}
	*theirs = append(*theirs, files[1])
	files[2] = files[1]
	if c.Split {
		if ours.err, files[2], err = pipe(true); err != nil {
			return nil, ours, err
		}
		*theirs = append(*theirs, files[2])
	}
	if c.Attachment {
		if ours.attached, err = linux.MemoryFile("attachment", nil); err != nil {
			return nil, ours, err
		}
		files = append(files, ours.attached)
	}
	return append(files, c.More...), ours, nil
}

func (f Files) open(*os.File, *closers) (files Files, ours pipes, err error) { return f, ours, nil }

func (t Terminal) open(*os.File, *closers) (files Files, ours pipes, err error) {
	return Files{t.File, t.File, t.File}, ours, nil
}

// muchOutput is the size of a read, in bytes, from which on the pipe is made larger.
const muchOutput = 32 << 10

// maxAttachment is the most bytes that are read of what a process attaches.
const maxAttachment = 64 << 20

// maxPipe is the most bytes that a pipe of ours can hold.
const maxPipe = 1 << 20

// readInto appends what a pipe holds to a stream of j until the pipe's end, and closes the pipe. It reports false
// when the pipe's read deadline came first. Once j is closed, it reads on and drops the bytes, so that the writer is
// not held back.
func readInto(f *os.File, j *journal.Journal, s journal.Stream) (ended bool) {
	raw, err := f.SyscallConn()
	for widened := false; err == nil; {
		n := 0
		var failed error
		err = raw.Read(func(fd uintptr) bool {
			n, failed = j.Fill(s, int(fd))
			if n < 0 && failed == nil {
				n, failed = journal.Drop(int(fd))
			}
			if n > muchOutput && !widened {
				// A larger pipe needs fewer reads. Not before, because all pipes of a user share an allowance.
				widened = true
				_, _ = unix.FcntlInt(fd, unix.F_SETPIPE_SZ, maxPipe)
			}
			return !errors.Is(failed, unix.EAGAIN)
		})
		if err == nil && (n <= 0 || failed != nil) {
			break
		}
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return false
	}
	_ = f.Close() // read to its end
	return true
}
