package interpreter

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/process"
)

const (
	maxKept    = 64 // cells that are found by their id
	maxRecords = 4  // workers whose records are kept
)

// Context runs cells, one after the other, in one worker.
type Context struct {
	ID       string
	Language string
	Created  time.Time
	Options  Options

	m        *Manager
	language language
	closing  chan struct{} // closed when it is deleted

	running sync.Mutex // held while the worker is started and while a cell runs

	mu      sync.Mutex
	worker  *worker // nil before the first start
	records []*worker
	cells   int // that were run so far
	waiting []*Cell
	current *Cell
	kept    []*Cell // those with an id, oldest first
	working bool    // a goroutine takes from waiting
	deleted bool
}

func newContext(m *Manager, id string, l language, o Options) *Context {
	return &Context{
		ID: id, Language: l.name, Created: time.Now(), Options: o, m: m, language: l,
		closing: make(chan struct{}),
	}
}

// Dir returns the folder that workers start in.
func (c *Context) Dir() string {
	if c.Options.Dir == "" {
		return c.m.cfg.Processes.Dir()
	}
	return c.Options.Dir
}

// Active reports whether the worker runs.
func (c *Context) Active() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.worker != nil && !c.worker.over()
}

// Request is what a cell is to run.
type Request struct {
	Code    string
	Envs    map[string]string // set while it runs
	Timeout time.Duration     // from the start of running; 0 means none
	ID      string            // by which others find it; "" for none. The same id again gives the same cell
}

// Run puts a cell behind those that wait. Errors: fault.Invalid for a bad request, fault.Conflict for another request
// with the same id, ErrBusy, ErrDeleted.
func (c *Context) Run(r Request) (*Cell, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.deleted {
		return nil, ErrDeleted
	}
	if old := c.findLocked(r.ID); old != nil {
		if old.request.Code != r.Code {
			return nil, fault.Newf(fault.Conflict, "a cell with the id %q ran other code: take a new id", r.ID)
		}
		return old, nil
	}
	if len(c.waiting) >= maxWaiting {
		return nil, ErrBusy
	}
	cell := &Cell{request: r, begun: make(chan struct{}), done: make(chan struct{})}
	c.waiting = append(c.waiting, cell)
	if r.ID != "" {
		c.kept = append(c.kept, cell)
		c.kept = c.kept[max(0, len(c.kept)-maxKept):]
	}
	if !c.working {
		c.working = true
		c.m.work.Go(c.runWaiting)
	}
	return cell, nil
}

func (r *Request) check() error {
	switch {
	case strings.TrimSpace(r.Code) == "":
		return fault.New(fault.Invalid, "the code is empty")
	case r.Timeout < 0:
		return fault.New(fault.Invalid, "the timeout is less than 0; 0 means none")
	}
	return process.CheckVariables(r.Envs)
}

// Cell finds a cell by the id of its request.
func (c *Context) Cell(id string) (*Cell, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if cell := c.findLocked(id); cell != nil {
		return cell, nil
	}
	return nil, fault.Newf(fault.NotFound, "context %s knows no cell %q: it keeps the last %d", c.ID, id, maxKept)
}

func (c *Context) findLocked(id string) *Cell {
	if i := slices.IndexFunc(c.kept, func(k *Cell) bool { return id != "" && k.request.ID == id }); i >= 0 {
		return c.kept[i]
	}
	return nil
}

// runWaiting runs the cells that wait until there are none.
func (c *Context) runWaiting() {
	for {
		c.mu.Lock()
		if len(c.waiting) == 0 {
			c.working = false
			c.mu.Unlock()
			return
		}
		cell := c.waiting[0]
		c.waiting = c.waiting[1:]
		c.current = cell
		c.mu.Unlock()

		c.running.Lock()
		c.run(cell)
		c.running.Unlock()

		c.mu.Lock()
		c.current = nil
		c.mu.Unlock()
	}
}

// run runs one cell. The caller holds running.
func (c *Context) run(cell *Cell) {
	died, err := c.ensure(context.Background())
	if err != nil {
		cell.fail(Failed, err.Error())
		return
	}
	c.mu.Lock()
	w, deleted := c.worker, c.deleted
	c.cells++
	number := c.cells
	c.mu.Unlock()
	if deleted {
		cell.fail(Deleted, ErrDeleted.Error())
		return
	}
	cell.begin(w, died)
	w.run(cell, number)
	c.mu.Lock()
	deleted = c.deleted
	c.mu.Unlock()
	if deleted && cell.outcome.State != Completed {
		cell.outcome = Outcome{State: Deleted, Error: &Error{Name: "ContextDeleted", Value: ErrDeleted.Error()}}
	}
	close(cell.done)
}

// start makes sure that a worker runs.
func (c *Context) start(ctx context.Context) error {
	c.running.Lock()
	defer c.running.Unlock()
	_, err := c.ensure(ctx)
	return err
}

// ensure starts a worker where none runs. died says how the last one ended, "" where that was told already. The caller
// holds running.
func (c *Context) ensure(ctx context.Context) (died string, err error) {
	c.mu.Lock()
	last, deleted := c.worker, c.deleted
	c.mu.Unlock()
	switch {
	case deleted:
		return "", ErrDeleted
	case last != nil && !last.over():
		return "", nil
	case last != nil && !last.told.Load():
		died = last.death()
		last.told.Store(true)
	}
	w, err := startWorker(ctx, c)
	if err != nil {
		return died, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.deleted {
		w.kill()
		w.discard()
		return died, ErrDeleted
	}
	c.worker = w
	c.records = append(c.records, w)
	if len(c.records) > maxRecords {
		c.m.work.Go(c.records[0].forget)
		c.records = slices.Clone(c.records[1:])
	}
	return died, nil
}

// Interrupt stops the cell that runs, as Ctrl-C does; the context keeps its state. Without one it does nothing.
func (c *Context) Interrupt() {
	c.mu.Lock()
	w, cell := c.worker, c.current
	c.mu.Unlock()
	if w != nil && cell != nil {
		w.interrupt(cell)
	}
}

// Restart ends the worker and all that it and those before it started. The cell that runs ends with the error Crashed;
// those that wait run in a fresh worker.
func (c *Context) Restart() {
	c.mu.Lock()
	w := c.worker
	c.mu.Unlock()
	if w != nil {
		w.told.Store(true)
		c.kill()
	}
}

// kill ends the worker, and what those before it left.
func (c *Context) kill() {
	c.mu.Lock()
	records := c.records // nobody changes what is in it
	c.mu.Unlock()
	for _, w := range records {
		w.kill()
	}
}

// end ends the worker for good and returns when nothing of it runs.
func (c *Context) end() {
	c.mu.Lock()
	if !c.deleted {
		close(c.closing)
	}
	c.deleted = true
	waiting := c.waiting
	c.waiting = nil
	c.mu.Unlock()
	for _, cell := range waiting {
		cell.fail(Deleted, ErrDeleted.Error())
	}
	c.kill()
	c.running.Lock() // the cell that ran is over
	defer c.running.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range c.records {
		r.discard()
	}
	c.records = nil
}
