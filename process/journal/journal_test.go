package journal_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/sandlot-dev/sandlot/process/journal"
)

type piece struct {
	stream journal.Stream
	data   []byte
}

// output makes n bytes in pieces of odd sizes on both streams.
func output(n int) (pieces []piece, all []byte) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for len(all) < n {
		p := piece{journal.Stdout + journal.Stream(rnd.IntN(2)), make([]byte, 1+rnd.IntN(1+rnd.IntN(9000)))}
		for i := range p.data {
			p.data[i] = byte(rnd.Uint32())
		}
		pieces = append(pieces, p)
		all = append(all, p.data...)
	}
	return pieces, all
}

// drain reads to the end and returns the bytes of each stream (index 0: of both) and what was skipped.
func drain(ctx context.Context, t *testing.T, r *journal.Reader) (got [3][]byte, skipped int64) {
	t.Helper()
	defer r.Close()
	next := int64(-1)
	for {
		c, err := r.Next(ctx)
		if errors.Is(err, io.EOF) {
			return got, skipped
		}
		if err != nil {
			t.Error(err)
			return got, skipped
		}
		if next >= 0 && c.Offset != next+c.Skipped {
			t.Errorf("chunk at %d after skipping %d, want it to follow %d", c.Offset, c.Skipped, next)
		}
		next = c.Offset + int64(len(c.Data))
		skipped += c.Skipped
		got[0] = append(got[0], c.Data...)
		got[c.Stream] = append(got[c.Stream], c.Data...)
	}
}

func TestJournalGivesEveryReaderTheSameBytes(t *testing.T) {
	for _, tc := range []struct {
		name   string
		limits journal.Limits
		size   int
	}{
		{"in memory", journal.Limits{Memory: 8 << 20}, 3 << 20},
		{"in the file", journal.Limits{Memory: 256 << 10}, 6 << 20},
		{"small", journal.Limits{}, 100},
	} {
		t.Run(tc.name, func(t *testing.T) {
			j := journal.New(tc.limits, nil)
			defer j.Discard()
			pieces, all := output(tc.size)
			var readers sync.WaitGroup
			follow := func(from int64) {
				readers.Go(func() {
					got, skipped := drain(t.Context(), t, j.Follow(from))
					if skipped != 0 || !bytes.Equal(got[0], all[from:]) {
						t.Errorf("reader from %d: %d bytes, %d skipped; want the same %d bytes",
							from, len(got[0]), skipped, int64(len(all))-from)
					}
				})
			}
			follow(0)
			follow(17)
			var want [3][]byte
			for i, p := range pieces {
				j.Append(p.stream, p.data)
				want[p.stream] = append(want[p.stream], p.data...)
				if i == len(pieces)/2 {
					follow(j.Size(0) - 5)
				}
			}
			follow(0)
			j.Close()
			readers.Wait()
			got, _ := drain(t.Context(), t, j.Snapshot(0))
			for s := journal.Stdout; s <= journal.Stderr; s++ {
				if sha256.Sum256(got[s]) != sha256.Sum256(want[s]) || j.Size(s) != int64(len(want[s])) {
					t.Errorf("stream %d differs", s)
				}
			}
		})
	}
}

func TestJournalDropsTheOldestAndSaysSo(t *testing.T) {
	for _, tc := range []struct {
		name   string
		limits journal.Limits
		kept   int64
	}{
		{"without a file", journal.Limits{Memory: 256 << 10, File: -1}, 128 << 10},
		{"with a file", journal.Limits{Memory: 256 << 10, File: 1 << 20}, 1 << 20},
	} {
		t.Run(tc.name, func(t *testing.T) {
			j := journal.New(tc.limits, nil)
			defer j.Discard()
			pieces, all := output(5 << 20)
			slow := j.Follow(0)
			for i, p := range pieces {
				j.Append(p.stream, p.data)
				if i == 3 {
					if _, err := slow.Next(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
			}
			j.Close()
			got, skipped := drain(t.Context(), t, j.Snapshot(0))
			if kept := int64(len(got[0])); kept < tc.kept || skipped != j.Dropped() || skipped+kept != int64(len(all)) {
				t.Errorf("kept %d, skipped %d, Dropped %d of %d", kept, skipped, j.Dropped(), len(all))
			}
			if !bytes.HasSuffix(all, got[0]) {
				t.Error("what is kept is not the end of what was written")
			}
			late, lost := drain(t.Context(), t, slow)
			if lost == 0 || !bytes.HasSuffix(all, late[0][max(0, len(late[0])-len(got[0])):]) {
				t.Errorf("a reader that was overtaken skipped %d bytes", lost)
			}
		})
	}
}

func TestFollowEndsWithItsContext(t *testing.T) {
	j := journal.New(journal.Limits{}, nil)
	defer j.Discard()
	ctx, cancel := context.WithCancelCause(t.Context())
	reason := errors.New("enough")
	cancel(reason)
	if _, err := j.Follow(0).Next(ctx); !errors.Is(err, reason) {
		t.Errorf("error = %v, want the cause", err)
	}
}

func BenchmarkJournal(b *testing.B) {
	j := journal.New(journal.Limits{Memory: 1 << 20, File: 16 << 20}, nil)
	defer j.Discard()
	line := []byte("a line of forty bytes, more or less....\n")
	b.SetBytes(int64(len(line)))
	for b.Loop() {
		j.Append(journal.Stdout, line)
	}
}
