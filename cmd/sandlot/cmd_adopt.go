package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/sandlot-dev/sandlot/coordinator/fleet"
	"github.com/sandlot-dev/sandlot/coordinator/tenancy"
	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/runnerd/docker"
)

func adoptCommand(set *settings) *cobra.Command {
	var all, asJSON bool
	cmd := &cobra.Command{
		Use:   "adopt [ID]...",
		Short: "Write the records of sandboxes that the engine has and the database does not know",
		Long: "Lists the sandboxes of this installation that the engine has and the database does not know, " +
			"as after a lost or an older database.\n" +
			"With ids, or --all, their records are written from what their containers say: " +
			"name, snapshot, sizes, environment and labels as they\n" +
			"were made. They neither stop nor end by themselves until their intervals are set. " +
			"Works beside a running server, which sees them\n" +
			"within 30 s. Nothing is removed: `docker rm -f ID` removes what is not wanted.\n" + localHelp,
		RunE: func(cmd *cobra.Command, ids []string) error {
			cfg, _, err := set.config()
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), time.Minute)
			defer cancel()
			k, err := readKeys(&cfg)
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
		// The organisation was lost too.
		if _, err := db.Organization(ctx, w.Spec.Organization); fault.KindOf(err) == fault.NotFound {
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
	_, _ = fmt.Fprintln(tab, "ID\tNAME\tSNAPSHOT\tRUNS\tCREATED") // Flush returns the errors
	for _, f := range found {
		_, _ = fmt.Fprintf(tab, "%s\t%s\t%s\t%v\t%s\n",
			f.Spec.ID, f.Spec.Name, f.Spec.Snapshot, f.Running, f.CreatedAt.Format(time.RFC3339))
	}
	if err := tab.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintln(w, "\nadopt them by id, or all: sandlot adopt --all")
	return err
}
