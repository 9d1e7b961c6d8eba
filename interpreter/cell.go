package interpreter

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"

	"github.com/sandlot-dev/sandlot/process/journal"
)

// State says how a cell ended.
type State int

// The states.
const (
	Completed   State = iota // it ran to its end, or raised an exception
	Interrupted              // by Interrupt
	TimedOut                 // its time was over
	Crashed                  // its worker died
	Deleted                  // its context was deleted
	Failed                   // no worker could be started
)

// Outcome is the end of a cell.
type Outcome struct {
	State State
	Error *Error // why it did not come to its end; not for what its code raised, which is an Event
}

// Error is an exception, or what took its place.
type Error struct {
	Name      string `json:"name"`
	Value     string `json:"value"`
	Traceback string `json:"traceback"`
}

// Kind says what an Event is.
type Kind string

// The kinds.
const (
	Stdout  Kind = "stdout"
	Stderr  Kind = "stderr"
	Display Kind = "display" // what the code showed: Data by MIME type
	Result  Kind = "result"  // the value of the last expression: Data by MIME type
	Raised  Kind = "error"

	ended Kind = "end" // of the cell
)

// Event is one thing of a cell's record.
type Event struct {
	Kind  Kind            `json:"kind"`
	Text  []byte          `json:"-"` // of Stdout and Stderr; valid until the reader's next call
	Data  json.RawMessage `json:"data,omitempty"`
	Error *Error          `json:"error,omitempty"`

	Skipped int64 `json:"-"` // bytes of the record before this that were dropped
	Next    int64 `json:"-"` // offset of what follows, to go on from with Follow
}

// Cell is code that runs, waits to run, or has run.
type Cell struct {
	request Request

	begun  chan struct{} // closed when the next three are set
	worker *worker       // nil when it never ran
	from   int64         // where its record begins in the worker's
	died   string        // how the worker before ended, "" where that is known

	done    chan struct{} // closed when the next two are set
	to      int64         // where its record ends
	outcome Outcome
}

// Done is closed when the cell has ended.
func (c *Cell) Done() <-chan struct{} { return c.done }

// Outcome waits for the end.
func (c *Cell) Outcome() Outcome {
	<-c.done
	return c.outcome
}

func (c *Cell) begin(w *worker, died string) {
	c.worker, c.from, c.died = w, w.end, died
	close(c.begun)
}

// fail ends a cell that never ran.
func (c *Cell) fail(s State, why string) {
	c.outcome = Outcome{State: s, Error: &Error{Name: errorNames[s], Value: why}}
	close(c.begun)
	close(c.done)
}

var errorNames = map[State]string{
	Deleted: "ContextDeleted", Failed: "InterpreterUnavailable", Crashed: "InterpreterCrashed",
}

// Reader reads the record of a cell.
type Reader struct {
	cell   *Cell
	at     int64 // offset in the cell's record of what comes next
	record *journal.Reader
	chunk  journal.Chunk // what is not given of the last one
	line   []byte        // the beginning of an event
	told   bool          // how the last worker ended
}

// Follow returns a Reader from an offset on, 0 for all, that waits for more until the cell has ended.
func (c *Cell) Follow(from int64) *Reader { return &Reader{cell: c, at: from, told: from > 0} }

// Close gives up what the reader holds.
func (r *Reader) Close() {
	if r.record != nil {
		r.record.Close()
	}
}

// Next returns the next event. Errors: io.EOF behind the last, ctx's cause when that ends first.
func (r *Reader) Next(ctx context.Context) (Event, error) {
	c := r.cell
	select {
	case <-c.begun:
	case <-ctx.Done():
		return Event{}, context.Cause(ctx)
	}
	if c.worker == nil {
		return Event{}, io.EOF
	}
	if r.record == nil {
		r.record = c.worker.record().Follow(c.from + r.at)
	}
	if c.died != "" && !r.told {
		r.told = true
		return Event{Kind: Stderr, Text: []byte(c.died)}, nil
	}
	for {
		if len(r.chunk.Data) == 0 {
			if err := r.fetch(ctx); err != nil {
				return Event{}, err
			}
		}
		event, ok := r.take()
		switch {
		case !ok:
		case event.Kind == ended:
			return Event{}, io.EOF
		default:
			return event, nil
		}
	}
}

// fetch reads the next piece of the worker's record.
func (r *Reader) fetch(ctx context.Context) (err error) {
	r.chunk, err = r.record.Next(ctx)
	if errors.Is(err, io.EOF) {
		select {
		case <-r.cell.done: // the record of a worker that died may be over before its cell is
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	if err != nil {
		return err
	}
	if r.chunk.Skipped > 0 { // maybe also the end of this cell's part
		select {
		case <-r.cell.done:
			if r.chunk.Offset >= r.cell.to {
				return io.EOF
			}
		default:
		}
	}
	return nil
}

// take takes an event off the chunk; ok is false where it holds the beginning of one.
func (r *Reader) take() (e Event, ok bool) {
	c := &r.chunk
	skipped := c.Skipped
	c.Skipped = 0
	if c.Stream != journal.Events {
		e = Event{Kind: Stdout, Text: c.Data}
		if c.Stream == journal.Stderr {
			e.Kind = Stderr
		}
		r.at = c.Offset + int64(len(c.Data)) - r.cell.from
		e.Skipped, e.Next = skipped, r.at
		c.Data = nil
		return e, true
	}
	line, rest, whole := bytes.Cut(c.Data, []byte("\n"))
	r.at = c.Offset + int64(len(c.Data)-len(rest)) - r.cell.from
	c.Offset, c.Data = c.Offset+int64(len(c.Data)-len(rest)), rest
	if skipped > 0 {
		r.line = nil
	}
	r.line = append(r.line, line...)
	if !whole {
		return e, false
	}
	ok = json.Unmarshal(r.line, &e) == nil // it fails for the rest of one of which the beginning was dropped
	r.line = nil
	e.Skipped, e.Next = skipped, r.at
	return e, ok || skipped > 0
}
