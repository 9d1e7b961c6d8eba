package client_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"

	"github.com/sandlot-dev/sandlot/api"
	"github.com/sandlot-dev/sandlot/api/client"
	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/internal/serve"
)

func TestSessions(t *testing.T) {
	box, _ := newToolbox(t)
	ctx := t.Context()
	if err := box.CreateSession(ctx, "a session"); err != nil {
		t.Fatal(err)
	}
	res, err := box.SessionExecute(ctx, "a session",
		api.SessionExecuteRequest{Command: "printf out; printf err >&2; (exit 4)"})
	if err != nil || res.ExitCode == nil || *res.ExitCode != 4 || res.Stdout == nil || *res.Stdout != "out" ||
		*res.Stderr != "err" {
		t.Fatalf("execute: %+v, %v", res, err)
	}
	logs, err := box.SessionLogs(ctx, "a session", res.CmdID)
	if err != nil || logs.Stdout != "out" || logs.Stderr != "err" {
		t.Errorf("logs: %+v, %v", logs, err)
	}
	res, err = box.SessionExecute(ctx, "a session", api.SessionExecuteRequest{
		Command:  `read line; echo "got $line"; echo "$line" | tr a-z A-Z >&2; printf '\xff\x01'`,
		RunAsync: true, SuppressInputEcho: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	if c, err := box.SessionCommand(ctx, "a session", res.CmdID); err != nil || c.ExitCode != nil {
		t.Errorf("a command that waits for input: %+v, %v", c, err)
	}
	if err := box.SessionInput(ctx, "a session", res.CmdID, "word"); err != nil {
		t.Error(err)
	}
	var stdout, stderr bytes.Buffer
	err = box.FollowSessionLogs(ctx, "a session", res.CmdID, &stdout, &stderr)
	if err != nil || stdout.String() != "got word\n\xff\x01" || stderr.String() != "WORD\n" {
		t.Errorf("follow: %q, %q, %v", &stdout, &stderr, err)
	}
	all, err := box.ListSessions(ctx)
	if err != nil || len(all) != 1 || len(all[0].Commands) != 2 {
		t.Errorf("list: %+v, %v", all, err)
	}
	if s, err := box.Session(ctx, "a session"); err != nil || s.SessionID != "a session" {
		t.Errorf("get: %+v, %v", s, err)
	}
	if err := box.DeleteSession(ctx, "a session"); err != nil {
		t.Error(err)
	}
	if _, err := box.Session(ctx, "a session"); fault.KindOf(serve.Received(err)) != fault.NotFound {
		t.Errorf("a session that is gone: %v", err)
	}
	err = box.FollowSessionLogs(ctx, "a session", res.CmdID, io.Discard, io.Discard)
	if fault.KindOf(serve.Received(err)) != fault.NotFound {
		t.Errorf("the log of a session that is gone: %v", err)
	}
}

func TestFollowingEndsWithItsCaller(t *testing.T) {
	box, _ := newToolbox(t)
	if err := box.CreateSession(t.Context(), "s"); err != nil {
		t.Fatal(err)
	}
	res, err := box.SessionExecute(t.Context(), "s", api.SessionExecuteRequest{Command: "echo first; cat", RunAsync: true})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	enough, refused := errors.New("enough"), errors.New("refused")
	err = box.FollowSessionLogs(ctx, "s", res.CmdID, writer(func(p []byte) (int, error) {
		cancel(enough)
		return len(p), nil
	}), io.Discard)
	if !errors.Is(err, enough) {
		t.Errorf("its context ended, and it says %v", err)
	}
	err = box.FollowSessionLogs(t.Context(), "s", res.CmdID, writer(func([]byte) (int, error) { return 0, refused }),
		io.Discard)
	if !errors.Is(err, client.ErrOutput) || !errors.Is(err, refused) {
		t.Errorf("its output was refused, and it says %v", err)
	}
}

// writer makes an io.Writer of a function.
type writer func([]byte) (int, error)

func (w writer) Write(p []byte) (int, error) { return w(p) }
