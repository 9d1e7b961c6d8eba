package sandbox_test

import (
	"context"
	"log/slog"
	"testing"

	"github.com/sandlot-dev/sandlot/coordinator/fleet"
	"github.com/sandlot-dev/sandlot/coordinator/fleet/fleettest"
	"github.com/sandlot-dev/sandlot/runnerd/sandbox"
)

// TestRunner holds a Manager to what the fleet asks of a runner.
func TestRunner(t *testing.T) {
	fleettest.Runner(t, func(t *testing.T) (fleet.Runner, string) {
		m, err := sandbox.New(sandbox.Config{
			Runner: "r", Driver: newEngine(), Toolbox: &answers{}, Key: []byte("k"), Inject: "/inject",
			Logger: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, end := context.WithCancel(context.Background())
		ended := make(chan error)
		go func() { ended <- m.Run(ctx, &coordinator{}) }()
		t.Cleanup(func() {
			end()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
		<-m.Begun()
		return m, "image"
	})
}
