//go:build e2e

package e2e_test

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/sandlot-dev/sandlot/tests/harness"
)

// The two Sandlots that tests share: started by the first test that asks, closed by TestMain.
var (
	small = &shared{image: harness.Busybox}
	full  = &shared{}
)

type shared struct {
	image string
	once  sync.Once
	dir   string
	s     *harness.Sandlot
	err   error
}

func (sh *shared) start() {
	if sh.dir, sh.err = os.MkdirTemp("", "sandlot-e2e-"); sh.err != nil {
		return
	}
	if sh.image != "" {
		if sh.err = harness.MakeImage("", sh.image); sh.err != nil {
			return
		}
	}
	sh.s, sh.err = harness.New(filepath.Clean(sh.dir), harness.Options{Image: sh.image})
}

// up returns the shared Sandlot and a connection to it with the first key.
func (sh *shared) up(t *testing.T) (*harness.Sandlot, *harness.Conn) {
	t.Helper()
	sh.once.Do(sh.start)
	if sh.err != nil {
		t.Fatal(sh.err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("log of sandlot:\n%s", sh.s.Process.Tail())
		}
	})
	return sh.s, sh.s.As(t, sh.s.Key)
}

func TestMain(m *testing.M) {
	code := m.Run()
	for _, sh := range []*shared{small, full} {
		if sh.s != nil {
			if err := sh.s.Close(); err != nil {
				fmt.Fprintf(os.Stderr, "FAIL: stopping the shared Sandlot: %v\n", err)
				code = max(code, 1)
			}
		}
		_ = os.RemoveAll(sh.dir)
	}
	os.Exit(code)
}
