package upstream

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// chunkHead is room for the head of a chunk: eight hexadecimal digits and a line's end.
const chunkHead = 10

var parts = sync.Pool{New: func() any { return new([64 << 10]byte) }}

// send copies the body of the request to the server as it comes. When the server stops reading, send reads the rest
// and drops it: the server's answer may be on its way, and the client reads it only after it has sent all.
func (x *Exchange) send(r *http.Request, broken bool) {
	defer close(x.sent)
	if x.proceed != nil && !x.mayContinue(r) {
		x.refused = true
		return
	}
	part, _ := parts.Get().(*[64 << 10]byte)
	defer parts.Put(part)
	room := part[chunkHead : len(part)-2]
	var sent int64
	for {
		n, err := r.Body.Read(room)
		sent += int64(n)
		if n > 0 && !broken {
			piece := room[:n]
			if r.ContentLength < 0 {
				head := fmt.Appendf(nil, "%x\r\n", n)
				from := chunkHead - len(head)
				copy(part[from:], head)
				piece = append(part[from:chunkHead+n], '\r', '\n')
			}
			_, failed := x.conn.Write(piece)
			broken = failed != nil
		}
		switch {
		case err == nil:
			continue
		case !errors.Is(err, io.EOF) || r.ContentLength >= 0 && sent != r.ContentLength:
			x.mu.Lock()
			x.bodyErr = err
			x.mu.Unlock()
			_ = x.conn.Close() // the server must not take a part for the whole
		case broken:
		case r.ContentLength < 0:
			_, failed := io.WriteString(x.conn, "0\r\n\r\n")
			x.whole = failed == nil
		default:
			x.whole = true
		}
		return
	}
}

// mayContinue waits until the server says whether the body may come. After a second of silence the body may come.
func (x *Exchange) mayContinue(r *http.Request) bool {
	silence := time.NewTimer(continueWithin)
	defer silence.Stop()
	select {
	case yes := <-x.proceed:
		return yes
	case <-r.Context().Done():
		return false
	case <-silence.C:
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.over {
		return false
	}
	// Reading the body would make net/http send it, but without waiting for an interim answer that is being written.
	x.interimLocked(http.StatusContinue, nil)
	return true
}

// answerContinue says whether the body may come. Only the first call counts.
func (x *Exchange) answerContinue(yes bool) {
	if x.proceed == nil {
		return
	}
	select {
	case x.proceed <- yes:
	default:
	}
}

// straightFrom is the length from which a body goes from socket to socket, in bytes.
const straightFrom = 256 << 10

// sized is the body of an answer whose length is known.
type sized struct {
	x        *Exchange
	c        *conn
	left     int64
	end      func()
	straight bool // W may be written to, and flushed, while the body is read
}

// Read implements io.Reader. Before it waits for the server it flushes W. When the buffer is used up, the rest may go
// to W directly: Read then returns no bytes and io.EOF, as if the body had ended.
func (b *sized) Read(p []byte) (int, error) {
	if b.left == 0 {
		return 0, io.EOF
	}
	if b.straight && b.c.from.Buffered() == 0 {
		_ = http.NewResponseController(b.x.W).Flush() // an error shows at the next write
		to, ok := b.x.W.(io.ReaderFrom)
		from, isTCP := b.c.Conn.(*net.TCPConn)
		if ok && isTCP && b.left >= straightFrom {
			n, err := to.ReadFrom(&io.LimitedReader{R: from, N: b.left})
			return 0, b.took(n, err)
		}
	}
	n, err := b.c.from.Read(p[:min(int64(len(p)), b.left)])
	if errors.Is(err, io.EOF) {
		err = nil
		if n == 0 {
			err = io.ErrUnexpectedEOF
		}
	}
	if b.left > int64(n) && err == nil {
		b.left -= int64(n)
		return n, nil
	}
	return n, b.took(int64(n), err)
}

// took records bytes of the body, after which nothing else comes, and returns io.EOF if they are its last.
func (b *sized) took(n int64, err error) error {
	b.left -= n
	if b.left == 0 {
		b.end()
		return io.EOF
	}
	if err == nil {
		err = io.ErrUnexpectedEOF
	}
	return err
}

// Close implements io.Closer.
func (b *sized) Close() error {
	if b.left > 0 {
		return b.c.Close()
	}
	return nil
}

// streamed is the body of an answer that ends where its chunks or its connection end.
type streamed struct {
	body io.Reader
	c    *conn
	end  func()
	over bool
}

// Read implements io.Reader.
func (b *streamed) Read(p []byte) (int, error) {
	n, err := b.body.Read(p)
	if errors.Is(err, io.EOF) && !b.over {
		b.over = true
		b.end()
	}
	return n, err
}

// Close implements io.Closer.
func (b *streamed) Close() error {
	if !b.over {
		return b.c.Close()
	}
	return nil
}

// upgraded is a connection that speaks another protocol now.
type upgraded struct{ *conn }

// Read implements io.Reader.
func (u upgraded) Read(p []byte) (int, error) { return u.from.Read(p) }

// CloseWrite tells the server that the client sends no more.
func (u upgraded) CloseWrite() error {
	if c, ok := u.Conn.(interface{ CloseWrite() error }); ok {
		return c.CloseWrite()
	}
	return nil
}
