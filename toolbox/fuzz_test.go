package toolbox

import (
	"bufio"
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/sandlot-dev/sandlot/process/journal"
)

// chunks cuts data into pieces of the sizes that cuts names, on both streams.
func chunks(data, cuts []byte) (all []journal.Chunk) {
	for i := 0; len(data) > 0; i++ {
		n := len(data)
		if len(cuts) > 0 {
			n = min(n, int(cuts[i%len(cuts)])+1)
		}
		all = append(all, journal.Chunk{Stream: journal.Stdout + journal.Stream(n%2), Data: data[:n]})
		data = data[n:]
	}
	return all
}

// FuzzFrames: every frame stands alone, and together they carry each stream's bytes.
func FuzzFrames(f *testing.F) {
	f.Add([]byte("größer ☃ 𝄞\x01\x01\x01\xe2\x82"), []byte{0, 3, 1})
	f.Add(bytes.Repeat([]byte("𝄞"), 10_000), []byte{255, 254})
	f.Add([]byte{0xf0, 0x9f, 0xff, 0xe2}, []byte{0})
	f.Fuzz(func(t *testing.T, data, cuts []byte) {
		var want, got [3][]byte
		var at [3]int
		frames := [3][]int{}
		fr := framer{marked: true, send: func(frame []byte) error {
			if len(frame) < 4 || len(frame) > maxFrame+3 || frame[0] != frame[1] || frame[1] != frame[2] || frame[0] < 1 ||
				frame[0] > 2 {
				t.Fatalf("frame %.20q of %d bytes", frame, len(frame))
			}
			s := frame[0]
			got[s] = append(got[s], frame[3:]...)
			at[s] = len(got[s])
			frames[s] = append(frames[s], at[s])
			return nil
		}}
		for _, c := range chunks(data, cuts) {
			want[c.Stream] = append(want[c.Stream], c.Data...)
			if err := fr.chunk(c); err != nil {
				t.Fatal(err)
			}
		}
		if err := fr.end(); err != nil {
			t.Fatal(err)
		}
		for s := 1; s <= 2; s++ {
			if !bytes.Equal(got[s], want[s]) {
				t.Fatalf("stream %d: %q, want %q", s, got[s], want[s])
			}
			if !utf8.Valid(want[s]) {
				continue
			}
			for _, end := range frames[s] {
				if end < len(want[s]) && !utf8.RuneStart(want[s][end]) {
					t.Fatalf("stream %d: a frame ends within a character at %d", s, end)
				}
			}
		}
	})
}

// FuzzString: what stringWriter writes is a JSON string of the same text, however it was cut.
func FuzzString(f *testing.F) {
	f.Add([]byte("a\"\\\n\r\t\x00\x1fé☃𝄞"), []byte{0})
	f.Add([]byte{0xff, 'a', 0xc3, 0x28, 0xe2, 0x82, 0xf0, 0x9f}, []byte{1, 0})
	f.Add([]byte(strings.Repeat("plain text of some length ", 20)), []byte{7})
	f.Add(bytes.Repeat([]byte("é\""), 5000), []byte{})
	f.Fuzz(func(t *testing.T, data, cuts []byte) {
		var b bytes.Buffer
		w := bufio.NewWriter(&b)
		_ = w.WriteByte('"')
		text := stringWriter{w: w}
		for _, c := range chunks(data, cuts) {
			text.write(c.Data)
		}
		text.end()
		_ = w.WriteByte('"')
		_ = w.Flush()
		var got string
		if err := json.Unmarshal(b.Bytes(), &got); err != nil {
			t.Fatalf("%v in %q", err, b.Bytes())
		}
		if want := string([]rune(string(data))); got != want {
			t.Fatalf("%q became %q", data, got)
		}
	})
}
