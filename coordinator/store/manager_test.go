package store_test

import (
	"log/slog"
	"testing"

	"github.com/sandlot-dev/sandlot/coordinator/fleet"
	"github.com/sandlot-dev/sandlot/coordinator/store"
)

// manager returns a fleet that lists from db; it has no runner to ask.
func manager(t *testing.T, db *store.DB) *fleet.Manager {
	t.Helper()
	m, err := fleet.New(fleet.Config{
		Store: db, Runners: fleet.SoleRunner{}, Region: "us", DefaultSnapshot: "default",
		MaxCPU: 1, MaxMemory: 1, MaxDisk: 1, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}
