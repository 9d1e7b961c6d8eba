package lsp

import (
	"strings"
	"unicode/utf8"
)

// unit says how many of a server's characters a rune is.
type unit func(r rune) int

// utf16Units counts as editors do.
func utf16Units(r rune) int {
	if r > 0xFFFF {
		return 2
	}
	return 1
}

func codePoints(rune) int { return 1 }

// unitOf returns the unit that a server's capabilities name; "" means UTF-16.
func unitOf(encoding string) unit {
	switch encoding {
	case "utf-8":
		return utf8.RuneLen
	case "utf-32":
		return codePoints
	}
	return utf16Units
}

// line returns line n of a text, without its end; ok is false behind the last one. Lines end in \n, \r\n or \r.
func line(text string, n int) (line string, ok bool) {
	for ; n > 0; n-- {
		i := strings.IndexAny(text, "\r\n")
		if i < 0 {
			return "", false
		}
		if strings.HasPrefix(text[i:], "\r\n") {
			i++
		}
		text = text[i+1:]
	}
	if i := strings.IndexAny(text, "\r\n"); i >= 0 {
		text = text[:i]
	}
	return text, true
}

// column counts a place in a line anew: at units of from become units of to. A place behind the end becomes the end.
func column(line string, at int, from, to unit) (column int) {
	for _, r := range line {
		if at -= from(r); at < 0 {
			break
		}
		column += to(r)
	}
	return column
}

// columns makes the positions that a server sends those of UTF-16. It serves one answer. nil leaves all as they are.
type columns struct {
	unit  unit
	lines map[string][]string // by path; nil where both count the same
	read  func(path string) string
}

// Limits of one answer. Positions beyond them stay as the server sent them.
const (
	maxTexts = 512      // documents that are looked at
	maxLine  = 64 << 10 // bytes of a line
)

// fix corrects a range of the document at uri.
func (c *columns) fix(uri string, r *Range) {
	if c == nil {
		return
	}
	path, ok := uriPath(uri)
	if !ok {
		return
	}
	lines, known := c.lines[path]
	if !known {
		if len(c.lines) >= maxTexts {
			return
		}
		text := c.read(path)
		if strings.IndexFunc(text, func(r rune) bool { return c.unit(r) != utf16Units(r) }) >= 0 {
			lines = splitLines(text)
		}
		c.lines[path] = lines
	}
	for _, p := range []*Position{&r.Start, &r.End} {
		if p.Line >= 0 && p.Line < len(lines) && len(lines[p.Line]) <= maxLine {
			p.Character = column(lines[p.Line], p.Character, c.unit, utf16Units)
		}
	}
}

// splitLines returns all lines of a text, without their ends.
func splitLines(text string) []string {
	text = strings.ReplaceAll(text, "\r\n", "\n")
	return strings.Split(strings.ReplaceAll(text, "\r", "\n"), "\n")
}
