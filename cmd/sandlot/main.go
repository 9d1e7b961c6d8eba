// Command sandlot is all of Sandlot outside a sandbox: the servers, and the command line.
//
//	sandlot up        run coordinator, runner and proxy in this process
//	sandlot env       print what clients need, as shell exports
//	sandlot doctor    check engine, ports, disk and the rest, and say what to mend
//	sandlot adopt     write the records of sandboxes that the database lost
//	sandlot run       run one command in a fresh sandbox
//
// Exit codes: 0 done; 1 it failed, or the check found something broken; 2 bad arguments or settings. `sandlot run`
// ends with the command's own code.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/sandlot-dev/sandlot/cli"
	"github.com/sandlot-dev/sandlot/internal/version"
)

func main() { os.Exit(run(os.Args[1:], os.Getenv, os.Stdout, os.Stderr)) }

func run(args []string, getenv func(string) string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	began := false // a verb was found and its arguments are right
	root := command(getenv)
	root.PersistentPreRun = func(*cobra.Command, []string) { began = true }
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	var code cli.ExitCode
	var died cli.Signal
	switch {
	case err == nil:
		return 0
	case errors.As(err, &code):
		return int(code)
	case errors.As(err, &died):
		die(syscall.Signal(died))
		return 128 + int(died)
	}
	_, _ = fmt.Fprintln(stderr, "sandlot:", err)
	var wrong usageError
	if !began || errors.As(err, &wrong) {
		return 2
	}
	return 1
}

// die ends this process by SIGPIPE as any program ends that writes to a closed pipe, so that a shell sees the same.
func die(sig syscall.Signal) {
	if sig != syscall.SIGPIPE {
		return
	}
	signal.Reset(sig)
	r, w, err := os.Pipe()
	if err != nil {
		return
	}
	_ = r.Close()
	if unix.Dup3(int(w.Fd()), 1, 0) == nil {
		_, _ = os.Stdout.Write([]byte{0}) // raises SIGPIPE: nobody reads this pipe
	}
}

// usageError marks bad settings.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func command(getenv func(string) string) *cobra.Command {
	root := &cobra.Command{
		Use:   "sandlot",
		Short: "Sandboxes for AI agents, on your own machine",
		Long: "Sandlot makes full Linux computers in containers that a program creates, drives and throws away.\n" +
			"Exit codes: 0 done; 1 failed; 2 bad arguments or settings.",
		Version:       version.String(),
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	set := newSettings(getenv)
	for _, verb := range []*cobra.Command{
		upCommand(set), downCommand(set), envCommand(set), configCommand(set), doctorCommand(set), adoptCommand(set),
	} {
		set.flags(verb.Flags())
		root.AddCommand(verb)
	}
	for _, verb := range cli.Commands(func() (cli.Access, error) { return access(set, getenv) }) {
		set.flags(verb.Flags(), clientSettings...)
		root.AddCommand(verb)
	}
	return root
}
