package main

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"
)

func envCommand(set *settings) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "env",
		Short: "Print what clients need, as shell exports: eval \"$(sandlot env)\"",
		Long: "Prints the address and the key of the server of the data folder, as shell exports: eval \"$(sandlot env)\"\n" +
			"DAYTONA_V0_API_URL is for the pre-release 2.0 of the Python client, " +
			"which sends its key to the hosted service without it.\n" + localHelp,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			a, err := localAccess(set)
			if err != nil {
				return err
			}
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(map[string]string{
					"DAYTONA_API_URL": a.URL, "DAYTONA_V0_API_URL": a.URL, "DAYTONA_API_KEY": a.Key,
					"dashboard": a.Dashboard, "data": a.Data,
				})
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(),
				"export DAYTONA_API_URL=%s\nexport DAYTONA_V0_API_URL=%s\nexport DAYTONA_API_KEY=%s\n", a.URL, a.URL, a.Key)
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}
