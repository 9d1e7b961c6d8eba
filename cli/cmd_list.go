package cli

import (
	"encoding/json"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/sandlot-dev/sandlot/api"
	"github.com/sandlot-dev/sandlot/api/client"
)

func listCommand(connect func() (*client.Client, error)) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List sandboxes",
		Long:    "Lists the sandboxes that the key may see.\n" + serverHelp,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := connect()
			if err != nil {
				return err
			}
			all, err := c.List(cmd.Context())
			if err != nil {
				return err
			}
			if asJSON {
				if all == nil {
					all = []api.SandboxListItem{}
				}
				return json.NewEncoder(cmd.OutOrStdout()).Encode(all)
			}
			tw := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 4, 2, ' ', 0)
			_, _ = fmt.Fprintln(tw, "ID\tNAME\tSTATE\tSNAPSHOT\tAGE") // Flush returns the errors
			for _, s := range all {
				age := time.Since(s.CreatedAt).Round(time.Second)
				_, _ = fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%v\n", s.ID, s.Name, s.State, s.Snapshot, age)
			}
			return tw.Flush()
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func deleteCommand(connect func() (*client.Client, error)) *cobra.Command {
	return &cobra.Command{
		Use:     "delete SANDBOX ...",
		Aliases: []string{"rm"},
		Short:   "Delete sandboxes by id or name",
		Long:    "Deletes sandboxes by id or name, and prints the id of each.\n" + serverHelp,
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := connect()
			if err != nil {
				return err
			}
			for _, ref := range args {
				s, err := c.Delete(cmd.Context(), ref)
				if err != nil {
					return err
				}
				if _, err := fmt.Fprintln(cmd.OutOrStdout(), s.ID); err != nil {
					return err
				}
			}
			return nil
		},
	}
}
