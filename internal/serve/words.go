package serve

import (
	"errors"
	"io"
	"net"
	"strings"
	"unicode/utf8"
)

// MaxWords bounds, in bytes, a text of others that goes into an answer or a line of the log.
const MaxWords = 200

// Cut shortens a text to a number of bytes; one that was cut ends in "…".
func Cut(text string, most int) string {
	if len(text) > most {
		n := max(0, most-len("…"))
		for n > 0 && !utf8.RuneStart(text[n]) {
			n--
		}
		text = text[:n] + "…"
	}
	return strings.ToValidUTF8(text, "?")
}

// Short returns an error met on the way to another server with a text that anybody may be told: without the addresses
// of the connection, and of MaxWords at most, since the text may be that server's own. err itself is its cause.
func Short(err error) error {
	text := err.Error()
	// An OpError may hold another.
	for op, ok := errors.AsType[*net.OpError](err); ok; op, ok = errors.AsType[*net.OpError](op.Err) {
		text = op.Op + ": " + op.Err.Error()
	}
	return shortError{Cut(text, MaxWords), err}
}

type shortError struct {
	text  string
	cause error
}

func (e shortError) Error() string { return e.text }
func (e shortError) Unwrap() error { return e.cause }

// CutLines returns a writer that passes on at most the first bytes of each line, as loggers write them.
func CutLines(to io.Writer, most int) io.Writer { return cutLines{to, most} }

type cutLines struct {
	to   io.Writer
	most int
}

// Write implements io.Writer for a whole line.
func (w cutLines) Write(line []byte) (int, error) {
	text := strings.TrimSuffix(string(line), "\n")
	if len(text) <= w.most {
		return w.to.Write(line)
	}
	_, err := io.WriteString(w.to, Cut(text, w.most)+"\n")
	return len(line), err
}
