// Command toolboxd is the daemon inside a sandbox: process 1 of the container, and the toolbox API on port 2280.
//
//	toolboxd [--listen :2280] [--version] [--] [program arguments...]
//	toolboxd [--listen :2280] entrypoint logs
//
// The second form prints the output of the program that the first was given, and follows it to its end; with a secret
// set, it is to be in SANDLOT_SECRET.
//
// With a program, it is started once the API listens, and its output is that of the session "entrypoint". toolboxd
// needs nothing of the image: no shell, no libc, no home, no writable disk. With SANDLOT_CLAIM_SHA256 it waits for
// its sandbox: POST /init with the secret of that hash brings identity, environment and program, once. It ends on
// SIGTERM and SIGINT, after ending all processes of the sandbox, passes SIGHUP, SIGUSR1, SIGUSR2 and SIGWINCH to the
// program, and ignores all other signals that are sent to it.
//
// Exit codes: 0 after a signal, 1 when it could not serve any longer, 2 when it could not start: bad arguments or
// settings, or an address that is taken.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sandlot-dev/sandlot/api"
	"github.com/sandlot-dev/sandlot/internal/logkey"
	"github.com/sandlot-dev/sandlot/internal/measure"
	"github.com/sandlot-dev/sandlot/internal/serve"
	"github.com/sandlot-dev/sandlot/internal/version"
	"github.com/sandlot-dev/sandlot/process"
	"github.com/sandlot-dev/sandlot/session"
	"github.com/sandlot-dev/sandlot/toolbox"
)

// stopGrace is the time that processes have between SIGTERM and SIGKILL when the sandbox stops. With the second that
// SIGKILL may take and the drain of requests at the same time, toolboxd ends within 8 s.
const stopGrace = 5 * time.Second

func main() { os.Exit(run(os.Args[1:], os.Environ(), os.Stdout, os.Stderr)) }

func run(args, env []string, stdout, stderr io.Writer) int {
	cfg, err := parse(args, env, stderr)
	switch {
	case errors.Is(err, errHelp):
		return 0
	case err != nil:
		_, _ = fmt.Fprintln(stderr, "toolboxd:", err)
		return 2
	case cfg.Version:
		_, _ = fmt.Fprintln(stdout, "toolboxd", version.String())
		return 0
	}
	if cfg.Logs {
		if err := entrypointLogs(context.Background(), cfg.Listen, cfg.Secret, stdout, stderr); err != nil {
			_, _ = fmt.Fprintln(stderr, "toolboxd:", err)
			return 1
		}
		return 0
	}
	logger := slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: cfg.LogLevel}))
	if cfg.Sandbox != "" {
		logger = logger.With(logkey.Sandbox, cfg.Sandbox)
	}
	exit, err := serveSandbox(cfg, logger, stderr)
	if err != nil {
		logger.Error("toolboxd ended", logkey.Err, err)
	}
	return exit
}

// serveSandbox serves until a signal ends it, and returns the exit code, which is 0 without an error.
func serveSandbox(cfg config, logger *slog.Logger, stderr io.Writer) (exit int, err error) {
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGTERM, unix.SIGINT)
	defer stop()
	passed := make(chan os.Signal, 16)
	signal.Notify(passed, unix.SIGHUP, unix.SIGUSR1, unix.SIGUSR2, unix.SIGWINCH)
	defer signal.Stop(passed)
	process.IgnoreFaults()
	return serveUntil(ctx, cfg, passed, logger, stderr)
}

// serveUntil serves until ctx ends. All its goroutines have ended when it returns.
func serveUntil(
	ctx context.Context, cfg config, passed <-chan os.Signal, logger *slog.Logger, stderr io.Writer,
) (exit int, err error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	ln, err := serve.Listen(ctx, cfg.Listen, cfg.Silence)
	if err != nil {
		return 2, fmt.Errorf("listen: %w", err)
	}
	s := &sandbox{ctx: ctx, logger: logger, name: cfg.Sandbox, shield: process.Protect()}
	s.work.Go(func() { reserveThreads(24) })
	var handler http.Handler
	if cfg.ClaimHash == "" {
		if err = s.open(cfg); err == nil {
			handler = s.server.Handler()
		}
	} else {
		open := func(claim toolbox.Claim) (*toolbox.Server, error) { return s.claim(cfg, claim, stderr) }
		handler, err = toolbox.NewGate(cfg.ClaimHash, version.Version, logger, open)
	}
	if err != nil {
		return 2, errors.Join(err, ln.Close())
	}
	logger.Info("toolbox is ready", logkey.Addr, ln.Addr().String())
	ended := make(chan error, 1)
	go func() { ended <- serve.Until(ctx, watchedListener{ln, s.observe}, handler, stopGrace) }()
	if cfg.ClaimHash == "" {
		s.begin()
	}
	for {
		select {
		case sig := <-passed:
			s.signal(sig)
			continue
		case <-ctx.Done():
			err = errors.Join(s.endProcesses(), <-ended)
		case err = <-ended:
			stop()
			err = errors.Join(err, s.endProcesses())
		}
		s.close()
		if err != nil {
			return 1, err
		}
		return 0, nil
	}
}

// sandbox is what runs for one sandbox: nothing until open, and open succeeds once.
type sandbox struct {
	ctx    context.Context //nolint:containedctx // of the daemon
	logger *slog.Logger
	name   string // id of the sandbox, which logger writes; "" before it is known
	shield process.Shield
	work   sync.WaitGroup // goroutines beside the API

	mu        sync.Mutex // guards all below; open sets what is above entry
	cfg       config
	processes *process.Manager
	sessions  *session.Manager
	server    *toolbox.Server
	terminal  net.Listener     // of the web terminal; nil when it is not served
	entry     *process.Process // the program that was given; nil when there is none
}

// claim makes the waiting toolbox that of a sandbox.
func (s *sandbox) claim(waiting config, claim toolbox.Claim, stderr io.Writer) (*toolbox.Server, error) {
	cfg, err := waiting.claimed(claim, stderr)
	if err == nil {
		err = s.open(cfg)
	}
	if err != nil {
		return nil, err
	}
	s.logger.Info("toolbox is claimed")
	s.begin()
	return s.server, nil
}

// open makes the toolbox and listens on its ports. It comes before anything of the sandbox runs: a program that took
// such a port would be sent the sandbox's secret.
func (s *sandbox) open(cfg config) (err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx.Err() != nil {
		return process.ErrClosed
	}
	if cfg.Sandbox != s.name {
		s.logger = s.logger.With(logkey.Sandbox, cfg.Sandbox)
	}
	logger := s.logger
	processes, err := process.NewManager(process.Config{
		Dir: cfg.WorkDir, Env: cfg.Env, Reap: true, Shield: s.shield, Memory: measure.NewMemory(""), Limits: cfg.Output,
		Warn: func(text string) { logger.Error(text) },
	})
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = processes.Close(0) // it has started nothing
		}
	}()
	if err = processes.ChangeEnv(cfg.Claimed, nil, ""); err != nil {
		return err
	}
	sessions, err := session.NewManager(session.Config{Processes: processes, Grace: cfg.Grace})
	if err != nil {
		return err
	}
	server, err := toolbox.New(toolbox.Config{
		WorkDir: cfg.WorkDir, Home: cfg.Home, Version: version.Version, SecretHash: cfg.SecretHash, Logger: logger,
		Process: processes, Sessions: sessions,
	})
	if err != nil {
		return err
	}
	terminal, err := listenTerminal(s.ctx, cfg)
	if err != nil { // as in a network that is shared with the machine; the sandbox is of use without a web terminal
		logger.Warn("the web terminal is not served", logkey.Err, err)
	}
	s.cfg, s.processes, s.sessions, s.server, s.terminal = cfg, processes, sessions, server, terminal
	return nil
}

// begin starts what runs beside the API: the web terminal, the program that was given, the export of telemetry.
func (s *sandbox) begin() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx.Err() != nil {
		return // close may be waiting already
	}
	if s.terminal != nil {
		s.work.Go(func() { serveTerminal(s.ctx, s.terminal, s.server.TerminalHandler(), s.logger) })
	}
	if len(s.cfg.Entrypoint) > 0 {
		var err error
		if s.entry, err = s.sessions.StartEntrypoint(s.cfg.Entrypoint); err != nil { // the sandbox is of use without it
			s.logger.Error("the entrypoint was not started", logkey.Err, err)
		}
	}
	if s.cfg.Telemetry.Endpoint != "" {
		s.work.Go(func() { s.server.Export(s.ctx, s.cfg.Telemetry) })
	}
}

// signal passes a signal to the program that was given.
func (s *sandbox) signal(sig os.Signal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if number, ok := sig.(syscall.Signal); ok && s.entry != nil {
		s.entry.Signal(number, false)
	}
}

// observe looks at what the sandbox does to this program.
func (s *sandbox) observe() {
	s.mu.Lock()
	processes := s.processes
	s.mu.Unlock()
	if processes != nil {
		processes.Observe()
	}
}

// watchedListener calls observe when a connection cannot be accepted: the limit of open files may have been lowered
// from inside.
type watchedListener struct {
	net.Listener
	observe func()
}

func (l watchedListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		l.observe()
	}
	return c, err
}

// endProcesses ends all processes of the sandbox.
func (s *sandbox) endProcesses() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.processes == nil {
		return nil
	}
	return s.processes.Close(stopGrace)
}

// close waits for what begin started and for all requests. Before it, ctx ends, the processes end and the API is
// served no more.
func (s *sandbox) close() {
	s.mu.Lock()
	server, terminal := s.server, s.terminal
	s.mu.Unlock()
	s.work.Wait()
	if terminal != nil {
		_ = terminal.Close() // it is closed already if begin ran
	}
	if server != nil {
		server.Close()
	}
}

// listenTerminal listens for the web terminal, on the address of the toolbox. The sandbox is of use without it.
func listenTerminal(ctx context.Context, cfg config) (net.Listener, error) {
	host, _, err := net.SplitHostPort(cfg.Listen)
	if err != nil {
		return nil, err
	}
	return serve.Listen(ctx, net.JoinHostPort(host, strconv.Itoa(api.TerminalPort)), cfg.Silence)
}

func serveTerminal(ctx context.Context, ln net.Listener, handler http.Handler, logger *slog.Logger) {
	if err := serve.Until(ctx, ln, handler, 0); err != nil {
		logger.Warn("the web terminal is not served any more", logkey.Err, err)
	}
}

// reserveThreads makes threads while there is room for them, and returns when their goroutines have ended. The
// runtime ends the program when it needs a thread and the sandbox's limit of processes is reached, which hostile code
// can arrange. The threads stay, since their goroutines are unlocked at the end; an idle thread costs little but its
// place.
func reserveThreads(n int) {
	var started, ended sync.WaitGroup
	started.Add(n)
	for range n {
		ended.Go(func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			started.Done()
			started.Wait() // until each goroutine has a thread of its own
		})
	}
	ended.Wait()
}
