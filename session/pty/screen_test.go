package pty

import (
	"bytes"
	"testing"
)

// FuzzScreen: whatever a program prints, what a client gets to join is bounded, and feeding it back changes nothing.
func FuzzScreen(f *testing.F) {
	f.Add([]byte("\x1b[?1049h\x1b[1;31mred\x1b[0m\n\x1b]0;title\x07\x1b(B\x1b=\x1b[2;5r\x1bc"))
	f.Add([]byte("\x1b\x1b[[\x1b]\x1b\\\x1bP\x1b[?99999999999999h\x1b[38;2;1;2;3m\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var s screen
		for _, b := range bytes.Repeat(data, 3) {
			s.feed([]byte{b})
		}
		intro := s.now.restore()
		if len(intro) > 8<<10 {
			t.Fatalf("%d bytes to restore %q", len(intro), data)
		}
		var again screen
		again.feed([]byte(intro))
		if got := again.now.restore(); got != intro {
			t.Fatalf("restoring %q gives %q", intro, got)
		}
	})
}
