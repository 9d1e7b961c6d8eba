package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/sandlot-dev/sandlot/api"
	"github.com/sandlot-dev/sandlot/api/client"
	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/internal/serve"
	"github.com/sandlot-dev/sandlot/internal/shell"
)

func runCommand(connect func() (*client.Client, error)) *cobra.Command {
	var (
		snapshot string
		keep     bool
		asJSON   bool
	)
	cmd := &cobra.Command{
		Use:   "run [flags] -- COMMAND [ARG ...]",
		Short: "Run one command in a fresh sandbox, with this one's streams, and end with its exit code",
		Long: "Runs one command in a fresh sandbox, which is deleted at its end. " +
			"Standard input, output and error output are the command's, byte for byte and\n" +
			"as the bytes come; there is no terminal. Without a use for the input, run it with </dev/null.\n" +
			"SIGINT, SIGTERM and SIGHUP go to the command, which has 5 s to end, or until a second one comes; " +
			"where the output is closed, as by head, the\n" +
			"command is ended and sandlot with it, by SIGPIPE. " +
			"It ends with the command's exit code, and with 128 and the signal's number where that\n" +
			"ended it; 1 is also that it failed.\n" + serverHelp,
		Example: "  sandlot run -- python3 -c 'print(6*7)'\n" +
			"  tar c . | sandlot run -- tar x --to-stdout ./README.md | less\n" +
			"  sandlot run --keep -- sh -c 'uname -a; id'",
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := connect()
			if err != nil {
				return err
			}
			r := run{
				client: c, keep: keep, asJSON: asJSON, command: shell.Quote(args...),
				stdin: cmd.InOrStdin(), stdout: cmd.OutOrStdout(), stderr: cmd.ErrOrStderr(),
			}
			if snapshot != "" {
				r.snapshot = &snapshot
			}
			return r.do(cmd.Context())
		},
	}
	cmd.Flags().StringVar(&snapshot, "snapshot", "", "snapshot to make the sandbox from; default the server's")
	cmd.Flags().BoolVar(&keep, "keep", false, "leave the sandbox running and print its id")
	cmd.Flags().BoolVar(&asJSON, "json", false,
		"print JSON at the end: sandbox id, exit code, output (at most 64 MiB) and times")
	return cmd
}

// run is one use of the verb.
type run struct {
	client         *client.Client
	snapshot       *string
	keep, asJSON   bool
	command        string
	stdin          io.Reader
	stdout, stderr io.Writer
}

// How long things may take after a signal, or without one.
const (
	endWithin    = 5 * time.Second
	deleteWithin = 30 * time.Second
)

// do makes a sandbox, runs the command in it and deletes it. Signals act on the command, not on ctx: what was made is
// always deleted.
func (r *run) do(ctx context.Context) (err error) {
	ctx = context.WithoutCancel(ctx)
	signals := make(chan os.Signal, 8)
	for _, sig := range []os.Signal{unix.SIGINT, unix.SIGTERM, unix.SIGHUP} {
		if !signal.Ignored(sig) { // nohup ignores SIGHUP
			signal.Notify(signals, sig)
		}
	}
	broken := make(chan os.Signal, 1)
	signal.Notify(broken, unix.SIGPIPE) // makes a write to a closed pipe an error
	defer signal.Stop(signals)
	defer signal.Stop(broken)

	began := time.Now()
	zero := api.Int(0)
	req := api.CreateSandbox{Labels: map[string]string{"made-by": "sandlot-run"}, Snapshot: r.snapshot}
	if !r.keep {
		req.AutoDeleteInterval = &zero // if this process is killed, the sandbox stops when idle and is deleted then
	}
	sb, err := r.client.Create(ctx, req) // a signal does not cancel it: the sandbox would have no owner
	if err != nil {
		return err
	}
	made := time.Since(began)
	if r.keep && !r.asJSON {
		_, _ = fmt.Fprintf(r.stderr, "sandbox %s\n", sb.ID) // a failure does not matter
	}
	if !r.keep {
		defer func() {
			left := r.drop(ctx, sb.ID, signals)
			if err == nil {
				err = left
			} else if left != nil { // the exit code is still the command's
				_, _ = fmt.Fprintln(r.stderr, "sandlot:", left)
			}
		}()
	}
	select {
	case sig := <-signals: // it came during the create
		n, _ := sig.(syscall.Signal) // it is always one
		return ExitCode(128 + int(n))
	default:
	}
	streams := client.Streams{Stdin: r.stdin, Stdout: r.stdout, Stderr: r.stderr, OutOfMemory: func(o api.OutOfMemory) {
		_, _ = fmt.Fprintln(r.stderr, "sandlot:", o.Message) // the exit code says it too
	}}
	var collected output
	if r.asJSON {
		streams.Stdout, streams.Stderr = &collected, &collected
	}
	began = time.Now()
	code, err := r.connected(ctx, sb, streams, signals)
	switch {
	case errors.Is(err, client.ErrOutput) && errors.Is(err, syscall.EPIPE):
		return Signal(unix.SIGPIPE)
	case err != nil:
		return err
	}
	if r.asJSON {
		err = json.NewEncoder(r.stdout).Encode(map[string]any{
			"sandboxId": sb.ID, "exitCode": code, "result": collected.String(),
			"createMs": made.Milliseconds(), "executeMs": time.Since(began).Milliseconds(),
		})
	}
	if err == nil && code != 0 {
		err = ExitCode(code)
	}
	return err
}

// connected runs the command, with signals passed on. It is ended 5 s after the first one, or by a second.
func (r *run) connected(
	ctx context.Context, sb api.Sandbox, streams client.Streams, signals <-chan os.Signal,
) (int, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	names := make(chan string, 1)
	streams.Signals = names
	var passing sync.WaitGroup
	passing.Go(func() {
		var late <-chan time.Time
		first := syscall.Signal(0)
		for {
			select {
			case s := <-signals:
				sig, _ := s.(syscall.Signal) // it is always one
				if first != 0 {
					cancel(ExitCode(128 + int(sig)))
					return
				}
				first, late = sig, time.After(endWithin)
				names <- unix.SignalName(sig)
			case <-late:
				cancel(ExitCode(128 + int(first)))
				return
			case <-ctx.Done():
				return
			}
		}
	})
	code, err := r.client.Toolbox(sb).Connect(ctx, api.ConnectRequest{Command: r.command}, streams)
	cancel(nil)
	passing.Wait()
	return code, err
}

// drop deletes the sandbox. A signal ends the wait for that.
func (r *run) drop(ctx context.Context, id string, signals <-chan os.Signal) error {
	ctx, cancel := context.WithTimeout(ctx, deleteWithin)
	defer cancel()
	var waiting sync.WaitGroup
	defer waiting.Wait()
	defer cancel()
	waiting.Go(func() {
		select {
		case <-signals:
			cancel()
		case <-ctx.Done():
		}
	})
	_, err := r.client.Delete(ctx, id)
	if fault.KindOf(serve.Received(err)) == fault.NotFound { // somebody else has deleted it
		return nil
	}
	if err != nil {
		return fmt.Errorf("sandbox %s is left: %w; delete it with: sandlot delete %s", id, err, id)
	}
	return nil
}

// output collects both outputs as they come.
type output struct {
	mu  sync.Mutex
	all bytes.Buffer
}

// Write implements io.Writer. Error: more than 64 MiB.
func (o *output) Write(p []byte) (int, error) {
	const most = 64 << 20
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.all.Len()+len(p) > most {
		return 0, errors.New("more than 64 MiB; leave out --json, and it is passed on as it comes")
	}
	return o.all.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.all.String()
}
