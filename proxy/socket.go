package proxy

import (
	"encoding/binary"
	"io"
	"sync/atomic"

	"github.com/sandlot-dev/sandlot/internal/serve"
)

// socket is the sandbox's end of a websocket. It forwards bytes unchanged, and adds a close frame when the sandbox ends
// without one.
type socket struct {
	io.ReadWriteCloser
	q         *request
	lost      func() error // why the sandbox is gone, nil if it is not; may take a moment
	frames    frames
	closeSent bool        // the close frame was given to the reader
	over      atomic.Bool // the reader was told of the end
}

// Read implements io.Reader.
func (s *socket) Read(b []byte) (int, error) {
	if s.closeSent {
		return 0, io.EOF
	}
	n, err := s.ReadWriteCloser.Read(b)
	s.frames.pass(b[:n])
	if err == nil || n > 0 {
		return n, nil // the error comes again
	}
	if s.frames.canClose() {
		if why := s.lost(); why != nil {
			s.closeSent = true
			s.q.allowFarewell()
			return copy(b, closeFrame(why.Error())), nil
		}
	}
	s.over.Store(true)
	return 0, err
}

// Write implements io.Writer. While the sandbox is gone and Read has not said so yet, Write drops the client's bytes:
// an error would end the connection before the close frame.
func (s *socket) Write(b []byte) (int, error) {
	n, err := s.ReadWriteCloser.Write(b)
	if err != nil && (s.q.ended() != nil || !s.over.Load()) {
		return len(b), nil
	}
	return n, err
}

// CloseWrite tells the sandbox that the client sends no more.
func (s *socket) CloseWrite() error {
	if c, ok := s.ReadWriteCloser.(interface{ CloseWrite() error }); ok {
		return c.CloseWrite()
	}
	return nil
}

// closeFrame returns a server's frame that closes a websocket with code 1001, going away (RFC 6455, 5.5.1 and 7.4.1).
func closeFrame(reason string) []byte {
	const goingAway = 1001
	reason = serve.Cut(reason, 123)
	frame := append([]byte{0x88, byte(2 + len(reason)), 0, 0}, reason...)
	binary.BigEndian.PutUint16(frame[2:], goingAway)
	return frame
}

// frames follows where the frames of a websocket begin and end (RFC 6455, 5.2).
type frames struct {
	head   [14]byte // of the frame that has begun
	have   int      // bytes of head
	left   uint64   // bytes of its payload still to come
	closed bool     // a close frame has begun
}

// pass takes account of the next bytes of the stream.
func (f *frames) pass(b []byte) {
	for len(b) > 0 {
		if f.left > 0 {
			n := min(f.left, uint64(len(b)))
			f.left -= n
			b = b[n:]
			continue
		}
		f.head[f.have] = b[0]
		f.have++
		b = b[1:]
		if f.have < 2 || f.have < f.headLen() {
			continue
		}
		f.closed = f.closed || f.head[0]&0x0f == 8
		switch n := f.head[1] & 0x7f; n {
		case 126:
			f.left = uint64(binary.BigEndian.Uint16(f.head[2:]))
		case 127:
			f.left = binary.BigEndian.Uint64(f.head[2:])
		default:
			f.left = uint64(n)
		}
		f.have = 0
	}
}

// headLen is the length of the head whose first two bytes are there.
func (f *frames) headLen() int {
	n := 2
	switch f.head[1] & 0x7f {
	case 126:
		n += 2
	case 127:
		n += 8
	}
	if f.head[1]&0x80 != 0 {
		n += 4
	}
	return n
}

// canClose reports whether a close frame may follow here.
func (f *frames) canClose() bool { return f.have == 0 && f.left == 0 && !f.closed }
