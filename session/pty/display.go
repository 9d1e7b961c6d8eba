package pty

import (
	"context"
	"sync"
	"time"

	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/process/journal"
)

const (
	lead     = 128 << 10              // bytes by which the program may be ahead of the slowest client
	patience = 500 * time.Millisecond // how long the program waits for a client that reads nothing
)

// display gives a terminal's output to its clients, and lets the program wait for slow ones. Its lock is taken after
// the terminal's.
type display struct {
	output *journal.Journal

	mu      sync.Mutex
	screen  screen
	clients map[*Client]struct{}
	caught  chan struct{} // closed when a client has read something or has left; nil if nobody waits for that
}

func newDisplay(output *journal.Journal) *display {
	return &display{output: output, clients: map[*Client]struct{}{}}
}

// feed follows output that is in the journal already. It returns a panic as an error: the output comes from any
// program, and may end its terminal but not the daemon.
func (d *display) feed(data []byte) (err error) {
	defer fault.Recovered(&err)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.screen.feed(data)
	return nil
}

// attach adds a client. fullScreen reports whether a full-screen program is shown.
func (d *display) attach() (c *Client, fullScreen bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	c = &Client{d: d}
	c.rejoinLocked()
	d.clients[c] = struct{}{}
	return c, d.screen.alternate()
}

// holdBack waits while a client is far behind, until that client has read nothing for some time, or until done.
func (d *display) holdBack(done <-chan struct{}) {
	for {
		end := d.output.Size(0)
		caught := d.awaitSlow(end)
		if caught == nil {
			return
		}
		select {
		case <-caught:
		case <-done:
			return
		case <-time.After(patience):
			d.giveUp(end)
		}
	}
}

// awaitSlow returns what is closed when a client has read something, or nil if no client is far behind end.
func (d *display) awaitSlow(end int64) <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	for c := range d.clients {
		if !c.late && end-c.read > lead {
			if d.caught == nil {
				d.caught = make(chan struct{})
			}
			return d.caught
		}
	}
	return nil
}

// giveUp marks the clients that are far behind end as late: the program does not wait for them any more.
func (d *display) giveUp(end int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for c := range d.clients {
		c.late = c.late || end-c.read > lead
	}
}

func (d *display) notifyLocked() {
	if d.caught != nil {
		close(d.caught)
		d.caught = nil
	}
}

// Client is one attached client of a terminal.
type Client struct {
	d      *display
	reader *journal.Reader
	intro  []byte // what Next returns first
	read   int64  // offset of what it has read; the display's lock guards it
	late   bool   // the program does not wait for it; guarded likewise
}

// rejoinLocked goes to the oldest offset from which the screen can be shown.
func (c *Client) rejoinLocked() {
	if c.reader != nil {
		c.reader.Close()
	}
	from, intro := c.d.screen.replay(c.d.output.Dropped())
	c.read, c.intro, c.late = from, intro, false
	c.reader = c.d.output.Follow(from)
}

// Next returns the next output, at most 32 KiB, valid until the next call. Errors: io.EOF when the terminal has ended
// and all was given, ctx's cause.
func (c *Client) Next(ctx context.Context) ([]byte, error) {
	if data := c.intro; len(data) > 0 {
		c.intro = nil
		return data, nil
	}
	chunk, err := c.reader.Next(ctx)
	if err != nil {
		return nil, err
	}
	c.d.mu.Lock()
	defer c.d.mu.Unlock()
	if chunk.Skipped > 0 {
		c.rejoinLocked()
		data := c.intro
		if len(data) == 0 {
			data = []byte(resetScreen)
		}
		c.intro = nil
		return data, nil
	}
	c.read = chunk.Offset + int64(len(chunk.Data))
	c.late = c.late && c.d.output.Size(0)-c.read > lead
	c.d.notifyLocked()
	return chunk.Data, nil
}

// Close detaches the client. The terminal goes on.
func (c *Client) Close() {
	c.d.mu.Lock()
	defer c.d.mu.Unlock()
	delete(c.d.clients, c)
	c.reader.Close()
	c.d.notifyLocked()
}
