package main

import (
	"context"
	"errors"
	"io"
	"log"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/sandlot-dev/sandlot/internal/serve"
	"github.com/sandlot-dev/sandlot/internal/version"
)

func upCommand(set *settings) *cobra.Command {
	var detach bool
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Run coordinator, runner and proxy in this process",
		Long: "Runs until SIGTERM or SIGINT, then lets open requests end. " +
			"Sandboxes go on running and are found again at the next start.\n" +
			"Nobody but this user can read the data folder. " +
			"With --detach the log goes there: sandlot.log, and sandlot.log.1 to .4, of 16 MiB each.\n" +
			localHelp,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, _, err := set.config()
			if err != nil {
				return err
			}
			if detach {
				return background(cmd.Context(), cfg, cmd.OutOrStdout())
			}
			return up(cmd.Context(), cfg, cmd.ErrOrStderr())
		},
	}
	cmd.Flags().BoolVar(&detach, "detach", false,
		"run in the background and return when it is ready; the log is sandlot.log in the data folder")
	return cmd
}

// maxForeign bounds, in bytes, a line of the log that a library writes.
const maxForeign = 4 << 10

// up serves until ctx ends.
func up(ctx context.Context, cfg config, stderr io.Writer) (err error) {
	unix.Umask(0o077) // nobody else may read the files made from here on, those of libraries included
	held, err := lock(cfg.Data)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, held.Close()) }()
	made, err := makeKeys(&cfg)
	if err != nil {
		return err
	}
	if os.Getenv(readyEnv) != "" { // started by --detach: stdout and stderr are the log
		if w := newLogWriter(filepath.Join(cfg.Data, logFile), logSize, logKept, unix.Stderr, unix.Stdout); w != nil {
			stderr = w
		}
	}
	logger := newLogger(cfg, stderr)
	slog.SetDefault(logger)                                 // lines of libraries get the same form
	log.SetOutput(serve.CutLines(log.Writer(), maxForeign)) // net/http quotes apps in full
	in, err := join(ctx, cfg, made, logger)
	if err != nil {
		return err
	}
	return in.run(ctx, func() error {
		err := writeState(cfg.Data, state{
			PID: os.Getpid(), APIURL: cfg.APIURL, Dashboard: dashboardURL(cfg), Version: version.String(),
		})
		if err != nil {
			return err
		}
		return tellReady()
	})
}

func newLogger(cfg config, w io.Writer) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(cfg.LogLevel)) // the settings have been checked
	opts := &slog.HandlerOptions{Level: level}
	if cfg.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, opts))
	}
	return slog.New(slog.NewTextHandler(w, opts))
}
