package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/sandlot-dev/sandlot/api"
	"github.com/sandlot-dev/sandlot/toolbox"
)

// TestPortsAreTakenBeforeAnyProgramRuns opens a toolbox, and tries to take its ports before its program is started:
// whoever had one would be sent the sandbox's secret.
func TestPortsAreTakenBeforeAnyProgramRuns(t *testing.T) {
	const host = "127.22.122.9" // nobody else's
	ctx, stop := context.WithCancel(t.Context())
	s := &sandbox{ctx: ctx, logger: slog.New(slog.DiscardHandler)}
	if err := s.open(config{Listen: net.JoinHostPort(host, "0"), Home: "/", WorkDir: "/"}); err != nil {
		t.Fatal(err)
	}
	defer func() {
		stop()
		_ = s.endProcesses() // nothing was started
		s.close()
	}()
	var lc net.ListenConfig
	ln, err := lc.Listen(t.Context(), "tcp", net.JoinHostPort(host, strconv.Itoa(api.TerminalPort)))
	if err == nil {
		_ = ln.Close()
	}
	if !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("port %d can still be taken: %v", api.TerminalPort, err)
	}
}

// TestNothingIsLeftAfterTheEnd ends toolboxd while clients of every kind are connected.
func TestNothingIsLeftAfterTheEnd(t *testing.T) {
	const host = "127.22.122.10" // nobody else's
	exported := make(chan struct{}, 1)
	collector := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		select {
		case exported <- struct{}{}:
		default:
		}
	}))
	defer collector.Close()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	t.Setenv("HOME", t.TempDir()) // what shells of this machine do at their start is not this test's affair
	type result struct {
		exit int
		err  error
	}
	ended := make(chan result, 1)
	go func() {
		exit, err := serveUntil(ctx, config{
			Listen: net.JoinHostPort(host, strconv.Itoa(api.ToolboxPort)), Home: "/", WorkDir: t.TempDir(), Env: os.Environ(),
			Telemetry:  toolbox.Telemetry{Endpoint: collector.URL, Every: time.Millisecond},
			Entrypoint: []string{"/bin/sh", "-c", "echo on; exec cat"},
		}, nil, slog.New(slog.DiscardHandler), io.Discard)
		ended <- result{exit, err}
	}()
	base := net.JoinHostPort(host, strconv.Itoa(api.ToolboxPort))
	request(t, "GET", "http://"+base+"/version", "", http.StatusOK)
	request(t, "POST", "http://"+base+"/process/session", `{"sessionId":"a"}`, http.StatusCreated)
	request(t, "POST", "http://"+base+"/process/session/a/exec", `{"command":"sleep 1000","runAsync":true}`,
		http.StatusAccepted)
	terminal := net.JoinHostPort(host, strconv.Itoa(api.TerminalPort))
	for _, url := range []string{
		base + "/files/watch?path=.", base + "/process/session/entrypoint/logs?follow=true", base +
			"/process/pty/create-connect?id=p",
		terminal + "/ws",
	} {
		ws, res, err := websocket.DefaultDialer.DialContext(t.Context(), "ws://"+url, nil)
		if err != nil {
			t.Fatalf("%s: %v", url, err)
		}
		_ = res.Body.Close()
		defer ws.Close()
		if _, _, err := ws.ReadMessage(); err != nil {
			t.Errorf("%s: %v", url, err)
		}
	}
	var running sync.WaitGroup
	defer running.Wait()
	running.Go(func() {
		res, err := http.Post("http://"+base+"/process/execute", "", strings.NewReader(`{"command":"sleep 1000"}`))
		if err == nil {
			_ = res.Body.Close()
		}
	})
	<-exported
	stop()
	if r := <-ended; r.exit != 0 || r.err != nil {
		t.Errorf("exit code %d, %v", r.exit, r.err)
	}
	stacks := make([]byte, 4<<20)
	for stack := range strings.SplitSeq(string(stacks[:runtime.Stack(stacks, true)]), "\n\n") {
		if strings.Contains(stack, "sandlot-dev/sandlot/") && !strings.Contains(stack, "testing.tRunner") &&
			!strings.Contains(stack, "TestNothingIsLeft") {
			t.Errorf("left after the end:\n%s", stack)
		}
	}
}

// request sends a request until there is an answer, and holds that to its status.
func request(t *testing.T, method, url, body string, want int) {
	t.Helper()
	for {
		req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.DefaultClient.Do(req)
		if errors.Is(err, syscall.ECONNREFUSED) {
			runtime.Gosched() // toolboxd does not listen yet
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != want {
			t.Fatalf("%s %s: %s", method, url, res.Status)
		}
		return
	}
}
