// Command toolboxd is the daemon inside a sandbox: process 1 of the container, and the toolbox API on port 2280.
//
//	toolboxd [--listen :2280] [--version] [--] [program arguments...]
//	toolboxd [--listen :2280] entrypoint logs
//
// The second form prints the output of the program that the first was given, and follows it to its end; with a secret set, it is to be in
// SANDLOT_SECRET.
//
// With a program, it is started once the API listens, and its output is that of the session "entrypoint". toolboxd needs nothing of the
// image: no shell, no libc, no home, no writable disk. With SANDLOT_CLAIM_SHA256 it waits for its sandbox: POST /init with the secret of that hash
// brings identity, environment and program, once. It ends on SIGTERM and SIGINT, after ending all processes of the sandbox,
// passes SIGHUP, SIGUSR1, SIGUSR2 and SIGWINCH to the program, and ignores all other signals that are sent to it.
//
// Exit codes: 0 after a signal, 1 when it could not serve any longer, 2 when it could not start: bad arguments or settings, or an address that is taken.
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

// stopGrace is the time that processes have between SIGTERM and SIGKILL when the sandbox stops. With the second that SIGKILL may take and
// the drain of requests at the same time, toolboxd ends within 8 s.
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
	ln, err := serve.Listen(ctx, cfg.Listen, cfg.Silence)
	if err != nil {
		return 2, fmt.Errorf("listen: %w", err)
	}
	s := &sandbox{ctx: ctx, logger: logger, name: cfg.Sandbox, shield: process.Protect()}
	go reserveThreads(24)
	var handler http.Handler
	var begin func()
	if cfg.ClaimHash == "" {
		var server *toolbox.Server
		if server, begin, err = s.open(cfg); err == nil {
			handler = server.Handler()
		}
	} else {
		handler, err = toolbox.NewGate(cfg.ClaimHash, version.Version, logger, func(claim toolbox.Claim) (*toolbox.Server, error) {
			mine, err := cfg.claimed(claim, stderr)
			if err != nil {
				return nil, err
			}
			server, begin, err := s.open(mine)
			if err == nil {
				logger.Info("toolbox is claimed", logkey.Sandbox, mine.Sandbox)
				begin()
			}
			return server, err
		})
	}
	if err != nil {
		return 2, err
	}
	ended := make(chan error, 1)
	go func() { ended <- serve.Until(ctx, watchedListener{ln, s.observe}, handler, stopGrace) }()
	logger.Info("toolbox is ready", logkey.Addr, ln.Addr().String())
	if begin != nil {
		begin()
	}
	for {
		select {
		case sig := <-passed:
			s.signal(sig)
		case <-ctx.Done():
			return exitCode(errors.Join(s.close(), <-ended))
		case err := <-ended:
			return exitCode(errors.Join(err, s.close()))
		}
	}
}

func exitCode(err error) (int, error) {
	if err != nil {
		return 1, err
	}
	return 0, nil
}

// sandbox is what runs for one sandbox: nothing until open, and open succeeds once.
type sandbox struct {
	ctx    context.Context //nolint:containedctx // of the daemon
	logger *slog.Logger
	name   string // id of the sandbox, that logger tells; "" before it is known
	shield process.Shield

	mu        sync.Mutex
	processes *process.Manager
	entry     *process.Process // nil when there is none
}

// open makes the toolbox and takes the ports that it serves, before anything of the sandbox runs that could take one: whoever listens on such a port is
// sent the sandbox's secret. begin starts what goes on beside it: the web terminal, the program that was given, measurements.
func (s *sandbox) open(cfg config) (server *toolbox.Server, begin func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx.Err() != nil {
		return nil, nil, process.ErrClosed
	}
	logger := s.logger
	if cfg.Sandbox != s.name {
		logger = logger.With(logkey.Sandbox, cfg.Sandbox)
	}
	processes, err := process.NewManager(process.Config{Dir: cfg.WorkDir, Env: cfg.Env, Reap: true, Shield: s.shield, Memory: measure.NewMemory(""), Limits: cfg.Output, Warn: func(text string) { logger.Error(text) }})
	if err != nil {
		return nil, nil, err
	}
	defer func() {
		if err != nil {
			_ = processes.Close(0) // it has started nothing
		}
	}()
	if err = processes.ChangeEnv(cfg.Claimed, nil, ""); err != nil {
		return nil, nil, err
	}
	sessions, err := session.NewManager(session.Config{Processes: processes, Grace: cfg.Grace})
	if err != nil {
		return nil, nil, err
	}
	server, err = toolbox.New(toolbox.Config{
		WorkDir: cfg.WorkDir, Home: cfg.Home, Version: version.Version, SecretHash: cfg.SecretHash, Logger: logger,
		Process: processes, Sessions: sessions,
	})
	if err != nil {
		return nil, nil, err
	}
	terminal, err := listenTerminal(s.ctx, cfg)
	if err != nil { // where the network is shared with others, as with the machine
		logger.Warn("the web terminal is not served", logkey.Err, err)
	}
	s.processes = processes
	return server, func() {
		if terminal != nil {
			go serveTerminal(s.ctx, terminal, server.TerminalHandler(), logger) // ends with the daemon
		}
		s.startEntrypoint(sessions, cfg.Entrypoint, logger)
		if cfg.Telemetry.Endpoint != "" {
			go server.Export(s.ctx, cfg.Telemetry) // ends with the daemon
		}
	}, nil
}

// startEntrypoint starts the program that was given, if there is one. The sandbox is of use without it.
func (s *sandbox) startEntrypoint(sessions *session.Manager, argv []string, logger *slog.Logger) {
	if len(argv) == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var err error
	if s.entry, err = sessions.StartEntrypoint(argv); err != nil {
		logger.Error("the entrypoint was not started", logkey.Err, err)
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

// watchedListener calls observe when a connection cannot be accepted: the limit of open files may have been lowered from inside.
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

// close ends all processes.
func (s *sandbox) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.processes == nil {
		return nil
	}
	return s.processes.Close(stopGrace)
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

// reserveThreads makes threads while there is room for them: the runtime ends the program when it wants one and the sandbox's limit of
// processes is reached, which hostile code can arrange. Threads of unlocked goroutines are kept and used again; an idle one costs
// little but its place.
func reserveThreads(n int) {
	var all sync.WaitGroup
	all.Add(n)
	for range n {
		go func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			all.Done()
			all.Wait() // until each has a thread of its own
		}()
	}
}
