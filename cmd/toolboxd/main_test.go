package main

import (
	"errors"
	"log/slog"
	"net"
	"strconv"
	"syscall"
	"testing"

	"github.com/sandlot-dev/sandlot/api"
)

// TestPortsAreTakenBeforeAnyProgramRuns opens a toolbox, and tries to take its ports before its program is started: whoever had one would be sent the sandbox's
// secret.
func TestPortsAreTakenBeforeAnyProgramRuns(t *testing.T) {
	const host = "127.22.122.9" // nobody else's
	s := &sandbox{ctx: t.Context(), logger: slog.New(slog.DiscardHandler)}
	server, begin, err := s.open(config{Listen: net.JoinHostPort(host, "0"), Home: "/", WorkDir: "/"})
	if err != nil || server == nil || begin == nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.close() }) // nothing was started
	var lc net.ListenConfig
	ln, err := lc.Listen(t.Context(), "tcp", net.JoinHostPort(host, strconv.Itoa(api.TerminalPort)))
	if err == nil {
		_ = ln.Close()
	}
	if !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("port %s can still be taken: %v", strconv.Itoa(api.TerminalPort), err)
	}
}
