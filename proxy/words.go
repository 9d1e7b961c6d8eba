package proxy

import (
	"errors"
	"log"
	"log/slog"
	"net"
	"strings"
	"unicode/utf8"

	"github.com/sandlot-dev/sandlot/internal/logkey"
)

// maxWords bounds, in bytes, the text of others that goes into an answer or a line of the log.
const maxWords = 200

// cut shortens a text to maxWords; one that was cut ends in "…".
func cut(text string) string { return cutTo(text, maxWords) }

func cutTo(text string, most int) string {
	if len(text) > most {
		n := most - len("…")
		for n > 0 && !utf8.RuneStart(text[n]) {
			n--
		}
		text = text[:n] + "…"
	}
	return strings.ToValidUTF8(text, "\uFFFD")
}

// told returns what may be said to anybody of an error met on the way to a sandbox: its text without addresses.
func told(err error) string {
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return cut(op.Op + ": " + op.Err.Error())
	}
	return cut(err.Error())
}

// cutLogger returns a logger of the standard library's kind that writes to l, at Debug, with each line cut.
func cutLogger(l *slog.Logger) *log.Logger { return log.New(cutWriter{l}, "", 0) }

type cutWriter struct{ to *slog.Logger }

// Write implements io.Writer.
func (w cutWriter) Write(line []byte) (int, error) {
	w.to.Debug("passing on", logkey.Err, cut(strings.TrimSpace(string(line))))
	return len(line), nil
}
