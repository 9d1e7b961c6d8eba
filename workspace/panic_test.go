package workspace

import (
	"os"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// TestAPanicIsAnErrorOfItsCall has work that panics on goroutines of ours, where it would end process 1.
func TestAPanicIsAnErrorOfItsCall(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(dir+"/f", []byte("content"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := New(dir)
	if err != nil {
		t.Fatal(err)
	}
	broken := newReplacer(t.Context(), "x", "y", new(sync.Map))
	broken.text = needle{} // has no rarest byte
	searcher := newSearcher("x")
	searcher.text = needle{}
	job := &findJob{files: []foundFile{{unix.AT_FDCWD, dir + "/f", "f"}}, found: make(chan []Match, 1)}
	for what, err := range map[string]error{
		"list":    eachChunk(1000, func(int, int) { panic("broken") }),
		"replace": f.replaceIn("f", broken),
		"find":    searcher.search(t.Context(), job),
	} {
		if err == nil || !strings.HasPrefix(err.Error(), "panic: ") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, open := <-job.found; open {
		t.Error("a search that panicked leaves its reader waiting")
	}
}
