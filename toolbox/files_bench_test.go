package toolbox_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
)

// sink is a ResponseWriter that keeps nothing.
type sink struct{ h http.Header }

func (s *sink) Header() http.Header         { return s.h }
func (s *sink) Write(p []byte) (int, error) { return len(p), nil }
func (s *sink) WriteHeader(int)             {}

// BenchmarkList10000 is the handler without the network; the raw reading of the folder stands beside it.
func BenchmarkList10000(b *testing.B) {
	dir := b.TempDir()
	for i := range 10_000 {
		if err := os.WriteFile(fmt.Sprintf("%s/file-%d.txt", dir, i), nil, 0o644); err != nil {
			b.Fatal(err)
		}
	}
	h := newToolbox(b, dir).Handler()
	b.Run("list", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			h.ServeHTTP(&sink{http.Header{}}, httptest.NewRequest("GET", "/files", nil))
		}
	})
	b.Run("readdir+lstat", func(b *testing.B) {
		for b.Loop() {
			entries, _ := os.ReadDir(dir)
			for _, e := range entries {
				_, _ = os.Lstat(dir + "/" + e.Name())
			}
		}
	})
}
