package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/sandlot-dev/sandlot/cli"
	"github.com/sandlot-dev/sandlot/internal/serve"
	"github.com/sandlot-dev/sandlot/internal/version"
)

func upCommand(set *settings) *cobra.Command {
	var detach bool
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Run coordinator, runner and proxy in this process",
		Long: "Runs until SIGTERM or SIGINT, then lets open requests end. Sandboxes go on running and are found again at the next start.\n" +
			"Nobody but this user can read the data folder. With --detach the log goes there: sandlot.log, and sandlot.log.1 to .4, of 16 MiB each.\n" +
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
	cmd.Flags().BoolVar(&detach, "detach", false, "run in the background and return when it is ready; the log is sandlot.log in the data folder")
	return cmd
}

// maxForeign bounds, in bytes, a line of the log that a library writes.
const maxForeign = 4 << 10

// up serves until ctx ends.
func up(ctx context.Context, cfg config, stderr io.Writer) (err error) {
	unix.Umask(0o077) // for what is made from here on, by libraries too: the database is nobody else's
	held, err := lock(cfg.Data)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, held.Close()) }()
	made, err := loadKeys(cfg.Data, &cfg)
	if err != nil {
		return err
	}
	if os.Getenv(readyEnv) != "" { // started by --detach: stdout and stderr are the log
		if w := newLogWriter(filepath.Join(cfg.Data, logFile), logSize, logKept, unix.Stderr, unix.Stdout); w != nil {
			stderr = w
		}
	}
	logger := newLogger(cfg, stderr)
	slog.SetDefault(logger)                                 // so that what libraries say has the same form
	log.SetOutput(serve.CutLines(log.Writer(), maxForeign)) // net/http repeats what apps say unasked
	in, err := join(ctx, cfg, made, logger)
	if err != nil {
		return err
	}
	return in.run(ctx, func() error {
		err := writeState(cfg.Data, state{PID: os.Getpid(), APIURL: cfg.APIURL, Dashboard: dashboardURL(cfg), Version: version.String()})
		if err != nil {
			return err
		}
		return tellReady()
	})
}

// readyEnv names the descriptor on which a server in the background says that it is ready.
const readyEnv = "SANDLOT_READY_FD"

func tellReady() error {
	if os.Getenv(readyEnv) == "" { // between the two halves of up --detach alone
		return nil
	}
	f := os.NewFile(3, "ready")
	_, err := f.WriteString("ready")
	return errors.Join(err, f.Close())
}

// background starts this program again, detached, and waits until it is ready or has ended. When ctx ends first, it ends the program.
func background(ctx context.Context, cfg config, stdout io.Writer) error {
	if s, running, err := readState(cfg.Data); err != nil {
		return err
	} else if running && s.Version == "" {
		_, err := fmt.Fprintf(stdout, "sandlot is being started already (process %d)\n", s.PID)
		return err
	} else if running {
		_, err := fmt.Fprintf(stdout, "sandlot runs already (process %d, %s)\n", s.PID, s.Version)
		return err
	}
	if err := privateFolder(cfg.Data); err != nil {
		return err
	}
	logPath := filepath.Join(cfg.Data, logFile)
	log, err := openLog(logPath)
	if err != nil {
		return err
	}
	defer log.Close() // the child has its own
	self, err := os.Executable()
	if err != nil {
		return err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()                                                                                      // only read from
	args := slices.DeleteFunc(slices.Clone(os.Args[1:]), func(a string) bool { return a == "--detach" }) // both spellings that cobra
	args = slices.DeleteFunc(args, func(a string) bool { return a == "--detach=true" })                  // takes
	child := exec.CommandContext(context.WithoutCancel(ctx), self, args...)
	child.Stdout, child.Stderr, child.ExtraFiles, child.Dir = log, log, []*os.File{w}, "/"
	child.Env = append(os.Environ(), readyEnv+"=3")
	child.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	began := time.Now()
	if err := errors.Join(child.Start(), w.Close()); err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { _ = r.SetReadDeadline(time.Unix(1, 0)) })() // a pipe always takes one
	word, err := io.ReadAll(r)
	if ctx.Err() != nil {
		return errors.Join(errors.New("interrupted: sandlot was not started"), endChild(child, cfg.Drain+10*time.Second))
	}
	if err != nil {
		return err
	}
	if string(word) != "ready" {
		_ = child.Wait() // its log says why
		return fmt.Errorf("sandlot did not start; the end of %s:\n%s", logPath, lastLines(logPath, 2000))
	}
	_, err = fmt.Fprintf(stdout, "sandlot is up (process %d, %s, after %v)\npreviews: %s\n",
		child.Process.Pid, version.String(), time.Since(began).Round(time.Millisecond), resolvePreviews(ctx, cfg))
	return errors.Join(err, child.Process.Release())
}

// endChild ends a server that was starting, and waits for it.
func endChild(child *exec.Cmd, grace time.Duration) error {
	err := child.Process.Signal(syscall.SIGTERM)
	kill := time.AfterFunc(grace, func() { _ = child.Process.Kill() }) // it may just have ended
	defer kill.Stop()
	_ = child.Wait() // how it ends is of no interest
	if errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	return err
}

func lastLines(path string, most int64) string {
	f, err := os.Open(path)
	if err != nil {
		return err.Error()
	}
	defer f.Close() // only read from
	if size, err := f.Seek(0, io.SeekEnd); err == nil {
		_, _ = f.Seek(max(0, size-most), io.SeekStart) // at worst the whole log is shown
	}
	raw, _ := io.ReadAll(f)
	return string(raw)
}

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
				return fmt.Errorf("the server of %s, process %d, cannot be seen from here: stop it in its own container or pid namespace", cfg.Data, h.PID)
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), "sandlot is down")
			return err
		},
	}
}

func envCommand(set *settings) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "env",
		Short: "Print what clients need, as shell exports: eval \"$(sandlot env)\"",
		Long: "Prints the address and the key of the server of the data folder, as shell exports: eval \"$(sandlot env)\"\n" +
			"DAYTONA_V0_API_URL is for the pre-release 2.0 of the Python client, which sends its key to the hosted service without it.\n" + localHelp,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			a, err := localAccess(set)
			if err != nil {
				return err
			}
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(map[string]string{
					"DAYTONA_API_URL": a.URL, "DAYTONA_V0_API_URL": a.URL, "DAYTONA_API_KEY": a.Key, "dashboard": a.Dashboard, "data": a.Data,
				})
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "export DAYTONA_API_URL=%s\nexport DAYTONA_V0_API_URL=%s\nexport DAYTONA_API_KEY=%s\n", a.URL, a.URL, a.Key)
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// localHelp says which server the verbs of one machine are about.
const localHelp = "It is about the server of the data folder (--data, SANDLOT_DATA) alone: DAYTONA_API_URL and DAYTONA_API_KEY are not looked at."

// localAccess returns how the server of the data folder is reached: as it says itself while it runs, else as the settings say.
func localAccess(set *settings) (cli.Access, error) {
	cfg, _, err := set.config()
	if err != nil {
		return cli.Access{}, err
	}
	s, running, err := readState(cfg.Data)
	if err != nil {
		return cli.Access{}, err
	}
	a := cli.Access{URL: cfg.APIURL, Key: cfg.APIKey, Dashboard: dashboardURL(cfg), Data: cfg.Data}
	if s.APIURL != "" {
		a.URL, a.Dashboard = s.APIURL, s.Dashboard
	}
	if running || a.Key == "" {
		k, err := recorded(&cfg)
		if err != nil {
			return cli.Access{}, err
		}
		a.Key = k.API
	}
	return a, nil
}

// access returns what the environment says of a server, as the published clients read it, else the server of this machine. A key of this
// machine's server goes to no other.
func access(set *settings, getenv func(string) string) (cli.Access, error) {
	url, key := getenv("DAYTONA_API_URL"), getenv("DAYTONA_API_KEY")
	switch {
	case url != "" && key != "":
		return cli.Access{URL: url, Key: key}, nil
	case url != "":
		return cli.Access{}, errors.New("DAYTONA_API_URL is set and DAYTONA_API_KEY is not: set the key too, or unset both for the server of this machine")
	}
	a, err := localAccess(set)
	if err == nil && key != "" {
		a.Key = key
	}
	return a, err
}

func configCommand(set *settings) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Print every setting, its value and where that is from; secrets are hidden",
		Long:  "Prints every setting, its value and where that is from; secrets are hidden.\n" + localHelp,
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, found, err := set.config()
			if err != nil {
				return err
			}
			return printConfig(cmd.OutOrStdout(), found, asJSON)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func printConfig(w io.Writer, found map[string]source, asJSON bool) error {
	type line struct {
		Name   string `json:"name"`
		Value  string `json:"value"`
		Source string `json:"source"`
		Env    string `json:"env"`
		Usage  string `json:"usage"`
	}
	var lines []line
	for _, st := range table {
		v, ok := found[st.name]
		if !ok {
			v = source{"", "not set"}
		}
		if st.secret && v.text != "" || st.name == "sandbox_env" && v.text != "" {
			v.text = "***" // proxies' addresses carry passwords too
		}
		lines = append(lines, line{st.name, v.text, v.from, envName(st.name), st.usage})
	}
	if asJSON {
		return json.NewEncoder(w).Encode(lines)
	}
	tw := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	_, _ = fmt.Fprintln(tw, "SETTING\tVALUE\tSOURCE") // errors come out at Flush
	for _, l := range lines {
		_, _ = fmt.Fprintf(tw, "%s\t%s\t%s\n", l.Name, l.Value, l.Source)
	}
	return tw.Flush()
}

func newLogger(cfg config, w io.Writer) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(cfg.LogLevel)) // checked with the settings
	opts := &slog.HandlerOptions{Level: level}
	if cfg.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, opts))
	}
	return slog.New(slog.NewTextHandler(w, opts))
}
