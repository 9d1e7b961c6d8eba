package telemetry

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sandlot-dev/sandlot/process/journal"
)

func TestLinesAreRecords(t *testing.T) {
	x := strings.Repeat("x", maxLine)
	for _, tc := range []struct {
		name   string
		chunks []string
		want   []string
	}{
		{"in pieces", []string{"par", "tial\r\n", "\nend"}, []string{"partial", "", "end"}},
		{"of the most bytes", []string{x + "\n"}, []string{x}},
		{"of the most bytes, end apart", []string{x, "\na"}, []string{x, "a"}},
		{"too long", []string{x + x[:9] + "\n"}, []string{x, x[:9]}},
		{"cut before a character", []string{x[:maxLine-1] + "é\n"}, []string{x[:maxLine-1], "é"}},
		{"no text", []string{"err\377or\n"}, []string{"err\uFFFDor"}},
		{"no text, too long", []string{strings.Repeat("\x80", maxLine+1)}, []string{"\uFFFD", "\uFFFD"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var got []string
			l := lineSplitter{send: func(batch []outputLine) {
				for _, line := range batch {
					got = append(got, line.text)
				}
			}}
			for _, c := range tc.chunks {
				l.add(journal.Chunk{Stream: journal.Stdout, Data: []byte(c)}, time.Now())
			}
			l.end()
			if !slices.Equal(got, tc.want) {
				t.Errorf("got %.80q, want %.80q", got, tc.want)
			}
		})
	}
}
