package toolbox

import (
	"unicode/utf8"

	"github.com/sandlot-dev/sandlot/process/journal"
)

// markers stand before the bytes of a stream, by journal.Stream.
var markers = [3]string{journal.Stdout: "\x01\x01\x01", journal.Stderr: "\x02\x02\x02"}

// maxFrame is the most bytes of output in a websocket frame. One client's work grows with the square of it
// (docs/wire.md, "The toolbox: sessions and terminals").
const maxFrame = 16 << 10

// framer cuts output into frames that every client can take by itself: each begins with its stream's marker, and none
// ends within a character.
type framer struct {
	marked bool
	send   func([]byte) error
	held   [3][]byte // beginnings of characters
	buf    []byte
}

// chunk sends what is whole of a journal's chunk, and says where output is missing.
func (f *framer) chunk(c journal.Chunk) error {
	if c.Skipped > 0 {
		if err := f.add(max(c.Stream, journal.Stdout), journal.DroppedNotice(c.Skipped)); err != nil {
			return err
		}
	}
	return f.add(c.Stream, c.Data)
}

// add sends what is whole of a chunk.
func (f *framer) add(s journal.Stream, data []byte) error {
	if !f.marked {
		s = 0
	}
	for len(data) > 0 {
		f.buf = append(append(f.buf[:0], markers[s]...), f.held[s]...)
		head := len(markers[s])
		n := min(len(data), maxFrame-len(f.held[s]))
		f.buf = append(f.buf, data[:n]...)
		data = data[n:]
		whole := head + wholeRunes(f.buf[head:])
		f.held[s] = append(f.held[s][:0], f.buf[whole:]...)
		if whole == head {
			continue
		}
		if err := f.send(f.buf[:whole]); err != nil {
			return err
		}
	}
	return nil
}

// end sends what was held back.
func (f *framer) end() error {
	for s, held := range f.held {
		if len(held) == 0 {
			continue
		}
		if err := f.send(append([]byte(markers[s]), held...)); err != nil {
			return err
		}
	}
	return nil
}

// wholeRunes returns how much of p is before a character that is cut off at its end. Bytes that are no UTF-8 are whole.
func wholeRunes(p []byte) int {
	for i := 1; i < utf8.UTFMax && i <= len(p); i++ {
		if tail := p[len(p)-i:]; utf8.RuneStart(tail[0]) {
			if utf8.FullRune(tail) {
				return len(p)
			}
			return len(p) - i
		}
	}
	return len(p)
}
