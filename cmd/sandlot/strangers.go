package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/sandlot-dev/sandlot/coordinator/store"
	"github.com/sandlot-dev/sandlot/internal/doctor"
	"github.com/sandlot-dev/sandlot/runnerd/docker"
)

// strangers returns the sandboxes of this installation that its engine has and its database does not know.
func strangers(ctx context.Context, cfg config) ([]docker.Written, error) {
	api, err := docker.NewClient(cfg.DockerHost)
	if err != nil {
		return nil, err
	}
	defer api.Close() // nothing to lose
	found, err := docker.ReadWritten(ctx, api, cfg.Instance)
	if err != nil {
		return nil, err
	}
	db, err := openDatabase(cfg)
	if err != nil {
		return nil, err
	}
	defer db.Close() // only read from
	ids := make([]string, len(found))
	for i, w := range found {
		ids[i] = w.Spec.ID
	}
	known, err := db.Known(ctx, ids)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(found, func(w docker.Written) bool { return slices.Contains(known, w.Spec.ID) }), nil
}

func openDatabase(cfg config) (*store.DB, error) {
	path := filepath.Join(cfg.Data, databaseFile)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no database in %s yet: start the server (sandlot up), which makes an empty one",
			cfg.Data)
	}
	return store.OpenAsIs(path)
}

// checkStrangers looks for sandboxes that have no record.
func checkStrangers(ctx context.Context, cfg config) doctor.Finding {
	const name = "records"
	if _, err := os.Stat(filepath.Join(cfg.Data, databaseFile)); err != nil {
		return doctor.Finding{Check: name, Result: doctor.OK, Detail: "no database yet"}
	}
	var found []docker.Written
	_, err := readKeys(&cfg)
	if err == nil {
		found, err = strangers(ctx, cfg)
	}
	switch {
	case err != nil:
		return doctor.Finding{Check: name, Result: doctor.Warning, Detail: err.Error()}
	case len(found) > 0:
		ids := make([]string, 0, 5)
		for _, w := range found[:min(len(found), cap(ids))] {
			ids = append(ids, w.Spec.ID)
		}
		return doctor.Finding{
			Check: name, Result: doctor.Warning,
			Detail: fmt.Sprintf("the engine has %d sandboxes that the database does not know, such as %v; they are left alone",
				len(found), ids),
			Fix: "`sandlot adopt` lists them and writes their records; `docker rm -f ID` removes one",
		}
	}
	return doctor.Finding{Check: name, Result: doctor.OK, Detail: "every sandbox that the engine has is in the database"}
}
