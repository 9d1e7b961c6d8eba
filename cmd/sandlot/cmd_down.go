package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"
)

func downCommand(set *settings) *cobra.Command {
	return &cobra.Command{
		Use:   "down",
		Short: "Stop the server of this data folder; sandboxes go on running",
		Long:  "Sends SIGTERM to the server of the data folder and waits for its end; sandboxes go on running.\n" + localHelp,
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, _, err := set.config()
			if err != nil {
				return err
			}
			h, running, err := heldBy(cfg.Data)
			if err != nil {
				return err
			}
			if !running {
				_, err := fmt.Fprintln(cmd.OutOrStdout(), "sandlot does not run")
				return err
			}
			if h.PID == 0 {
				return fmt.Errorf("the server of %s is just starting: try again", cfg.Data)
			}
			if err := h.end(cfg.Drain + 10*time.Second); err != nil {
				return err
			}
			if still, running, err := heldBy(cfg.Data); err != nil {
				return err
			} else if running && still == h {
				return fmt.Errorf("the server of %s, process %d, cannot be seen from here: "+
					"stop it in its own container or pid namespace", cfg.Data, h.PID)
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), "sandlot is down")
			return err
		},
	}
}
