//go:build e2e

package runnerd_test

import (
	"context"
	"crypto/rand"
	"log/slog"
	"strings"
	"testing"

	"github.com/sandlot-dev/sandlot/coordinator/fleet"
	"github.com/sandlot-dev/sandlot/coordinator/fleet/fleettest"
	"github.com/sandlot-dev/sandlot/internal/lifecycle"
	"github.com/sandlot-dev/sandlot/runnerd"
	"github.com/sandlot-dev/sandlot/tests/harness"
)

// TestRunner holds the Runner, on real containers, to what the fleet asks of a runner.
func TestRunner(t *testing.T) {
	image := harness.Image(t, "", harness.Busybox)
	fleettest.Runner(t, func(t *testing.T) (fleet.Runner, string) {
		r, err := runnerd.New(runnerd.Config{
			ID: "r", Data: t.TempDir(), Instance: "test-" + strings.ToLower(rand.Text()[:10]), Key: []byte("k"),
			Logger: slog.New(slog.NewTextHandler(t.Output(), nil)),
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, end := context.WithCancel(context.WithoutCancel(t.Context()))
		ended := make(chan error)
		go func() { ended <- r.Run(ctx, reporter{}) }()
		t.Cleanup(func() {
			end()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
		<-r.Begun()
		return r, image
	})
}

// reporter takes every report and knows of no deletion.
type reporter struct{}

func (reporter) Report(context.Context, lifecycle.Report) ([]string, error) { return nil, nil }
