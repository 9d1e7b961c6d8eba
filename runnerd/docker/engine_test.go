package docker

import (
	"errors"
	"net"
	"path/filepath"
	"testing"
	"time"

	"github.com/sandlot-dev/sandlot/internal/lifecycle"
	"github.com/sandlot-dev/sandlot/runnerd/sandbox"
)

// TestAnEngineThatHangsIsDown has an engine that takes connections and says nothing.
func TestAnEngineThatHangsIsDown(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	var lc net.ListenConfig
	ln, err := lc.Listen(t.Context(), "unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	e := newEngine(t, func(c *Config) { c.Host, c.Patience = "unix://"+path, 50*time.Millisecond })
	for name, call := range map[string]func() error{
		"image":  func() error { _, err := e.Image(t.Context(), "i"); return err },
		"make":   func() error { _, _, err := e.Make(t.Context(), specOf(lifecycle.Spec{})); return err },
		"attach": func() error { return e.Attach(t.Context(), sandbox.Container{ID: "a", Ref: "r"}) },
		"start":  func() error { _, err := e.Start(t.Context(), sandbox.Container{ID: "a", Ref: "r"}); return err },
		"stop":   func() error { return e.Stop(t.Context(), "a", 50*time.Millisecond) },
		"remove": func() error { return e.Remove(t.Context(), "a") },
		"look":   func() error { _, err := e.Inspect(t.Context(), "a"); return err },
		"list":   func() error { _, err := e.List(t.Context()); return err },
		"watch":  func() error { return e.Watch(t.Context(), func() {}, func(string, bool) {}) },
	} {
		began := time.Now()
		if err := call(); !errors.Is(err, sandbox.ErrEngineDown) || time.Since(began) > 5*time.Second {
			t.Errorf("%s: %v after %v; want ErrEngineDown", name, err, time.Since(began))
		}
	}
}
