package sandbox_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/sandlot-dev/sandlot/internal/lifecycle"
	"github.com/sandlot-dev/sandlot/runnerd/sandbox"
)

func TestAnEndWhileStartingIsToldAtOnce(t *testing.T) {
	world(t, 0, func(t *testing.T, m *sandbox.Manager, e *engine, tb *answers, _ *coordinator) {
		tb.silent = true
		go func() {
			time.Sleep(100 * time.Millisecond)
			e.end("a", func(c *sandbox.Container) { c.ExitCode = 3 })
		}()
		began := time.Now()
		_, err := m.Create(t.Context(), spec("a"))
		if took := time.Since(began); err == nil ||
			!strings.Contains(err.Error(), "ended while it started: its first process ended with code 3") || took > time.Second {
			t.Errorf("Create: %v after %v; want the reason at once", err, took)
		}
	})
}

// TestAFailedStartOfWhatWasThereRemovesNothing is a create that is taken up again after a crash, or told by an old
// record.
func TestAFailedStartOfWhatWasThereRemovesNothing(t *testing.T) {
	world(t, 0, func(t *testing.T, m *sandbox.Manager, e *engine, tb *answers, c *coordinator) {
		e.made(t, "a")
		tb.err = errors.New("no answer")
		if _, err := m.Create(t.Context(), spec("a")); err == nil {
			t.Error("no error")
		}
		if e.has["a"] == nil {
			t.Fatal("a container that an earlier call made was removed")
		}
		time.Sleep(31 * time.Second)
		if r := c.last(t); r.Sandboxes[0].Cause != lifecycle.Unknown {
			t.Errorf("heartbeat %+v: our own start is told as the sandbox's", r)
		}
	})
}
