package form

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"strings"
	"unicode/utf8"
)

// Limits in bytes.
const (
	MaxHeader   = 16 << 10 // headers of one part
	MaxBoundary = 256      // boundary; RFC 2046 has 70
	MinBuffer   = 32 << 10 // the caller's buffer
)

// small is how much content Next waits for before it hands out a piece that is not the last, in bytes: files up to
// this size come whole, whatever the packets they came in.
const small = 16 << 10

var (
	// ErrNotForm is returned by Boundary for bodies of another type.
	ErrNotForm = errors.New("the body is not multipart/form-data with a boundary")
	// ErrCut is returned when a body ends before its closing delimiter.
	ErrCut = errors.New("the body ended before the form's closing delimiter")
	// ErrHeader is returned for part headers over MaxHeader, and for delimiters that are not followed by a line end.
	ErrHeader = errors.New("the headers of a form's part are too long or malformed")
)

// Boundary reads the boundary from a Content-Type header, or returns ErrNotForm.
func Boundary(contentType string) (string, error) {
	kind, params, err := mime.ParseMediaType(contentType)
	boundary := params["boundary"]
	if err != nil || kind != "multipart/form-data" || boundary == "" || len(boundary) > MaxBoundary {
		return "", ErrNotForm
	}
	return boundary, nil
}

// Scanner reads one body.
type Scanner struct {
	r      io.Reader
	buf    []byte
	lo, hi int    // unread part of buf
	clean  int    // bytes from lo on that are known to hold no delimiter's beginning
	lead   int    // bytes from lo on that belong to the line end before the content
	delim  []byte // CRLF, two dashes and the boundary
	state  state
	err    error // of r, kept
}

type state uint8

const (
	inContent state = iota // also the preamble, which is skipped as a part without a name is
	afterDelimiter
	ended
)

// NewScanner returns a Scanner that reads r through buf, which must have MinBuffer bytes or more.
func NewScanner(r io.Reader, boundary string, buf []byte) *Scanner {
	s := &Scanner{r: r, buf: buf, delim: []byte("\r\n--" + boundary)}
	s.hi = copy(buf, "\r\n") // the first delimiter needs no line end before it: give it one
	return s
}

// Part skips what is left of the current part and returns the name of the next, "" where it has none. io.EOF comes
// after the last.
func (s *Scanner) Part() (string, error) {
	for s.state == inContent {
		if _, _, err := s.Next(); err != nil {
			return "", err
		}
	}
	if s.state == ended {
		return "", io.EOF
	}
	for { // lo is at the line end after the delimiter
		if i := bytes.Index(s.buf[s.lo:s.hi], []byte("\r\n\r\n")); i >= 0 && i <= MaxHeader {
			name := partName(s.buf[s.lo : s.lo+i])
			s.lo += i + 2 // the line end before the content stays: a delimiter may follow headers at once
			s.state, s.clean, s.lead = inContent, 0, 2
			return name, nil
		}
		if s.hi-s.lo > MaxHeader {
			return "", ErrHeader
		}
		if err := s.fill(); err != nil {
			return "", err
		}
	}
}

// Next returns the next piece of the current part's content, good until the following call; last says that the part
// ends with it.
func (s *Scanner) Next() (piece []byte, last bool, err error) {
	if s.state != inContent {
		return nil, true, nil
	}
	for {
		rest := s.buf[s.lo:s.hi]
		i := bytes.Index(rest[s.clean:], s.delim)
		if i >= 0 {
			i += s.clean
			skip, end, kind := s.delimiterEnd(rest[i+len(s.delim):])
			switch kind {
			case content:
				s.clean = i + 1
				continue
			case delimiter:
				piece = rest[min(i, s.lead):i]
				s.lo += i + len(s.delim) + skip
				s.state, s.clean, s.lead = afterDelimiter, 0, 0
				if end {
					s.state = ended
				}
				return piece, true, nil
			}
			s.clean = i // more is needed to tell
		} else {
			s.clean = max(s.clean, len(rest)-len(s.delim)+1)
		}
		if s.clean-s.lead >= small || (s.clean > s.lead && s.hi-s.lo == len(s.buf)) {
			piece = rest[s.lead:s.clean]
			s.lo += s.clean
			s.clean, s.lead = 0, 0
			return piece, false, nil
		}
		if err := s.fill(); err != nil {
			return nil, false, err
		}
	}
}

type kind uint8

const (
	unknown kind = iota // more bytes are needed
	content
	delimiter
)

// delimiterEnd looks at what follows a delimiter's boundary: "--" at the end of the form, else blanks and a line end.
// skip is the length up to that line end.
func (s *Scanner) delimiterEnd(after []byte) (skip int, end bool, k kind) {
	for i, c := range after {
		switch {
		case i == 0 && c == '-':
			if len(after) < 2 {
				return 0, false, unknown
			}
			if after[1] == '-' {
				return 2, true, delimiter
			}
			return 0, false, content
		case c == ' ' || c == '\t':
			if i > 64 {
				return 0, false, content
			}
		case c == '\r':
			if len(after) < i+2 {
				return 0, false, unknown
			}
			if after[i+1] == '\n' {
				return i, false, delimiter
			}
			return 0, false, content
		default:
			return 0, false, content
		}
	}
	return 0, false, unknown
}

// fill reads more of the body behind what is unread.
func (s *Scanner) fill() error {
	if s.lo > 0 {
		s.hi = copy(s.buf, s.buf[s.lo:s.hi])
		s.lo = 0
	}
	if s.hi == len(s.buf) {
		return ErrHeader
	}
	if s.err != nil {
		return s.err
	}
	n, err := s.r.Read(s.buf[s.hi:])
	s.hi += n
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		s.err = ErrCut
	case err != nil:
		s.err = err
	}
	if n == 0 && s.err != nil {
		return s.err
	}
	return nil
}

// partName finds the name in a part's headers: the parameter of Content-Disposition, quoted or not.
func partName(headers []byte) string {
	for line := range bytes.SplitSeq(headers, []byte("\r\n")) {
		key, value, ok := bytes.Cut(line, []byte(":"))
		if !ok || !strings.EqualFold(string(bytes.TrimSpace(key)), "Content-Disposition") {
			continue
		}
		_, params, _ := strings.Cut(string(value), ";")
		for params != "" {
			var attr, val string
			attr, val, params = nextParam(params)
			if strings.EqualFold(attr, "name") {
				return strings.ToValidUTF8(val, string(utf8.RuneError))
			}
		}
	}
	return ""
}

// nextParam cuts the first of `a=b; c="d"` off.
func nextParam(s string) (attr, val, rest string) {
	attr, s, ok := strings.Cut(s, "=")
	attr = strings.TrimSpace(attr)
	if !ok {
		return attr, "", ""
	}
	s = strings.TrimLeft(s, " \t")
	if !strings.HasPrefix(s, `"`) {
		val, rest, _ = strings.Cut(s, ";")
		return attr, strings.TrimSpace(val), rest
	}
	var b strings.Builder
	i := 1
	for ; i < len(s) && s[i] != '"'; i++ {
		if s[i] == '\\' && i+1 < len(s) && (s[i+1] == '"' || s[i+1] == '\\') {
			i++
		}
		b.WriteByte(s[i])
	}
	_, rest, _ = strings.Cut(s[min(i+1, len(s)):], ";")
	return attr, b.String(), rest
}
