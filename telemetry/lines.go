package telemetry

import (
	"bytes"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sandlot-dev/sandlot/process/journal"
)

// Bounds of what is sent of a program's output at a time.
const (
	maxBatch = 256 << 10   // bytes
	maxLine  = 16 << 10    // bytes of a record's text
	maxDelay = time.Second // that a line waits for others

	recordCost = 128 // bytes that a record takes beside its text, about
)

// outputLine is a line of a program's output, or a part of a long one.
type outputLine struct {
	stream journal.Stream
	text   string
	at     time.Time // when it was read
}

// lineSplitter cuts chunks of output into lines and sends them in batches.
type lineSplitter struct {
	send  func([]outputLine)
	rest  [journal.Stderr + 1][]byte // by stream, what follows the last line end
	batch []outputLine
	size  int // of batch in bytes, about
	at    time.Time
}

func (l *lineSplitter) add(c journal.Chunk, at time.Time) {
	l.at = at
	if c.Skipped > 0 {
		l.line(c.Stream, bytes.TrimSpace(journal.DroppedNotice(c.Skipped)))
	}
	rest := append(l.rest[c.Stream], c.Data...)
	for len(rest) > 0 {
		end := bytes.IndexByte(rest[:min(len(rest), maxLine+1)], '\n')
		switch {
		case end >= 0:
			l.line(c.Stream, rest[:end])
			rest = rest[end+1:]
		case len(rest) > maxLine:
			n := cutBefore(rest, maxLine)
			l.line(c.Stream, rest[:n])
			rest = rest[n:]
		default:
			l.rest[c.Stream] = append(l.rest[c.Stream][:0], rest...)
			return
		}
	}
	l.rest[c.Stream] = l.rest[c.Stream][:0]
}

// cutBefore returns n, or as much less as it takes for p[:n] not to end within a character. Bytes that are not UTF-8
// may be cut anywhere.
func cutBefore(p []byte, n int) int {
	for back := range utf8.UTFMax {
		if utf8.RuneStart(p[n-back]) {
			return n - back
		}
	}
	return n
}

func (l *lineSplitter) line(s journal.Stream, text []byte) {
	valid := strings.ToValidUTF8(string(bytes.TrimSuffix(text, []byte("\r"))), "\uFFFD")
	l.batch = append(l.batch, outputLine{s, valid, l.at})
	if l.size += len(text) + recordCost; l.size >= maxBatch {
		l.flush()
	}
}

// end sends everything, lines without a line end too.
func (l *lineSplitter) end() {
	for s, rest := range l.rest {
		if len(rest) > 0 {
			l.line(journal.Stream(s), rest)
		}
	}
	l.flush()
}

func (l *lineSplitter) flush() {
	if len(l.batch) > 0 {
		l.send(l.batch)
	}
	l.batch, l.size = l.batch[:0], 0
}
