package upstream

import (
	"bufio"
	"context"
	"errors"
	"net"
	"sync"
	"syscall"
	"time"
)

const (
	// maxIdle bounds the connections that are kept per port.
	maxIdle = 64
	// idleFor is how long a connection is kept; less than toolboxd keeps its own.
	idleFor = time.Minute
	// maxHeader bounds, in bytes, what a server may say before its answer's body.
	maxHeader = 64 << 10
	// readBuffer is what one connection holds in user space, in bytes. Larger reads pass it by.
	readBuffer = 16 << 10
)

var (
	errClosed     = errors.New("it closed the connection before it answered")
	errLongHeader = errors.New("the header of its answer is longer than 64 KiB")
)

// Pool keeps connections to the ports of one host. It is safe for concurrent use.
type Pool struct {
	dial func(ctx context.Context, port int) (net.Conn, error)

	mu     sync.Mutex
	closed bool
	idle   map[int][]*conn // by port, in the order of their last use
}

// NewPool returns a Pool whose connections dial opens.
func NewPool(dial func(ctx context.Context, port int) (net.Conn, error)) *Pool {
	return &Pool{dial: dial, idle: map[int][]*conn{}}
}

// Close closes all idle connections. Those in use are closed when their request has ended.
func (p *Pool) Close() {
	p.mu.Lock()
	idle := p.idle
	p.idle, p.closed = map[int][]*conn{}, true
	p.mu.Unlock()
	for _, of := range idle {
		for _, c := range of {
			c.timer.Stop()
			_ = c.Close() // nothing is under way on it
		}
	}
}

// get returns a kept connection that is still open, or a new one.
func (p *Pool) get(ctx context.Context, port int) (*conn, error) {
	for {
		c := p.last(port)
		if c == nil {
			break
		}
		if c.timer.Stop() && c.silent() {
			c.kept, c.heard = true, false
			return c, nil
		}
		_ = c.Close() // the server has closed it, or its time was over
	}
	to, err := p.dial(ctx, port)
	if err != nil {
		return nil, err
	}
	c := &conn{Conn: to, port: port}
	c.from = bufio.NewReaderSize((*source)(c), readBuffer)
	return c, nil
}

func (p *Pool) last(port int) *conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	of := p.idle[port]
	if len(of) == 0 {
		return nil
	}
	c := of[len(of)-1]
	of[len(of)-1] = nil
	p.idle[port] = of[:len(of)-1]
	return c
}

// put keeps a connection on which nothing is under way.
func (p *Pool) put(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || len(p.idle[c.port]) >= maxIdle {
		_ = c.Close() // nothing is under way on it
		return
	}
	c.timer = time.AfterFunc(idleFor, func() { p.drop(c) })
	p.idle[c.port] = append(p.idle[c.port], c)
}

func (p *Pool) drop(c *conn) {
	_ = c.Close() // nothing is under way on it
	p.mu.Lock()
	defer p.mu.Unlock()
	of := p.idle[c.port]
	for i := range of {
		if of[i] == c {
			p.idle[c.port] = append(of[:i], of[i+1:]...)
			break
		}
	}
	if len(p.idle[c.port]) == 0 {
		delete(p.idle, c.port)
	}
}

// conn is a connection to a server. One request at a time uses it.
type conn struct {
	net.Conn
	port  int
	from  *bufio.Reader
	room  int64 // bytes of a header that may still come, while inHead
	timer *time.Timer

	inHead bool
	kept   bool // it has carried a request before
	heard  bool // something has come since the request
}

// source is what a conn's buffer is filled from.
type source conn

// Read implements io.Reader.
func (s *source) Read(b []byte) (int, error) {
	if s.inHead {
		if s.room <= 0 {
			return 0, errLongHeader
		}
		b = b[:min(int64(len(b)), s.room)]
	}
	n, err := s.Conn.Read(b)
	s.room -= int64(n)
	s.heard = s.heard || n > 0
	return n, err
}

// silent reports whether an idle connection is open and the server has sent nothing on it. It does not block.
func (c *conn) silent() bool {
	sc, ok := c.Conn.(syscall.Conn)
	if !ok {
		return true // the request will show it
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return false
	}
	nothing := false
	err = raw.Read(func(fd uintptr) bool {
		_, _, err := syscall.Recvfrom(int(fd), make([]byte, 1), syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		nothing = errors.Is(err, syscall.EAGAIN)
		return true
	})
	return err == nil && nothing
}
