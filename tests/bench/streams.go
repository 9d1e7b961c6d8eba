package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/gorilla/websocket"
)

// session makes a session and returns where it is.
func (b *bench) session(s *server, id string) (string, error) {
	_, err := b.post(s.url+"/process/session", "", map[string]string{"sessionId": id})
	return s.url + "/process/session/" + id, err
}

func (b *bench) remove(url string) error {
	req, err := http.NewRequest(http.MethodDelete, url, nil)
	if err != nil {
		return err
	}
	_, err = b.do(req, "")
	return err
}

// rawShell is a shell that runs already, driven by a pipe: what a session cannot be faster than.
type rawShell struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func newRawShell() (*rawShell, error) {
	r := &rawShell{cmd: exec.Command("bash")}
	in, err := r.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := r.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	r.in, r.out = in, bufio.NewReader(out)
	return r, r.cmd.Start()
}

func (r *rawShell) run(command string) error {
	if _, err := io.WriteString(r.in, command+"; echo $?\n"); err != nil {
		return err
	}
	line, err := r.out.ReadString('\n')
	if err == nil && line != "0\n" {
		err = fmt.Errorf("answer %q", line)
	}
	return err
}

func (r *rawShell) close() { _, _ = r.in.Close(), r.cmd.Wait() }

func (b *bench) sessions() (rows []Row, err error) {
	s, err := b.toolboxd()
	if err != nil {
		return nil, err
	}
	shell, err := newRawShell()
	if err != nil {
		return nil, err
	}
	defer shell.close()
	at, err := b.session(s, "next")
	if err != nil {
		return nil, err
	}
	m, err := alternate(b.count(400),
		task{name: "ours", do: func() error {
			_, err := b.post(at+"/exec", "",
				map[string]string{"command": "true"})
			return err
		}},
		task{name: "raw", do: func() error { return shell.run("true") }})
	if err != nil {
		return nil, err
	}
	rows = append(rows, Row{What: "session, next command", Unit: "ms", Ours: m[0], Raw: m[1]}.atMost(0.5))
	if err := b.remove(at); err != nil {
		return rows, err
	}
	var created, first, deleted []float64
	ms := func(began time.Time) float64 { return float64(time.Since(began)) / 1e6 }
	for n := range b.count(50) + 1 {
		began := time.Now()
		at, err := b.session(s, fmt.Sprintf("s%d", n))
		if err != nil {
			return rows, err
		}
		created = append(created, ms(began))
		began = time.Now()
		if _, err := b.post(at+"/exec", "", map[string]string{"command": "true"}); err != nil {
			return rows, err
		}
		first = append(first, ms(began))
		began = time.Now()
		if err := b.remove(at); err != nil {
			return rows, err
		}
		deleted = append(deleted, ms(began))
	}
	return append(rows,
		Row{What: "session, create", Unit: "ms", Ours: median(created[1:])},
		Row{What: "session, first command", Unit: "ms", Ours: median(first[1:])},
		Row{What: "session, delete", Unit: "ms", Ours: median(deleted[1:])}), nil
}

func dial(url string, header http.Header) (*websocket.Conn, error) {
	ws, _, err := websocket.DefaultDialer.Dial(url, header) //nolint:bodyclose // the library has read all of the handshake's answer
	return ws, err
}

// followed is when things came on a websocket that follows a command.
type followed struct {
	first, last, end time.Time
	bytes            int
}

// follow starts a command in a session and reads its log to the end.
func (b *bench) follow(s *server, at, command string) (f followed, err error) {
	data, err := b.post(at+"/exec", "", map[string]any{"command": command, "runAsync": true})
	if err != nil {
		return f, err
	}
	var started struct{ CmdID string }
	if err := json.Unmarshal(data, &started); err != nil {
		return f, err
	}
	url := "ws" + strings.TrimPrefix(at, "http") + "/command/" + started.CmdID + "/logs?follow=true"
	ws, err := dial(url, http.Header{"X-Daytona-SDK-Version": {"0.226.1"}})
	if err != nil {
		return f, err
	}
	defer ws.Close()
	for {
		_, message, err := ws.ReadMessage()
		if closed := (*websocket.CloseError)(nil); errors.As(err, &closed) && closed.Code == websocket.CloseNormalClosure {
			f.end = time.Now()
			return f, nil
		} else if err != nil {
			return f, err
		}
		if f.last = time.Now(); f.first.IsZero() {
			f.first = f.last
		}
		f.bytes += len(message)
	}
}

func (b *bench) following() ([]Row, error) {
	s, err := b.toolboxd()
	if err != nil {
		return nil, err
	}
	at, err := b.session(s, "follow")
	if err != nil {
		return nil, err
	}
	var first, end []float64
	for range b.count(60) {
		began := time.Now()
		f, err := b.follow(s, at, "echo out")
		if err != nil {
			return nil, err
		}
		first, end = append(first, float64(f.first.Sub(began))/1e6), append(end, float64(f.end.Sub(f.last))/1e6)
	}
	const lines = 2_000_000
	file := filepath.Join(b.dir, "lines")
	if err := os.WriteFile(file, bytes.Repeat([]byte("a line of\n"), lines), 0o644); err != nil {
		return nil, err
	}
	defer os.Remove(file)
	m, err := alternate(b.count(5), task{name: "ours", do: func() error {
		f, err := b.follow(s, at, "cat "+file)
		if err == nil && f.bytes < lines*10 {
			err = fmt.Errorf("%d bytes of %d", f.bytes, lines*10)
		}
		return err
	}}, task{name: "raw", do: func() error {
		cmd := exec.Command("bash", "-c", "cat "+file)
		out, err := cmd.StdoutPipe()
		if err != nil {
			return err
		}
		if err := cmd.Start(); err != nil {
			return err
		}
		_, err = io.CopyBuffer(struct{ io.Writer }{io.Discard}, out, make([]byte, 64<<10))
		return errors.Join(err, cmd.Wait())
	}})
	if err != nil {
		return nil, err
	}
	perSecond := func(ms float64) float64 { return lines / ms / 1e3 }
	return []Row{
		Row{What: "follow, first byte", Unit: "ms", Ours: median(first)}.atMost(1),
		Row{What: "follow, end after the last byte", Unit: "ms", Ours: median(end)}.atMost(2),
		Row{What: "follow, million lines per second", Unit: "M/s", Ours: perSecond(m[0]), Raw: perSecond(m[1])}.atLeast(10),
	}, b.remove(at)
}

func (b *bench) terminal() ([]Row, error) {
	s, err := b.toolboxd()
	if err != nil {
		return nil, err
	}
	open := func(id string) (*websocket.Conn, error) {
		return dial("ws"+strings.TrimPrefix(s.url, "http")+"/process/pty/create-connect?cols=80&rows=24&id="+id, nil)
	}
	var connected []float64
	for n := range b.count(50) + 1 {
		id := fmt.Sprintf("t%d", n)
		began := time.Now()
		ws, err := open(id)
		if err != nil {
			return nil, err
		}
		connected = append(connected, float64(time.Since(began))/1e6)
		if err := errors.Join(ws.Close(), b.remove(s.url+"/process/pty/"+id)); err != nil {
			return nil, err
		}
	}
	ws, err := open("bench")
	if err != nil {
		return nil, err
	}
	defer ws.Close()
	if err := ws.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return nil, err
	}
	until := func(want string) error {
		var seen []byte
		for !bytes.Contains(seen, []byte(want)) {
			kind, message, err := ws.ReadMessage()
			if err != nil {
				return err
			}
			if kind == websocket.BinaryMessage {
				seen = append(seen, message...)
			}
		}
		return nil
	}
	// The terminal itself echoes what cat has not read yet.
	if err := ws.WriteMessage(websocket.BinaryMessage, []byte("echo rea''dy; exec cat >/dev/null\n")); err != nil {
		return nil, err
	}
	if err := until("ready"); err != nil {
		return nil, err
	}
	n := 0
	m, err := alternate(b.count(500), task{name: "keystroke", do: func() error {
		n++
		key := string(rune('a' + n%26))
		if n%60 == 0 {
			key = "\n" // a line of a terminal may have 4,095 bytes
		}
		if err := ws.WriteMessage(websocket.BinaryMessage, []byte(key)); err != nil {
			return err
		}
		return until(strings.ReplaceAll(key, "\n", "\r\n"))
	}})
	if err != nil {
		return nil, err
	}
	return []Row{
		Row{What: "terminal, keystroke echo", Unit: "ms", Ours: m[0]}.atMost(0.12),
		Row{
			What: "terminal, create and connect", Unit: "ms", Ours: median(connected[1:]),
			Note: fmt.Sprintf("the first took %.2f ms", connected[0]),
		}.atMost(1),
	}, b.remove(s.url + "/process/pty/bench")
}
