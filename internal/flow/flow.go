// Package flow bounds what is on its way between the two ends of a connection that carries several streams, so that a
// stream that nobody reads holds back its own writer and neither the other streams nor the connection.
//
// The sender of a stream has a Credit: it sends no more than what the receiver has room for. The receiver has a
// Queue, and says of each piece that it is done with how long it was. Either is for one stream.
//
// Concurrency: all methods may be called at the same time, but Wait and Next by one goroutine each.
package flow

import (
	"context"
	"errors"
	"io"
	"sync"
)

// Window is the usual room of a receiver, in bytes.
const Window = 256 << 10

// ErrOverrun is returned for what is sent without credit.
var ErrOverrun = errors.New("more was sent than there is room for")

// Credit is what a sender may still send.
type Credit struct {
	mu    sync.Mutex
	room  int64
	limit int64
	wake  chan struct{}
}

// NewCredit returns the Credit for a receiver with room for so many bytes; 0 or less means without bound.
func NewCredit(window int64) *Credit {
	return &Credit{room: window, limit: window, wake: make(chan struct{}, 1)}
}

// Wait waits until something may be sent and returns how much, at most most. Error: the cause of ctx's end.
func (c *Credit) Wait(ctx context.Context, most int) (int, error) {
	for {
		c.mu.Lock()
		room := c.room
		c.mu.Unlock()
		if c.limit <= 0 {
			return most, context.Cause(ctx)
		}
		if room > 0 {
			return int(min(room, int64(most))), nil
		}
		select {
		case <-c.wake:
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
	}
}

// Spend says that n bytes were sent.
func (c *Credit) Spend(n int) {
	c.mu.Lock()
	c.room -= int64(n)
	c.mu.Unlock()
}

// Give says that the receiver is done with n bytes. It never has more room than at the start, whatever it says.
func (c *Credit) Give(n int64) {
	c.mu.Lock()
	c.room = min(c.room+max(n, 0), c.limit)
	if n > c.limit {
		c.room = c.limit // no overflow
	}
	c.mu.Unlock()
	wake(c.wake)
}

func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default: // it is awake
	}
}

// Queue is what a receiver has been sent and not yet done with.
type Queue struct {
	mu     sync.Mutex
	window int
	buf    []byte // not yet given
	given  int    // by Next, and not yet done with
	ended  bool
	wake   chan struct{}
}

// NewQueue returns an empty Queue for at most window bytes.
func NewQueue(window int) *Queue { return &Queue{window: window, wake: make(chan struct{}, 1)} }

// Put adds bytes behind the others; it copies them. Behind End it does nothing. Error: ErrOverrun.
func (q *Queue) Put(p []byte) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.ended {
		return nil
	}
	if len(q.buf)+q.given+len(p) > q.window {
		return ErrOverrun
	}
	q.buf = append(q.buf, p...)
	wake(q.wake)
	return nil
}

// End says that no more will come.
func (q *Queue) End() {
	q.mu.Lock()
	q.ended = true
	q.mu.Unlock()
	wake(q.wake)
}

// Next waits for bytes and returns some, at most most. They are valid until Done. Errors: io.EOF behind the last
// byte, the cause of ctx's end.
func (q *Queue) Next(ctx context.Context, most int) ([]byte, error) {
	for {
		q.mu.Lock()
		if n := min(len(q.buf), most); n > 0 {
			p := q.buf[:n:n]
			q.buf = q.buf[n:]
			q.given = n
			q.mu.Unlock()
			return p, nil
		}
		ended := q.ended
		q.mu.Unlock()
		if ended {
			return nil, io.EOF
		}
		select {
		case <-q.wake:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// Done says that what Next returned is done with. The sender may be told so then.
func (q *Queue) Done() {
	q.mu.Lock()
	q.given = 0
	q.mu.Unlock()
}
