//go:build e2e

package e2e_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/sandlot-dev/sandlot/api"
	"github.com/sandlot-dev/sandlot/tests/harness"
)

// piped is a `sandlot run` that a test talks to.
type piped struct {
	t      *testing.T
	s      *harness.Sandlot
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stdout *bufio.Reader
	stderr bytes.Buffer
}

// sandlotRun starts `sandlot run` with args. It is killed at the end of the test.
func sandlotRun(t *testing.T, s *harness.Sandlot, args ...string) *piped {
	t.Helper()
	program, err := harness.Bin("sandlot")
	if err != nil {
		t.Fatal(err)
	}
	r := &piped{t: t, s: s, cmd: exec.CommandContext(t.Context(), program, append([]string{"run"}, args...)...)}
	r.cmd.Env = append(os.Environ(), s.Env()...)
	r.cmd.Stderr = &r.stderr
	out, err := r.cmd.StdoutPipe()
	if err == nil {
		r.stdin, err = r.cmd.StdinPipe()
	}
	if err == nil {
		err = r.cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	r.stdout = bufio.NewReader(out)
	return r
}

// line reads a line of the command's output.
func (r *piped) line() string {
	r.t.Helper()
	line, err := r.stdout.ReadString('\n')
	if err != nil {
		r.t.Errorf("read a line: %v after %q", err, line)
	}
	return strings.TrimSuffix(line, "\n")
}

// ended waits for the end and wants its exit code, or that of a shell after a signal.
func (r *piped) ended(want int) {
	r.t.Helper()
	_, _ = io.Copy(io.Discard, r.stdout) // Wait closes it
	err := r.cmd.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		r.t.Errorf("wait: %v", err)
	}
	got := r.cmd.ProcessState.ExitCode()
	if st, _ := r.cmd.ProcessState.Sys().(syscall.WaitStatus); st.Signaled() {
		got = 128 + int(st.Signal())
	}
	if got != want {
		r.t.Errorf("exit code %d, want %d; stderr: %s", got, want, &r.stderr)
	}
}

// TestRunIsAProgram talks to one command through its streams, and looks what signals do.
func TestRunIsAProgram(t *testing.T) {
	s := harness.Start(t, harness.Options{Image: harness.Image(t, "", harness.Busybox)})
	none := func() {
		t.Helper()
		harness.Until(t, 20*time.Second, "no container is left", func() bool {
			left, err := s.Containers()
			return err == nil && len(left) == 0
		})
	}

	r := sandlotRun(t, s, "--", "sh", "-c", `echo ready; while read line; do echo "got $line"; done; echo end`)
	if got := r.line(); got != "ready" { // before the end, and before any input
		t.Errorf("first line %q", got)
	}
	for _, word := range []string{"a", "b"} {
		if _, err := io.WriteString(r.stdin, word+"\n"); err != nil {
			t.Error(err)
		}
		if got := r.line(); got != "got "+word {
			t.Errorf("answer %q", got)
		}
	}
	if err := r.stdin.Close(); err != nil {
		t.Error(err)
	}
	if got := r.line(); got != "end" {
		t.Errorf("last line %q", got)
	}
	r.ended(0)

	for _, tc := range []struct {
		name, script string
		signals      []syscall.Signal
		want         int
	}{
		{"SIGINT", "echo ready; exec sleep 500", []syscall.Signal{syscall.SIGINT}, 130},
		{"SIGTERM", "echo ready; exec sleep 500", []syscall.Signal{syscall.SIGTERM}, 143},
		{
			"one that is handled", `trap "exit 9" INT; echo ready; while :; do sleep 0.1; done`,
			[]syscall.Signal{syscall.SIGINT},
			9,
		},
		{
			"one that is ignored, and a second", `trap "" INT TERM; echo ready; while :; do sleep 1; done`,
			[]syscall.Signal{syscall.SIGINT, syscall.SIGTERM},
			143,
		},
		{"one that is ignored", `trap "" INT; echo ready; while :; do sleep 1; done`, []syscall.Signal{syscall.SIGINT}, 130},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := sandlotRun(t, s, "--", "sh", "-c", tc.script)
			r.line()
			for i, sig := range tc.signals {
				if i > 0 { // the kernel takes two that come together in any order
					harness.Until(t, 5*time.Second, "the first signal is taken", func() bool { return !pending(t, r.cmd.Process.Pid) })
				}
				if err := r.cmd.Process.Signal(sig); err != nil {
					t.Error(err)
				}
			}
			r.ended(tc.want)
		})
	}
	none()

	// A signal while the sandbox is being made, or an end without any chance, leaves none either.
	r = sandlotRun(t, s, "--", "sleep", "500")
	harness.Until(t, 20*time.Second, "a container is there", func() bool {
		left, err := s.Containers()
		return err == nil && len(left) == 1
	})
	if err := r.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Error(err)
	}
	r.ended(130)
	none()

	// One that is killed ends the command, and its sandbox goes when it is stopped, as idle ones are.
	r = sandlotRun(t, s, "--", "sh", "-c", "echo ready; exec sleep 50732")
	r.line()
	if err := r.cmd.Process.Kill(); err != nil {
		t.Error(err)
	}
	r.ended(137)
	list, err := s.Command("list", "--json")
	if err != nil || !strings.Contains(list, `"autoDeleteInterval":0`) {
		t.Errorf("%s, %v", list, err)
	}
	left, err := s.Containers()
	if err != nil || len(left) != 1 {
		t.Fatalf("containers %v, %v", left, err)
	}
	id, _, _ := strings.Cut(left[0], " ")
	harness.Until(t, 10*time.Second, "the command has ended", func() bool {
		out, err := s.Docker("top", id)
		return err == nil && !strings.Contains(out, "50732")
	})
	if _, err := s.Docker("stop", id); err != nil {
		t.Error(err)
	}
	none()
}

// pending tells whether a process has a signal that it has not taken.
func pending(t *testing.T, pid int) bool {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "grep", "-h", "^ShdPnd:", "/proc/"+strconv.Itoa(pid)+"/status").Output()
	return err == nil && strings.Trim(strings.TrimPrefix(string(out), "ShdPnd:"), " \t\n0") != ""
}

// TestConnectedCommandByHand speaks the protocol without our client.
func TestConnectedCommandByHand(t *testing.T) {
	d, _ := straight(t)
	open := func(first string) *websocket.Conn {
		t.Helper()
		ws, res, err := websocket.DefaultDialer.DialContext(t.Context(),
			"ws"+strings.TrimPrefix(d.base, "http")+"/process/execute/connect", nil)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		t.Cleanup(func() { _ = ws.Close() })
		if err := ws.WriteMessage(websocket.TextMessage, []byte(first)); err != nil {
			t.Fatal(err)
		}
		return ws
	}
	// outcome reads to the end: output by stream, the last text message, and how the connection was closed.
	outcome := func(ws *websocket.Conn) (out [3]string, last api.ConnectMessage, closed *websocket.CloseError) {
		t.Helper()
		for {
			kind, data, err := ws.ReadMessage()
			if errors.As(err, &closed) {
				return out, last, closed
			} else if err != nil {
				t.Fatalf("read: %v", err)
			}
			if kind == websocket.BinaryMessage {
				out[data[0]] += string(data[3:])
			} else if err := json.Unmarshal(data, &last); err != nil {
				t.Errorf("%s: %v", data, err)
			}
		}
	}

	ws := open(`{"command": "cat; echo $A >&2; exit 3", "envs": {"A": "b"}, "cwd": "/"}`)
	for _, m := range []struct {
		kind int
		data string
	}{{websocket.BinaryMessage, "x\x00\xff"}, {websocket.TextMessage, `{"type":"end"}`}} {
		if err := ws.WriteMessage(m.kind, []byte(m.data)); err != nil {
			t.Error(err)
		}
	}
	if out, last, closed := outcome(ws); out[1] != "x\x00\xff" || out[2] != "b\n" || last.Type != "exit" ||
		last.ExitCode == nil || *last.ExitCode != 3 || closed.Code != 1000 {
		t.Errorf("%q, %+v, %v", out, last, closed)
	}

	// What cannot be run is told, in the command's way or in that of the connection.
	if out, last, _ := outcome(open(`{"command": "true", "cwd": "/no/such"}`)); !strings.Contains(out[2], "/no/such") ||
		last.ExitCode == nil || *last.ExitCode != -1 {
		t.Errorf("a missing folder: %q, %+v", out, last)
	}
	for _, first := range []string{`{"command": ""}`, `{"command": "true", "window": -1}`, `nothing`, `[]`} {
		if _, _, closed := outcome(open(first)); closed.Code != websocket.ClosePolicyViolation || closed.Text == "" {
			t.Errorf("%s: %v", first, closed)
		}
	}
	for _, message := range []string{
		`{"type":"signal","signal":"SIGNOT"}`, `{"type":"taken","stream":3}`,
		`{"type":"?"}`, `{`,
	} {
		ws := open(`{"command": "sleep 50731"}`)
		if err := ws.WriteMessage(websocket.TextMessage, []byte(message)); err != nil {
			t.Error(err)
		}
		if _, _, closed := outcome(ws); closed.Code != websocket.ClosePolicyViolation {
			t.Errorf("%s: %v", message, closed)
		}
	}
	ws = open(`{"command": "exec sleep 50731"}`)
	for range 100 { // far more than there is room for; it may be closed before the last
		if ws.WriteMessage(websocket.BinaryMessage, make([]byte, 64<<10)) != nil {
			break
		}
	}
	if _, _, closed := outcome(ws); closed.Code != websocket.ClosePolicyViolation {
		t.Errorf("too much input: %v", closed)
	}

	// A window holds the output back, and one stream not the other.
	ws = open(`{"command": "yes 50731 & sleep 0.1; echo other >&2; wait", "window": 1000}`)
	var got [3]int
	for got[2] == 0 {
		_, data, err := ws.ReadMessage()
		if err != nil {
			t.Fatal(err)
		}
		got[data[0]] += len(data) - 3
	}
	if got[1] != 1000 {
		t.Errorf("%d bytes came of a window of 1000", got[1])
	}
	// Who leaves ends the command and its descendants.
	if err := ws.Close(); err != nil {
		t.Error(err)
	}
	harness.Until(t, 10*time.Second, "yes and sleep have ended", func() bool {
		_, out := d.exec("ps ax -o args | grep -E '^(yes|sleep) 50731' || true")
		return out == ""
	})
	if status := d.call("GET", "/process/execute/connect", nil, nil); status != 400 {
		t.Errorf("without a websocket: %d", status)
	}
}
