package main

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/sandlot-dev/sandlot/coordinator/fleet"
	"github.com/sandlot-dev/sandlot/coordinator/store"
)

// snapshots returns the snapshots that exist from the start, all of the default image. Programs written for the hosted
// service ask for the first three names.
func snapshots(cfg config) []fleet.Snapshot {
	list := []fleet.Snapshot{
		{Name: "daytona-small", CPU: 1, Memory: 1, Disk: 3},
		{Name: "daytona-medium", CPU: 2, Memory: 4, Disk: 8},
		{Name: "daytona-large", CPU: 4, Memory: 8, Disk: 10},
		// Last: it may be the setting's wish to have one of these names.
		{Name: cfg.DefaultSnapshot, CPU: 1, Memory: 1, Disk: 3},
	}
	for i := range list {
		s := &list[i]
		s.ID, s.Image, s.CreatedAt = uuid.NewString(), cfg.DefaultImage, time.Now().UTC()
		s.CPU, s.Memory, s.Disk = min(s.CPU, cfg.MaxCPU), min(s.Memory, cfg.MaxMemory), min(s.Disk, cfg.MaxDisk)
	}
	return list
}

// putSnapshots stores the snapshots that exist from the start.
func putSnapshots(ctx context.Context, db *store.DB, cfg config) error {
	for _, s := range snapshots(cfg) {
		if err := db.PutSnapshot(ctx, s); err != nil {
			return err
		}
	}
	return nil
}
