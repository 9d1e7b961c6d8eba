package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sandlot-dev/sandlot/api"
	"github.com/sandlot-dev/sandlot/api/client"
)

func runCommand(connect func() (*client.Client, error)) *cobra.Command {
	var (
		snapshot string
		keep     bool
		asJSON   bool
	)
	cmd := &cobra.Command{
		Use:     "run [flags] -- COMMAND [ARG ...]",
		Short:   "Run one command in a fresh sandbox, print its output and end with its exit code",
		Long:    serverHelp,
		Example: "  sandlot run -- python3 -c 'print(6*7)'\n  sandlot run --keep -- sh -c 'uname -a; id'",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := connect()
			if err != nil {
				return err
			}
			return runOnce(cmd, c, snapshot, keep, asJSON, args)
		},
	}
	cmd.Flags().StringVar(&snapshot, "snapshot", "", "snapshot to make the sandbox from; default the server's")
	cmd.Flags().BoolVar(&keep, "keep", false, "leave the sandbox running and print its id")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON: sandbox id, exit code, output and times")
	return cmd
}

func runOnce(cmd *cobra.Command, c *client.Client, snapshot string, keep, asJSON bool, args []string) (err error) {
	ctx := cmd.Context()
	req := api.CreateSandbox{Labels: map[string]string{"made-by": "sandlot-run"}}
	if snapshot != "" {
		req.Snapshot = &snapshot
	}
	began := time.Now()
	sb, err := c.Create(ctx, req)
	if err != nil {
		return err
	}
	made := time.Since(began)
	if !keep {
		defer func() {
			_, drop := c.Delete(context.WithoutCancel(ctx), sb.ID)
			err = errors.Join(err, drop)
		}()
	}
	began = time.Now()
	res, err := c.Execute(ctx, sb, api.ExecuteRequest{Command: quote(args)})
	if err != nil {
		return err
	}
	ran := time.Since(began)
	if asJSON {
		err = json.NewEncoder(cmd.OutOrStdout()).Encode(map[string]any{
			"sandboxId": sb.ID, "exitCode": res.ExitCode, "result": res.Result, "createMs": made.Milliseconds(), "executeMs": ran.Milliseconds(),
		})
	} else {
		_, err = fmt.Fprint(cmd.OutOrStdout(), res.Result)
		if keep {
			_, _ = fmt.Fprintf(cmd.ErrOrStderr(), "sandbox %s\n", sb.ID) // told for convenience
		}
	}
	if err == nil && res.ExitCode != 0 {
		err = ExitCode(res.ExitCode)
	}
	return err
}

// quote makes one shell command of words, each taken literally.
func quote(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
	}
	return strings.Join(quoted, " ")
}
