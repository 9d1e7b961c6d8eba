package pty

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// screen follows those escape sequences of a terminal's output that change how later output looks. With it, a client
// that joins in the middle of the output is brought into the same state.
type screen struct {
	at    int64 // bytes seen
	now   modes
	seq   []byte // of the sequence being read
	state parse
	marks []mark // by offset
}

// mark is a place at the start of a line, and the modes there.
type mark struct {
	at    int64
	modes modes
}

// markEvery is the distance of marks, in bytes.
const markEvery = 16 << 10

// resetScreen puts a client's terminal into its first state.
const resetScreen = "\x1bc"

// modes is the state of a terminal that outlives a line.
type modes struct {
	private map[int]bool // DEC modes that were set or reset; replaced, never changed
	style   string       // SGR sequences since the last reset
	region  string       // scroll region
	charset string       // of G0
	keypad  string
	title   string
}

type parse uint8

const (
	ground  parse = iota
	escape        // after ESC
	control       // CSI
	text          // OSC, DCS and the like, up to BEL or ST
	textEsc       // an ESC in that
)

// maxSequence bounds what is kept of a sequence; a longer one has no effect here.
const maxSequence = 512

func (s *screen) feed(data []byte) {
	for _, b := range data {
		s.at++
		switch s.state {
		case ground:
			if b == 0x1b {
				s.state, s.seq = escape, s.seq[:0]
			} else if b == '\n' {
				s.mark()
			}
		case escape:
			s.escape(b)
		case control:
			s.keep(b)
			if b >= 0x40 && b <= 0x7e {
				s.control()
				s.state = ground
			}
		case text:
			switch b {
			case 0x07:
				s.endText()
			case 0x1b:
				s.state = textEsc
			default:
				s.keep(b)
			}
		case textEsc:
			s.endText()
			if b != '\\' {
				s.state = escape
				s.escape(b)
			}
		}
	}
}

func (s *screen) keep(b byte) {
	if len(s.seq) < maxSequence {
		s.seq = append(s.seq, b)
	}
}

func (s *screen) escape(b byte) {
	switch {
	case b >= 0x20 && b <= 0x2f: // intermediate: the sequence goes on
		s.keep(b)
		return
	case b == '[' && len(s.seq) == 0:
		s.state = control
		return
	case (b == ']' || b == 'P' || b == '_' || b == '^' || b == 'X') && len(s.seq) == 0:
		s.state = text
		s.keep(b)
		return
	case b == 'c' && len(s.seq) == 0:
		s.now = modes{title: s.now.title}
	case (b == '=' || b == '>') && len(s.seq) == 0:
		s.now.keypad = "\x1b" + string(b)
	case len(s.seq) == 1 && s.seq[0] == '(' && b >= 0x30 && b <= 0x7e:
		s.now.charset = "\x1b(" + string(b)
	}
	s.state = ground
}

// control takes a CSI sequence: parameters and final byte are in seq.
func (s *screen) control() {
	body, final := string(s.seq[:len(s.seq)-1]), s.seq[len(s.seq)-1]
	switch {
	case len(s.seq) >= maxSequence:
	case (final == 'h' || final == 'l') && strings.HasPrefix(body, "?"):
		private := maps.Clone(s.now.private)
		if private == nil {
			private = map[int]bool{}
		}
		for p := range strings.SplitSeq(body[1:], ";") {
			if n, err := strconv.Atoi(p); err == nil && len(private) < 64 {
				private[n] = final == 'h'
			}
		}
		s.now.private = private
	case final == 'm' && !strings.ContainsAny(body, "?><="):
		if body == "" || body == "0" {
			s.now.style = ""
		} else if strings.HasPrefix(body, "0;") || len(s.now.style) > 256 {
			s.now.style = "\x1b[0;" + strings.TrimPrefix(body, "0;") + "m"
		} else {
			s.now.style += "\x1b[" + body + "m"
		}
	case final == 'r' && !strings.HasPrefix(body, "?"):
		s.now.region = ""
		if body != "" {
			s.now.region = "\x1b[" + body + "r"
		}
	case final == 'p' && body == "!": // soft reset
		s.now = modes{title: s.now.title, private: s.now.private}
	}
}

func (s *screen) endText() {
	s.state = ground
	if t := string(s.seq); len(t) < maxSequence && (strings.HasPrefix(t, "]0;") || strings.HasPrefix(t, "]2;")) {
		s.now.title = "\x1b" + t + "\x07"
	}
}

func (s *screen) mark() {
	if n := len(s.marks); n > 0 && s.at-s.marks[n-1].at < markEvery {
		return
	}
	s.marks = append(s.marks, mark{s.at, s.now})
	if len(s.marks) > 4*scrollback/markEvery {
		s.marks = slices.Delete(s.marks, 0, len(s.marks)/2)
	}
}

// replay returns the offset, at or after kept, from which a new client reads, and the sequences to send it before that.
func (s *screen) replay(kept int64) (from int64, intro []byte) {
	if kept == 0 {
		return 0, nil
	}
	for _, m := range s.marks {
		if m.at >= kept {
			return m.at, []byte(m.modes.restore())
		}
	}
	return s.at, []byte(s.now.restore()) // all that is kept is part of one line
}

func (s *screen) alternate() bool {
	return s.now.private[1049] || s.now.private[1047] || s.now.private[47]
}

// restore returns the sequences that bring a terminal from its first state into these modes.
func (m modes) restore() string {
	var b strings.Builder
	b.WriteString(resetScreen + m.title)
	for _, n := range slices.Sorted(maps.Keys(m.private)) {
		final := 'l'
		if m.private[n] {
			final = 'h'
		}
		_, _ = fmt.Fprintf(&b, "\x1b[?%d%c", n, final)
	}
	b.WriteString(m.region + m.charset + m.keypad + m.style)
	return b.String()
}
