package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"github.com/sandlot-dev/sandlot/coordinator/fleet"
	"github.com/sandlot-dev/sandlot/coordinator/store"
	"github.com/sandlot-dev/sandlot/coordinator/tenancy"
	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/runnerd/docker"
)

func adoptCommand(set *settings) *cobra.Command {
	var all, asJSON bool
	cmd := &cobra.Command{
		Use:   "adopt [ID]...",
		Short: "Write the records of sandboxes that the engine has and the database does not know",
		Long: "Lists the sandboxes of this installation that the engine has and the database does not know, as after a lost or an older database.\n" +
			"With ids, or --all, their records are written from what their containers say: name, snapshot, sizes, environment and labels as they\n" +
			"were made. They neither stop nor end by themselves until their intervals are set. Works beside a running server, which sees them\n" +
			"within 30 s. Nothing is removed: `docker rm -f ID` removes what is not wanted.\n" + localHelp,
		RunE: func(cmd *cobra.Command, ids []string) error {
			cfg, _, err := set.config()
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), time.Minute)
			defer cancel()
			k, err := recorded(&cfg)
			if err != nil {
				return err
			}
			found, err := strangers(ctx, cfg)
			if err != nil {
				return err
			}
			if !all && len(ids) == 0 {
				return printStrangers(cmd.OutOrStdout(), found, asJSON)
			}
			for _, id := range ids {
				if !slices.ContainsFunc(found, func(w docker.Written) bool { return w.Spec.ID == id }) {
					return fmt.Errorf("%s is not among the sandboxes without a record; `sandlot adopt` lists them", id)
				}
			}
			found = slices.DeleteFunc(found, func(w docker.Written) bool { return !all && !slices.Contains(ids, w.Spec.ID) })
			return adopt(ctx, cfg, k, found, cmd.OutOrStdout())
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "adopt every one of them")
	cmd.Flags().BoolVar(&asJSON, "json", false, "list as JSON")
	return cmd
}

// adopt writes the records of sandboxes that have none.
func adopt(ctx context.Context, cfg config, k keys, found []docker.Written, stdout io.Writer) (err error) {
	db, err := openDatabase(cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	personal, err := db.PersonalOrganization(ctx, tenancy.Administrator)
	if err != nil {
		return fmt.Errorf("the first organisation: %w", err)
	}
	for _, w := range found {
		if _, err := db.Organization(ctx, w.Spec.Organization); fault.KindOf(err) == fault.NotFound { // lost with the records
			w.Spec.Organization = personal.ID
		} else if err != nil {
			return err
		}
		s, err := fleet.Adopt(ctx, db, w.Spec, w.Running, cfg.Region, k.Runner, w.CreatedAt)
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(stdout, "adopted %s as %q, %s\n", s.ID, s.Name, s.State); err != nil {
			return err
		}
	}
	return nil
}

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

// recorded reads the keys of the data folder, of which none are made, and sets the instance that cfg leaves open.
func recorded(cfg *config) (k keys, err error) {
	path := filepath.Join(cfg.Data, keysFile)
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return k, fmt.Errorf("there is no %s: start the server of this data folder first (sandlot up), or name another with --data", path)
	} else if err != nil {
		return k, err
	}
	if err := yaml.Unmarshal(raw, &k); err != nil {
		return k, fmt.Errorf("%s: %w", path, err)
	}
	if cfg.Instance == "" {
		cfg.Instance = k.Label
	}
	return k, nil
}

func openDatabase(cfg config) (*store.DB, error) {
	path := filepath.Join(cfg.Data, databaseFile)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no database in %s yet: start the server (sandlot up), which makes an empty one", cfg.Data)
	}
	return store.OpenAsIs(path)
}

func printStrangers(w io.Writer, found []docker.Written, asJSON bool) error {
	if asJSON {
		type line struct {
			ID        string    `json:"id"`
			Name      string    `json:"name"`
			Snapshot  string    `json:"snapshot"`
			Running   bool      `json:"running"`
			CreatedAt time.Time `json:"createdAt"`
		}
		lines := make([]line, len(found))
		for i, f := range found {
			lines[i] = line{f.Spec.ID, f.Spec.Name, f.Spec.Snapshot, f.Running, f.CreatedAt}
		}
		return json.NewEncoder(w).Encode(lines)
	}
	if len(found) == 0 {
		_, err := fmt.Fprintln(w, "every sandbox that the engine has is in the database")
		return err
	}
	tab := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(tab, "ID\tNAME\tSNAPSHOT\tRUNS\tCREATED") // errors stay until Flush
	for _, f := range found {
		_, _ = fmt.Fprintf(tab, "%s\t%s\t%s\t%v\t%s\n", f.Spec.ID, f.Spec.Name, f.Spec.Snapshot, f.Running, f.CreatedAt.Format(time.RFC3339))
	}
	if err := tab.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintln(w, "\nadopt them by id, or all: sandlot adopt --all")
	return err
}

// checkStrangers looks for sandboxes without a record.
func checkStrangers(ctx context.Context, cfg config) finding {
	const name = "records"
	if _, err := os.Stat(filepath.Join(cfg.Data, databaseFile)); err != nil {
		return finding{name, ok, "no database yet", ""}
	}
	var found []docker.Written
	_, err := recorded(&cfg)
	if err == nil {
		found, err = strangers(ctx, cfg)
	}
	switch {
	case err != nil:
		return finding{name, warning, err.Error(), ""}
	case len(found) > 0:
		ids := make([]string, 0, 5)
		for _, w := range found[:min(len(found), cap(ids))] {
			ids = append(ids, w.Spec.ID)
		}
		return finding{
			name, warning, fmt.Sprintf("the engine has %d sandboxes that the database does not know, such as %v; they are left alone", len(found), ids),
			"`sandlot adopt` lists them and writes their records; `docker rm -f ID` removes one",
		}
	}
	return finding{name, ok, "every sandbox that the engine has is in the database", ""}
}
