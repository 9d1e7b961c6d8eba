//go:build e2e

package e2e_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/gorilla/websocket"

	"github.com/sandlot-dev/sandlot/api"
	"github.com/sandlot-dev/sandlot/tests/harness"
)

const clients = 8

// crowd calls work for each number below n, from a few clients at a time.
func crowd(n int, work func(client, i int)) {
	var group sync.WaitGroup
	for client := range clients {
		group.Go(func() {
			for i := client; i < n; i += clients {
				work(client, i)
			}
		})
	}
	group.Wait()
}

// TestLastLineAndCodeAreExact runs the daemon under the race detector: a command prints and ends with 7 at once, and
// both the line and the code have to arrive each time.
func TestLastLineAndCodeAreExact(t *testing.T) {
	base, _, _ := harness.RaceToolboxd(t)
	n := harness.Size(600, 10_000)
	at := func(t *testing.T) *daemon { return &daemon{t: t, base: base} }

	t.Run("execute", func(t *testing.T) {
		d := at(t)
		crowd(n, func(_, i int) {
			if code, out := d.exec(fmt.Sprintf("echo first; echo error >&2; printf 'last %d'; exit 7", i)); code != 7 ||
				out != fmt.Sprintf("first\nerror\nlast %d", i) {
				t.Errorf("%d: %d, %q", i, code, out)
			}
		})
	})

	t.Run("session", func(t *testing.T) {
		d := at(t).with("X-Daytona-SDK-Version", "0.226.1")
		for client := range clients {
			d.session(fmt.Sprint("s", client))
		}
		crowd(n, func(client, i int) {
			id, command := fmt.Sprint("s", client), fmt.Sprintf("echo first; echo error >&2; printf 'last %d'; (exit 7)", i)
			want := fmt.Sprintf("first\nlast %d", i)
			if i/clients%4 == 3 { // followed from its start, and read when it has ended
				if out, code := d.follow(d.start(id, command)); out["\x01\x01\x01"] != want ||
					out["\x02\x02\x02"] != "error\n" || code != 7 {
					t.Errorf("%d, followed: %d, %q", i, code, out)
				}
				return
			}
			var res api.SessionExecuteResponse
			if status := d.call("POST", "/process/session/"+id+"/exec", api.SessionExecuteRequest{Command: command},
				&res); status != 200 {
				t.Errorf("%d: status %d", i, status)
			} else if *res.ExitCode != 7 || *res.Stdout != want || *res.Stderr != "error\n" {
				t.Errorf("%d: %d, %q, %q", i, *res.ExitCode, *res.Stdout, *res.Stderr)
			}
		})
	})

	t.Run("session that exits", func(t *testing.T) {
		d := at(t).with("X-Daytona-SDK-Version", "0.226.1")
		crowd(n/5, func(_, i int) {
			id := fmt.Sprint("e", i)
			d.session(id)
			var res api.SessionExecuteResponse
			command := fmt.Sprintf("echo first; printf 'last %d'; exit 7", i)
			if status := d.call("POST", "/process/session/"+id+"/exec", api.SessionExecuteRequest{Command: command},
				&res); status != 200 {
				t.Errorf("%d: status %d", i, status)
			} else if *res.ExitCode != 7 || *res.Stdout != fmt.Sprintf("first\nlast %d", i) {
				t.Errorf("%d: %d, %q", i, *res.ExitCode, *res.Stdout)
			}
			if status := d.call("DELETE", "/process/session/"+id, nil, nil); status != 204 {
				t.Errorf("%d: delete: status %d", i, status)
			}
		})
	})

	t.Run("terminal", func(t *testing.T) {
		d := at(t)
		crowd(n, func(_, i int) {
			out, end, err := d.terminal(fmt.Sprint("p", i),
				fmt.Sprintf("exec sh -c 'echo first; printf \"last %%d\" %d; exit 7'\n", i))
			if err != nil || end.ExitCode == nil || *end.ExitCode != 7 ||
				!strings.HasSuffix(out, fmt.Sprintf("first\r\nlast %d", i)) {
				t.Errorf("%d: %+v, %v, %q", i, end, err, out)
			}
		})
	})
}

// follow reads a command's log by websocket to its close frame, and then its code. The bytes are by marker; each
// frame has one.
func (d *daemon) follow(command string) (out map[string]string, code int) {
	d.t.Helper()
	out, code = map[string]string{}, -1
	ws, err := d.dial(command + "/logs?follow=true")
	if err != nil {
		d.t.Error(err)
		return out, code
	}
	defer ws.Close()
	for {
		_, frame, err := ws.ReadMessage()
		if websocket.IsCloseError(err, websocket.CloseNormalClosure) {
			break
		}
		if err != nil || len(frame) < 4 {
			d.t.Errorf("%s: the log ended with %v, %q", command, err, frame)
			return out, code
		}
		out[string(frame[:3])] += string(frame[3:])
	}
	var c api.SessionCommand
	if status := d.call("GET", command, nil, &c); status == 200 && c.ExitCode != nil {
		code = *c.ExitCode
	}
	return out, code
}

// terminal opens a terminal, types and reads to the end. end is what the exited frame says; the close frame has to
// say the same.
func (d *daemon) terminal(id, typed string) (out string, end api.PtyControl, err error) {
	ws, err := d.dial("/process/pty/create-connect?cols=200&rows=50&id="+id, "X-Daytona-Pty-Exit-Control")
	if err != nil {
		return "", end, err
	}
	defer ws.Close()
	var all strings.Builder
	for {
		kind, frame, err := ws.ReadMessage()
		var closed *websocket.CloseError
		switch {
		case errors.As(err, &closed):
			var said api.PtyControl
			if json.Unmarshal([]byte(closed.Text), &said) != nil || said.ExitCode == nil || end.ExitCode == nil ||
				*said.ExitCode != *end.ExitCode {
				return all.String(), end, fmt.Errorf("closed with %d %s after %+v", closed.Code, closed.Text, end)
			}
			return all.String(), end, nil
		case err != nil:
			return all.String(), end, err
		case kind == websocket.BinaryMessage:
			all.Write(frame)
		default:
			if err := json.Unmarshal(frame, &end); err != nil {
				return all.String(), end, err
			}
			if end.Status == "connected" {
				if err := ws.WriteMessage(websocket.BinaryMessage, []byte(typed)); err != nil {
					return all.String(), end, err
				}
			}
		}
	}
}
