package interpreter

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/internal/linux"
	"github.com/sandlot-dev/sandlot/internal/logkey"
	"github.com/sandlot-dev/sandlot/process"
	"github.com/sandlot-dev/sandlot/process/journal"
)

const (
	maxMessage  = 32 << 20
	stopTime    = 2 * time.Second // from the interrupt of a cell whose time is over to the end of its worker
	closedTime  = time.Second     // from the end of a worker's socket to its own
	bufferFirst = 16 << 10

	largeMessage = 256 << 10        // bytes from which on a message is large
	largeTime    = 10 * time.Second // the longest that one may take to come
)

// worker is the process that runs a context's cells.
type worker struct {
	language language
	logger   *slog.Logger
	large    *sync.Mutex // Manager.large
	process  *process.Process
	control  *os.File // our end of its control socket

	ready chan struct{} // closed when it can run cells
	done  chan message  // the end of the cell that runs
	gone  chan struct{} // closed when it has ended and all that it sent is taken in

	told atomic.Bool // its end was told, or asked for
	end  int64       // of the record of the last cell; for whoever holds Context.running

	mu     sync.Mutex
	number int   // of the cell that runs, 0 for none
	cell   *Cell // that runs
	wanted State // what was asked of it, Completed for nothing
}

// message is what a worker sends, and what it is sent.
type message struct {
	Type   string          `json:"type,omitempty"` // ready, done; sync, display and source are answered
	Cell   int             `json:"cell,omitempty"`
	Result json.RawMessage `json:"result,omitempty"`
	Data   json.RawMessage `json:"data,omitempty"`
	Error  *Error          `json:"error,omitempty"`
	Name   string          `json:"name,omitempty"`

	Code   string            `json:"code,omitempty"`
	Envs   map[string]string `json:"envs,omitempty"`
	Source string            `json:"source,omitempty"`
}

// startWorker starts the worker of a context and waits until it can run cells.
func startWorker(ctx context.Context, c *Context) (*worker, error) {
	w, err := launch(c)
	if err != nil {
		if fault.KindOf(err) == fault.NotFound && !isFolder(err) {
			err = fault.Newf(fault.Unavailable, "%s cannot be run: %s: %w", c.Language, c.language.install, err)
		}
		return nil, err
	}
	c.m.work.Go(w.listen)
	defer c.m.forks.Prepare() // it runs, or does not: either way what it needed is free
	limit, cancel := context.WithTimeoutCause(ctx, startTime,
		fault.Newf(fault.Timeout, "the %s interpreter did not start within %v", c.Language, startTime))
	defer cancel()
	select {
	case <-w.ready:
		if c.Options.Memory > 0 {
			w.process.LimitMemory(c.Options.Memory)
		}
		return w, nil
	case <-w.gone:
		err = fault.Newf(fault.Unavailable, "the %s interpreter does not start: it %s\n%s", c.Language, w.howEnded(), strings.TrimSpace(w.words()))
	case <-c.closing:
		err = ErrDeleted
	case <-limit.Done():
		err = context.Cause(limit)
	}
	w.kill()
	w.discard()
	return nil, err
}

// launch starts the process.
func launch(c *Context) (*worker, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fault.Newf(fault.Internal, "start an interpreter: %w", err)
	}
	theirs := os.NewFile(uintptr(pair[1]), "control")
	defer theirs.Close() // the worker has its own
	_ = unix.SetNonblock(pair[0], true)
	control := os.NewFile(uintptr(pair[0]), "control")
	text, err := linux.MemoryFile("interpreter", []byte(c.language.text))
	if err != nil {
		_ = control.Close() // nothing was sent
		return nil, err
	}
	defer text.Close() // likewise
	p, err := c.m.cfg.Processes.Start(process.Spec{
		Argv: c.language.argv, Dir: c.Options.Dir, Fork: c.language.fork(c.m),
		Streams: process.Capture{Split: true, More: []*os.File{theirs, text}},
	})
	if err != nil {
		_ = control.Close() // nothing was sent
		return nil, err
	}
	return &worker{
		language: c.language, logger: c.m.cfg.Logger, large: &c.m.large, process: p, control: control,
		ready: make(chan struct{}), done: make(chan message, 1), gone: make(chan struct{}),
	}, nil
}

func isFolder(err error) bool { return fault.CodeOf(err) == "FOLDER_NOT_FOUND" }

// record is where the output of all cells of this worker is.
func (w *worker) record() *journal.Journal { return w.process.Output() }

// over reports whether the worker has ended.
func (w *worker) over() bool {
	select {
	case <-w.gone:
		return true
	default:
		return false
	}
}

// run runs a cell and sets how it ended. The caller holds Context.running, and closes cell.done.
func (w *worker) run(cell *Cell, number int) {
	w.mu.Lock()
	w.number, w.cell, w.wanted = number, cell, Completed
	w.mu.Unlock()
	if t := cell.request.Timeout; t > 0 {
		var kill *time.Timer
		late := time.AfterFunc(t, func() { w.stop(cell, TimedOut) })
		kill = time.AfterFunc(t+stopTime, func() { w.killCell(cell) })
		defer late.Stop()
		defer kill.Stop()
	}
	// An error is a worker that has ended, or is going to: that is waited for below.
	_ = w.send(message{Cell: number, Code: cell.request.Code, Envs: cell.request.Envs})
	var end message
	died := false
	select {
	case end = <-w.done:
	case <-w.gone:
		select {
		case end = <-w.done: // its last act
		default:
			died = true
		}
	}
	w.mu.Lock()
	state := w.wanted
	w.number, w.cell = 0, nil
	w.mu.Unlock()
	cell.outcome = w.outcome(state, died, end, cell.request.Timeout)
	w.note(Event{Kind: ended})
	w.end = w.record().Size(0)
	cell.to = w.end
}

func (w *worker) outcome(state State, died bool, end message, timeout time.Duration) Outcome {
	switch {
	case state == TimedOut:
		e := &Error{Name: "TimeoutError", Value: fmt.Sprintf("the code ran longer than its %v", timeout)}
		if end.Error != nil {
			e.Traceback = end.Error.Traceback
		}
		return Outcome{State: TimedOut, Error: e}
	case died:
		w.told.Store(true)
		return Outcome{State: Crashed, Error: &Error{Name: errorNames[Crashed], Value: w.death()}}
	case state == Interrupted && end.Error != nil:
		return Outcome{State: Interrupted}
	}
	return Outcome{}
}

// stop interrupts the cell if it still runs, and remembers why.
func (w *worker) stop(cell *Cell, why State) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.cell != cell {
		return
	}
	if w.wanted != TimedOut {
		w.wanted = why
	}
	w.process.Signal(syscall.SIGINT, true)
	for _, after := range nudges {
		time.AfterFunc(after, func() { w.nudge(cell) })
	}
}

// nudges are when an interrupt is followed by a signal that has no effect of its own. One that comes after the worker has
// looked for signals, and before it sleeps, would be acted on after that sleep. The nudge ends a sleep, which goes on
// where the interrupt was acted on before.
var nudges = []time.Duration{20 * time.Millisecond, 200 * time.Millisecond}

// nudge makes the worker look for signals if the cell still runs.
func (w *worker) nudge(cell *Cell) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.cell == cell {
		w.process.Signal(syscall.SIGURG, false)
	}
}

func (w *worker) interrupt(cell *Cell) { w.stop(cell, Interrupted) }

// killCell ends the worker if the cell still runs.
func (w *worker) killCell(cell *Cell) {
	w.mu.Lock()
	running := w.cell == cell
	w.mu.Unlock()
	if running {
		w.kill()
	}
}

// kill ends the worker and all that it started, and returns when that is so.
func (w *worker) kill() {
	w.process.Kill()
	<-w.gone
}

// forget ends what a worker left that has ended, and gives up its record.
func (w *worker) forget() {
	w.kill()
	w.discard()
}

// discard gives up the record of a worker that has ended.
func (w *worker) discard() { w.record().Discard() }

// death says how the worker ended, and what that means for its context.
func (w *worker) death() string {
	return fmt.Sprintf("the %s interpreter %s; what it had in memory is lost, and the next cell runs in a new one\n",
		w.language.name, w.howEnded())
}

func (w *worker) howEnded() string {
	r := w.process.Result()
	switch {
	case r.OutOfMemory != nil:
		return "was killed: " + r.OutOfMemory.String()
	case r.Signal != "":
		return "was ended by " + r.Signal
	}
	return fmt.Sprintf("ended with exit code %d", r.ExitCode)
}

// words returns what the worker wrote to stderr last.
func (w *worker) words() string {
	var said bytes.Buffer
	r := w.record().Snapshot(max(0, w.record().Size(0)-4096))
	defer r.Close()
	for {
		c, err := r.Next(context.Background())
		if err != nil {
			return said.String()
		}
		if c.Stream == journal.Stderr {
			said.Write(c.Data)
		}
	}
}

// note adds an event to the record.
func (w *worker) note(e Event) {
	line, err := json.Marshal(e)
	if err != nil {
		return // Data is no JSON: it was checked
	}
	w.record().Append(journal.Events, append(line, '\n'))
}

// send sends the worker a message.
func (w *worker) send(m message) error {
	line, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("encode: %w", err)
	}
	_, err = w.control.Write(append(line, '\n'))
	return err
}

// listen takes in what the worker sends, until it has ended.
func (w *worker) listen() {
	over := make(chan struct{})
	go func() { // ends with the process
		defer close(over)
		<-w.process.Exited()
		_ = w.control.SetDeadline(time.Unix(1, 0)) // a fork of it may hold the other end
	}()
	in := bufio.NewReaderSize(controlReader{w.control}, bufferFirst)
	for {
		line, large, err := w.readLine(in)
		if err == nil {
			err = w.take(line)
		}
		if large {
			w.large.Unlock()
		}
		if err == nil {
			continue
		}
		if !errors.Is(err, io.EOF) {
			w.logger.Warn("an interpreter does not keep to the protocol, and is ended", logkey.Err, err)
			w.process.Kill()
		}
		break
	}
	select {
	case <-over:
	case <-time.After(closedTime): // it has closed its socket, and lives on
		w.process.Kill()
		<-over
	}
	w.process.Sync()
	<-w.process.Done()
	_ = w.control.Close() // nothing is on its way
	close(w.gone)
}

// readLine reads a message of at most maxMessage. Of all workers, one at a time may send a large one: the caller unlocks
// w.large when it has taken that in. A worker that stops in the middle is not waited for.
func (w *worker) readLine(in *bufio.Reader) (line []byte, large bool, err error) {
	for {
		part, err := in.ReadSlice('\n')
		if len(line)+len(part) > maxMessage {
			return nil, large, fault.Newf(fault.TooLarge, "a message of more than %d MiB", maxMessage>>20)
		}
		if err == nil && line == nil {
			return part, large, nil
		}
		if line = append(line, part...); len(line) > largeMessage && !large {
			w.large.Lock()
			large = true
			stalled := time.AfterFunc(largeTime, w.process.Kill)
			defer stalled.Stop()
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, large, err
		}
	}
}

// take takes in one message. An error is one of the protocol.
func (w *worker) take(line []byte) (err error) {
	defer fault.Recovered(&err)
	var m message
	if err := json.Unmarshal(line, &m); err != nil {
		return fmt.Errorf("decode: %w", err)
	}
	answer := message{}
	switch m.Type {
	case "ready":
		select {
		case <-w.ready:
		default:
			close(w.ready)
		}
		return nil
	case "done":
		return w.taken(m)
	case "sync":
		w.process.Sync()
	case "display":
		w.process.Sync()
		if len(m.Data) > 0 {
			w.note(Event{Kind: Display, Data: m.Data})
		}
	case "source":
		answer.Source = w.language.parts[m.Name]
	default:
		return fmt.Errorf("a message of type %q", m.Type)
	}
	if err := w.send(answer); err != nil {
		return io.EOF // it has ended
	}
	return nil
}

// taken takes in the end of a cell.
func (w *worker) taken(m message) error {
	w.mu.Lock()
	running, late := w.number != 0 && w.number == m.Cell, w.wanted == TimedOut
	if running {
		w.number = 0 // another end of the same cell is not waited for
	}
	w.mu.Unlock()
	if !running {
		return fmt.Errorf("the end of cell %d, which does not run", m.Cell)
	}
	w.process.Sync()
	if len(m.Result) > 0 {
		w.note(Event{Kind: Result, Data: m.Result})
	}
	if m.Error != nil && !late {
		w.note(Event{Kind: Raised, Error: m.Error})
	}
	w.done <- m
	return nil
}

// controlReader reads a socket until its deadline, and then what is in it.
type controlReader struct{ file *os.File }

func (r controlReader) Read(buf []byte) (n int, err error) {
	n, err = r.file.Read(buf)
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return n, err
	}
	raw, err := r.file.SyscallConn()
	if err != nil {
		return 0, io.EOF
	}
	n = 0
	_ = raw.Control(func(fd uintptr) { n, err = unix.Read(int(fd), buf) }) // an error leaves n 0
	if n <= 0 || err != nil {
		return 0, io.EOF
	}
	return n, nil
}
