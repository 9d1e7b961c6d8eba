package lsp

import (
	"bufio"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzHeader looks that no header makes more of a message than may be.
func FuzzHeader(f *testing.F) {
	for _, seed := range []string{
		"Content-Length: 2\r\n\r\n{}", "content-length:7\r\nContent-Type: x\r\n\r\n", "Content-Length: -1\r\n\r\n", "\r\n",
		"Content-Length: 99999999999999999999\r\n\r\n", ":\n\n", strings.Repeat("a: b\r\n", 1000),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		length, err := readHeader(bufio.NewReader(strings.NewReader(text)))
		if err == nil && (length < 0 || length > maxMessage) {
			t.Errorf("%q gives %d", text, length)
		}
	})
}

// FuzzColumn looks that a column that is counted anew and back is where it was, or at the beginning of its character.
func FuzzColumn(f *testing.F) {
	f.Add("a😀漢é", 3)
	f.Add("", -1)
	f.Fuzz(func(t *testing.T, line string, at int) {
		for _, u := range []unit{codePoints, utf16Units, utf8.RuneLen} {
			if !utf8.ValidString(line) {
				return
			}
			first := column(line, at, utf16Units, u)
			if again := column(line, column(line, first, u, utf16Units), utf16Units, u); again != first || first < 0 {
				t.Errorf("%q %d: %d, then %d", line, at, first, again)
			}
		}
	})
}

// FuzzPaths looks that a file's URI leads back to it.
func FuzzPaths(f *testing.F) {
	f.Add("/a b/%25/漢#?.x")
	f.Fuzz(func(t *testing.T, path string) {
		if !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//") || len(path) > 1000 {
			return
		}
		if back, ok := uriPath(fileURI(path)); !ok || back != filepath.Clean(path) {
			t.Errorf("%q: %q is %q", path, fileURI(path), back)
		}
		for _, name := range spellings("file://" + path) {
			if name == "" {
				t.Errorf("%q is spelled as nothing", path)
			}
		}
	})
}
