package lsp

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"

	"github.com/sourcegraph/jsonrpc2"

	"github.com/sandlot-dev/sandlot/internal/fault"
)

// Limits of what goes between a server and us.
const (
	maxHeader  = 4 << 10  // bytes of a message's header
	maxMessage = 16 << 20 // bytes of a message from a server
	maxQueue   = 64 << 20 // bytes that wait for a server to read them
	bigMessage = 1 << 20  // bytes; of messages above, one at a time is decoded
)

// errDeaf is returned for a server that does not read what it is sent.
var errDeaf = fault.Newf(fault.Upstream, "the language server has left %d MiB unread", maxQueue>>20)

// stream is a jsonrpc2.ObjectStream over the pipes of a server. Writing never waits for the server: a server that waits
// until its own output is read would otherwise never get our answers. It must be closed.
type stream struct {
	in  io.WriteCloser
	out *bufio.Reader
	big chan struct{} // of one: whoever decodes a big message is in it

	readDone, writeDone chan struct{} // closed when no goroutine of ours reads or writes any more
	readErr             error         // why reading ended; valid after readDone

	mu     sync.Mutex
	queue  [][]byte
	queued int // bytes in queue
	closed bool
	more   chan struct{} // of one: the queue has changed, or closed has
}

func newStream(in io.WriteCloser, out io.Reader, big chan struct{}) *stream {
	s := &stream{
		in: in, out: bufio.NewReader(out), big: big,
		readDone: make(chan struct{}), writeDone: make(chan struct{}), more: make(chan struct{}, 1),
	}
	go s.write()
	return s
}

// WriteObject enqueues a message. Error: errDeaf.
func (s *stream) WriteObject(obj any) error {
	var frame bytes.Buffer
	if err := (jsonrpc2.VSCodeObjectCodec{}).WriteObject(&frame, obj); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return io.ErrClosedPipe
	}
	if s.queued+frame.Len() > maxQueue {
		return errDeaf
	}
	s.queue = append(s.queue, frame.Bytes())
	s.queued += frame.Len()
	s.wakeLocked()
	return nil
}

func (s *stream) wakeLocked() {
	select {
	case s.more <- struct{}{}:
	default: // it is awake already
	}
}

// write moves messages from the queue to the server until the stream is closed.
func (s *stream) write() {
	defer close(s.writeDone)
	for range s.more {
		for {
			s.mu.Lock()
			if s.closed {
				s.mu.Unlock()
				return
			}
			if len(s.queue) == 0 {
				s.mu.Unlock()
				break
			}
			frame := s.queue[0]
			s.queue = s.queue[1:]
			s.mu.Unlock()
			_, err := s.in.Write(frame) // Close ends it
			s.mu.Lock()
			s.queued -= len(frame)
			s.mu.Unlock()
			if err != nil {
				s.Close() // the server has gone, or is going to be ended
				return
			}
		}
	}
}

// ReadObject reads a message. It bounds what VSCodeObjectCodec does not: header and message. After an error it must not
// be called again.
func (s *stream) ReadObject(v any) (err error) {
	defer func() {
		if err != nil {
			s.readErr = err
			close(s.readDone)
		}
	}()
	defer fault.Recovered(&err)
	length, err := readHeader(s.out)
	if err != nil {
		return err
	}
	var body bytes.Buffer // grows with what comes, not with what is announced
	if _, err := io.CopyN(&body, s.out, int64(length)); err != nil {
		return err
	}
	if length > bigMessage {
		s.big <- struct{}{}
		defer func() { <-s.big }()
	}
	if err := json.Unmarshal(body.Bytes(), v); err != nil {
		return fault.Newf(fault.Upstream, "it sent a message that is none of the protocol: %w", err)
	}
	return nil
}

// readHeader returns the length that the header of a message gives.
func readHeader(r *bufio.Reader) (length int, err error) {
	bad := func(text string) error {
		return fault.Newf(fault.Upstream, "its output is not that of a language server: %s", text)
	}
	length = -1
	for left := maxHeader; ; {
		field, err := r.ReadSlice('\n') // at most the reader's buffer, 4 KiB
		if left -= len(field); errors.Is(err, bufio.ErrBufferFull) || left < 0 {
			return 0, bad(fmt.Sprintf("a header of more than %d bytes", maxHeader))
		}
		if err != nil {
			return 0, err
		}
		text := strings.TrimRight(string(field), "\r\n")
		if text == "" {
			break
		}
		name, value, ok := strings.Cut(text, ":")
		if !ok {
			return 0, bad(fmt.Sprintf("%q", clip(text)))
		}
		if strings.EqualFold(name, "Content-Length") {
			if length, err = strconv.Atoi(strings.TrimSpace(value)); err != nil || length < 0 {
				return 0, bad(fmt.Sprintf("%q", clip(text)))
			}
		}
	}
	switch {
	case length < 0:
		return 0, bad("a header without Content-Length")
	case length > maxMessage:
		return 0, fault.Newf(fault.Upstream, "it sent a message of %d bytes; at most %d are read", length, maxMessage)
	}
	return length, nil
}

// Close ends the server's input and the writing of the queue. It may be called again.
func (s *stream) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.closed, s.queue = true, nil
		s.wakeLocked()
		_ = s.in.Close() // ends a Write, too
	}
	return nil
}

// tail keeps the last bytes of what is written to it. It is safe for concurrent use.
type tail struct {
	mu   sync.Mutex
	data []byte
}

// maxTail is how much of a server's stderr is kept, in bytes.
const maxTail = 8 << 10

func (t *tail) Write(data []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.data = append(t.data, data[max(0, len(data)-maxTail):]...)
	if over := len(t.data) - maxTail; over > 0 {
		t.data = append(t.data[:0], t.data[over:]...)
	}
	return len(data), nil
}

// String returns what is kept.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.ToValidUTF8(string(t.data), "�")
}
