package toolbox

import (
	"bufio"
	"encoding/binary"
	"unicode/utf8"
)

// appendString appends s as a JSON string. Bytes that are not UTF-8 become U+FFFD.
func appendString(b []byte, s string) []byte {
	return append(appendEscaped(append(b, '"'), []byte(s)), '"')
}

// appendEscaped appends p as the inside of a JSON string. Bytes that are not UTF-8 become U+FFFD.
func appendEscaped(b, p []byte) []byte {
	const hex = "0123456789abcdef"
	for {
		n := plain(p)
		b = append(b, p[:n]...)
		if p = p[n:]; len(p) == 0 {
			return b
		}
		size := 1
		switch c := p[0]; {
		case c >= utf8.RuneSelf:
			if _, size = utf8.DecodeRune(p); size > 1 {
				b = append(b, p[:size]...)
			} else {
				b = append(b, "\uFFFD"...)
			}
		case c == '"', c == '\\':
			b = append(b, '\\', c)
		case c == '\n':
			b = append(b, '\\', 'n')
		case c == '\r':
			b = append(b, '\\', 'r')
		case c == '\t':
			b = append(b, '\\', 't')
		default:
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
		p = p[size:]
	}
}

// plain returns how many bytes at the start of p need no escape. It looks at eight at a time.
func plain(p []byte) int {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	i := 0
	for ; i+8 <= len(p); i += 8 {
		x := binary.LittleEndian.Uint64(p[i:])
		quote, slash := x^(ones*'"'), x^(ones*'\\')
		// A byte of each term has its high bit set if that byte of x is below 0x20, a quote, a backslash, or not ASCII. A
		// borrow may set a bit too many; the loop below then looks at each byte.
		if ((x-ones*0x20)|(quote-ones)|(slash-ones)|x)&highs != 0 {
			break
		}
	}
	for ; i < len(p); i++ {
		if c := p[i]; c < 0x20 || c == '"' || c == '\\' || c >= utf8.RuneSelf {
			break
		}
	}
	return i
}

// stringWriter writes blocks of bytes as the inside of a JSON string, without a copy of the whole. A character may be
// split over two blocks. Errors stay in w until it is flushed.
type stringWriter struct {
	w    *bufio.Writer
	held []byte // the beginning of a character
}

// escapePiece is how many bytes are escaped at once; each becomes six at most.
const escapePiece = 512

// write writes a block.
func (s *stringWriter) write(p []byte) {
	for len(s.held) > 0 && len(p) > 0 {
		s.held, p = append(s.held, p[0]), p[1:]
		whole := wholeRunes(s.held)
		s.put(s.held[:whole])
		s.held = append(s.held[:0], s.held[whole:]...)
	}
	for len(p) > escapePiece {
		if n := plain(p); n >= escapePiece {
			_, _ = s.w.Write(p[:n])
			p = p[n:]
			continue
		}
		n := wholeRunes(p[:escapePiece])
		s.put(p[:n])
		p = p[n:]
	}
	whole := wholeRunes(p)
	s.put(p[:whole])
	s.held = append(s.held, p[whole:]...)
}

// end writes what was held back.
func (s *stringWriter) end() {
	s.put(s.held)
	s.held = s.held[:0]
}

// put writes at most escapePiece bytes that end with a whole character.
func (s *stringWriter) put(p []byte) {
	if s.w.Available() < 6*len(p) {
		_ = s.w.Flush() // so that the escaped bytes fit into w's own buffer
	}
	_, _ = s.w.Write(appendEscaped(s.w.AvailableBuffer(), p))
}
