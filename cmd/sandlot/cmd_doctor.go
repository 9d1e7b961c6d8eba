package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/sandlot-dev/sandlot/cli"
	"github.com/sandlot-dev/sandlot/internal/doctor"
	"github.com/sandlot-dev/sandlot/runnerd"
)

func doctorCommand(set *settings) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Check what Sandlot needs and say what to mend",
		Long: "Checks engine, storage driver, control groups, /proc, image, ports, previews, certificates, disk, clock and " +
			"records. Ends with 1 if something is broken.\n" + localHelp,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, _, err := set.config()
			if err != nil {
				return err
			}
			found := examine(cmd.Context(), cfg)
			if asJSON {
				err = json.NewEncoder(cmd.OutOrStdout()).Encode(found)
			} else {
				err = printFindings(cmd.OutOrStdout(), found)
			}
			if err == nil && slices.ContainsFunc(found, func(f doctor.Finding) bool { return f.Result == doctor.Broken }) {
				return cli.ExitCode(1)
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// examine runs all checks. Each is in the room that it checks.
func examine(ctx context.Context, cfg config) []doctor.Finding {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	_, running, _ := readState(cfg.Data) // an unreadable state is a server that does not run
	return append(runnerd.Check(ctx, runnerConfig(cfg), cfg.DefaultImage),
		checkPort(ctx, "api port", cfg.APIListen, running),
		checkPort(ctx, "proxy port", cfg.ProxyListen, running),
		checkPreviews(ctx, cfg),
		doctor.Disk("data disk", cfg.Data, 256),
		checkClock(ctx, cfg, running),
		checkStrangers(ctx, cfg),
	)
}

func printFindings(w io.Writer, found []doctor.Finding) error {
	var errs []error
	for _, f := range found {
		mark := map[string]string{doctor.OK: "✓", doctor.Warning: "!", doctor.Broken: "✗"}[f.Result]
		_, err := fmt.Fprintf(w, "%s %-15s %s\n", mark, f.Check, f.Detail)
		errs = append(errs, err)
		if f.Fix != "" {
			_, err = fmt.Fprintf(w, "  %-15s fix: %s\n", "", f.Fix)
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
