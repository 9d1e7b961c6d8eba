package toolbox

import (
	"bufio"
	"encoding/binary"
	"unicode/utf8"
)

// textWriter writes bytes as the inside of a JSON string, block by block and without a copy of the whole. What is not UTF-8 becomes
// U+FFFD; a character may come in two blocks.
type textWriter struct {
	w    *bufio.Writer
	held [utf8.UTFMax]byte // the beginning of a character
	n    int
}

// write writes p. Errors stay in w until it is flushed.
func (t *textWriter) write(p []byte) {
	for t.n > 0 && len(p) > 0 {
		t.held[t.n] = p[0]
		if t.n++; !utf8.FullRune(t.held[:t.n]) {
			p = p[1:]
			continue
		}
		_, size := utf8.DecodeRune(t.held[:t.n])
		if size < t.n { // p[0] does not continue it
			t.replace()
		} else {
			p = p[1:]
			t.put(t.held[:t.n])
		}
		t.n = 0
	}
	t.put(p)
}

// end writes U+FFFD for a character whose rest never came.
func (t *textWriter) end() {
	if t.n > 0 {
		t.replace()
		t.n = 0
	}
}

func (t *textWriter) replace() { _, _ = t.w.WriteString("\uFFFD") }

func (t *textWriter) put(p []byte) {
	for len(p) > 0 {
		n := plain(p)
		_, _ = t.w.Write(p[:n])
		p = p[n:]
		if len(p) == 0 {
			return
		}
		if p[0] < utf8.RuneSelf {
			t.escape(p[0])
			p = p[1:]
			continue
		}
		if !utf8.FullRune(p) {
			t.n = copy(t.held[:], p)
			return
		}
		r, size := utf8.DecodeRune(p)
		if r == utf8.RuneError && size == 1 {
			t.replace()
		} else {
			_, _ = t.w.Write(p[:size])
		}
		p = p[size:]
	}
}

func (t *textWriter) escape(c byte) {
	const hex = "0123456789abcdef"
	switch c {
	case '"', '\\':
		_, _ = t.w.Write([]byte{'\\', c})
	case '\n':
		_, _ = t.w.WriteString(`\n`)
	case '\r':
		_, _ = t.w.WriteString(`\r`)
	case '\t':
		_, _ = t.w.WriteString(`\t`)
	default:
		_, _ = t.w.Write([]byte{'\\', 'u', '0', '0', hex[c>>4], hex[c&15]})
	}
}

// plain returns how many bytes at the start of p need no escape, looking at eight at a time.
func plain(p []byte) int {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	i := 0
	for ; i+8 <= len(p); i += 8 {
		x := binary.LittleEndian.Uint64(p[i:])
		quote, slash := x^(ones*'"'), x^(ones*'\\')
		// A byte of each term has its high bit set if that byte of x is below 0x20, a quote, a backslash, or not ASCII; a borrow
		// may set one too many, and then the loop below looks.
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
