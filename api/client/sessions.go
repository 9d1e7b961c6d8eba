package client

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/gorilla/websocket"

	"github.com/sandlot-dev/sandlot/api"
)

// CreateSession starts a shell session of that id.
func (t *Toolbox) CreateSession(ctx context.Context, id string) error {
	return t.call(ctx, http.MethodPost, "/process/session", api.CreateSessionRequest{SessionID: id}, nil)
}

// ListSessions lists the shell sessions.
func (t *Toolbox) ListSessions(ctx context.Context) (list []api.Session, err error) {
	return list, t.call(ctx, http.MethodGet, "/process/session", nil, &list)
}

// Session describes a session and its commands.
func (t *Toolbox) Session(ctx context.Context, id string) (s api.Session, err error) {
	return s, t.call(ctx, http.MethodGet, sessionPath(id), nil, &s)
}

// DeleteSession ends a session and its processes.
func (t *Toolbox) DeleteSession(ctx context.Context, id string) error {
	return t.call(ctx, http.MethodDelete, sessionPath(id), nil, nil)
}

// SessionExecute runs a command in a session. It waits for the command's end unless req.RunAsync is set.
func (t *Toolbox) SessionExecute(
	ctx context.Context, id string, req api.SessionExecuteRequest,
) (res api.SessionExecuteResponse, err error) {
	return res, t.call(ctx, http.MethodPost, sessionPath(id)+"/exec", req, &res)
}

// SessionCommand describes a command of a session.
func (t *Toolbox) SessionCommand(ctx context.Context, id, command string) (c api.SessionCommand, err error) {
	return c, t.call(ctx, http.MethodGet, commandPath(id, command), nil, &c)
}

// SessionInput gives a line of input to a running command.
func (t *Toolbox) SessionInput(ctx context.Context, id, command, line string) error {
	return t.call(ctx, http.MethodPost, commandPath(id, command)+"/input", api.SessionSendInputRequest{Data: line}, nil)
}

// SessionLogs returns the output of a command up to now. Bytes that are not UTF-8 come as U+FFFD.
func (t *Toolbox) SessionLogs(ctx context.Context, id, command string) (l api.SessionCommandLogsResponse, err error) {
	return l, t.call(ctx, http.MethodGet, commandPath(id, command)+"/logs", nil, &l)
}

// FollowSessionLogs writes the output of a command, byte for byte, from its beginning to the command's end. An error of
// a writer ends it with ErrOutput.
func (t *Toolbox) FollowSessionLogs(ctx context.Context, id, command string, stdout, stderr io.Writer) error {
	ws, err := t.dial(ctx, commandPath(id, command)+"/logs?follow=true")
	if err != nil {
		return err
	}
	defer ws.Close() // nothing is sent
	defer context.AfterFunc(ctx, func() { _ = ws.Close() })()
	for {
		_, data, err := ws.ReadMessage()
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case websocket.IsCloseError(err, websocket.CloseNormalClosure):
			return nil
		case err != nil:
			return fmt.Errorf("the log broke off: %w", err)
		}
		for i, to := range []io.Writer{stdout, stderr} {
			output, ok := bytes.CutPrefix(data, []byte(markers[i]))
			if !ok {
				continue
			}
			if _, err := to.Write(output); err != nil {
				return fmt.Errorf("%w: %w", ErrOutput, err)
			}
		}
	}
}

func sessionPath(id string) string { return "/process/session/" + url.PathEscape(id) }

func commandPath(id, command string) string {
	return sessionPath(id) + "/command/" + url.PathEscape(command)
}
