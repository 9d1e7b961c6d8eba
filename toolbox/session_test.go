package toolbox_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/gorilla/websocket"

	"github.com/sandlot-dev/sandlot/api"
	"github.com/sandlot-dev/sandlot/process"
)

const out, errs = "\x01\x01\x01", "\x02\x02\x02"

// newSession returns the URL of a new session, on a new server.
func newSession(t *testing.T) string {
	t.Helper()
	base := newServer(t, process.Config{})
	if res := post(t, base+"/process/session", api.CreateSessionRequest{SessionID: "s"}, nil); res.StatusCode != 201 {
		t.Fatalf("create: %d", res.StatusCode)
	}
	return base + "/process/session/s"
}

// exec runs a command asynchronously and returns the URL of it.
func exec(t *testing.T, session, command string) string {
	t.Helper()
	var got api.SessionExecuteResponse
	req := api.SessionExecuteRequest{Command: command, RunAsync: true}
	if res := post(t, session+"/exec", req, &got); res.StatusCode != 202 {
		t.Fatalf("exec: %d", res.StatusCode)
	}
	return session + "/command/" + got.CmdID
}

// statusOf asks for a command.
func statusOf(t *testing.T, command string) (got api.SessionCommand) {
	t.Helper()
	res, raw := call(t, "GET", command, nil)
	if err := json.Unmarshal([]byte(raw), &got); err != nil || res.StatusCode != 200 {
		t.Fatalf("%d %s", res.StatusCode, raw)
	}
	return got
}

// dial opens a websocket to an http URL.
func dial(t *testing.T, url string, header http.Header) (*websocket.Conn, *http.Response) {
	t.Helper()
	ws, res, err := websocket.DefaultDialer.DialContext(t.Context(), "ws"+strings.TrimPrefix(url, "http"), header)
	if err != nil {
		if res == nil {
			t.Fatal(err)
		}
		res.Body.Close()
		return nil, res
	}
	t.Cleanup(func() { ws.Close() })
	return ws, res
}

// frames reads to the close frame, which must be an ordinary one.
func frames(t *testing.T, ws *websocket.Conn) (all [][]byte) {
	t.Helper()
	for {
		kind, data, err := ws.ReadMessage()
		if websocket.IsCloseError(err, websocket.CloseNormalClosure) {
			return all
		}
		if err != nil {
			t.Errorf("the log ended with %v, want close 1000", err)
			return all
		}
		if kind != websocket.BinaryMessage {
			t.Errorf("a frame of kind %d, want binary", kind)
		}
		all = append(all, data)
	}
}

func TestSessionLife(t *testing.T) {
	base := newServer(t, process.Config{})
	list := base + "/process/session"
	status := func(method, url, body string, want int) string {
		t.Helper()
		res, text := call(t, method, url, strings.NewReader(body))
		if res.StatusCode != want {
			t.Errorf("%s %s = %d, want %d: %s", method, url, res.StatusCode, want, text)
		}
		var e failed
		if want >= 400 && (json.Unmarshal([]byte(text), &e) != nil || e.Source != "DAYTONA_DAEMON" || e.StatusCode != want) {
			t.Errorf("%s %s: error body %s", method, url, text)
		}
		return text
	}
	if got := status("GET", list, "", 200); got != "[]" {
		t.Errorf("empty list = %s", got)
	}
	status("POST", list, `{"sessionId":"a"}`, 201)
	status("POST", list, `{"sessionId":"a"}`, 409)
	status("POST", list, `{}`, 400)
	status("POST", list, `{"sessionId":"entrypoint"}`, 400)
	status("GET", list+"/b", "", 404)
	status("GET", list+"/entrypoint", "", 200)
	status("GET", list+"/entrypoint/logs", "", 200)
	status("GET", list+"/entrypoint/command/entrypoint_command/logs", "", 200)
	status("GET", list+"/entrypoint/command/entrypoint_command", "", 404)
	status("DELETE", list+"/entrypoint", "", 400)
	status("DELETE", list+"/b", "", 404)
	status("POST", list+"/b/exec", `{"command":"true"}`, 404)
	status("POST", list+"/entrypoint/exec", `{"command":"true"}`, 400)
	status("POST", list+"/a/exec", `{"command":""}`, 400)
	status("POST", list+"/a/exec", `{"command":"a\u0000"}`, 400)
	var run api.SessionExecuteResponse
	err := json.Unmarshal([]byte(status("POST", list+"/a/exec", `{"command":"cd /; (exit 3)"}`, 200)), &run)
	if err != nil || run.ExitCode == nil || *run.ExitCode != 3 {
		t.Errorf("exec = %+v, %v", run, err)
	}
	want := `{"id":"` + run.CmdID + `","command":"cd /; (exit 3)","exitCode":3}`
	if got := status("GET", list+"/a/command/"+run.CmdID, "", 200); got != want {
		t.Errorf("command = %s, want %s", got, want)
	}
	answer := status("POST", list+"/a/exec", `{"command":"sleep 30","async":true}`, 202)
	if err := json.Unmarshal([]byte(answer), &run); err != nil {
		t.Error(err)
	}
	if got := status("GET", list+"/a", "", 200); !strings.HasSuffix(got, `{"id":"`+run.CmdID+`","command":"sleep 30"}]}`) {
		t.Errorf("session = %s", got)
	}
	status("GET", list+"/a/command/x", "", 404)
	status("GET", list+"/a/command/x/logs", "", 404)
	status("POST", list+"/a/command/"+run.CmdID+"/input", `{"data":"x"}`, 204)
	status("POST", list+"/a/command/"+run.CmdID+"/input", `{"data":""}`, 400)
	status("POST", list+"/a/command/x/input", `{"data":"x"}`, 404)
	if got := status("GET", list+"/a/command/"+run.CmdID+"/logs", "", 200); got != "x\n" {
		t.Errorf("echoed input = %q", got)
	}
	status("DELETE", list+"/a", "", 204)
	status("GET", list+"/a", "", 404)
}

func TestShellThatEnded(t *testing.T) {
	s := newSession(t)
	var run api.SessionExecuteResponse
	res := post(t, s+"/exec", api.SessionExecuteRequest{Command: "echo a; exit 5"}, &run)
	if res.StatusCode != 200 || *run.ExitCode != 5 || *run.Output != "a\n" {
		t.Errorf("exit 5: %d, %+v", res.StatusCode, run)
	}
	var e failed
	for range 2 {
		res := post(t, s+"/exec", api.SessionExecuteRequest{Command: "true"}, &e)
		if res.StatusCode != 410 || e.Code != "SESSION_ENDED" {
			t.Errorf("after it: %d, %+v", res.StatusCode, e)
		}
	}
	post(t, s+"/command/"+run.CmdID+"/input", api.SessionSendInputRequest{Data: "x"}, &e)
	if e.Code != "COMMAND_ALREADY_COMPLETED" {
		t.Errorf("input: %+v", e)
	}
	list := strings.TrimSuffix(s, "/s")
	if res := post(t, list, api.CreateSessionRequest{SessionID: "s"}, nil); res.StatusCode != 201 {
		t.Errorf("replace: %d", res.StatusCode)
	}
}

// TestAnEndThatIsNearIsWaitedFor asks for commands once, as soon as they are given.
func TestAnEndThatIsNearIsWaitedFor(t *testing.T) {
	session := newSession(t)
	ended := 0
	for range 20 {
		got := statusOf(t, exec(t, session, "sleep 0.005; (exit 3)"))
		if got.ExitCode != nil && *got.ExitCode == 3 {
			ended++
		}
	}
	if ended < 10 {
		t.Errorf("the first question told the end of %d of 20 commands of 5 ms", ended)
	}
}

// TestALongCommandIsAnsweredForAtOnce asks for a command that goes on.
func TestALongCommandIsAnsweredForAtOnce(t *testing.T) {
	cmd := exec(t, newSession(t), "sleep 100")
	first, later := time.Duration(0), time.Hour
	for began := time.Now(); time.Since(began) < 200*time.Millisecond; {
		asked := time.Now()
		got := statusOf(t, cmd)
		took := time.Since(asked)
		if got.ExitCode != nil {
			t.Fatalf("exit code %d of a command that runs", *got.ExitCode)
		}
		if first == 0 {
			first = took
		}
		later = min(later, took)
	}
	if first < 20*time.Millisecond || first > time.Second || later > 10*time.Millisecond {
		t.Errorf("the first question took %v, later ones %v at best; want 25 ms and then no wait", first, later)
	}
}

func TestDeleteAnswersTheWaitingCaller(t *testing.T) {
	s := newSession(t)
	var e failed
	done := make(chan int)
	go func() {
		done <- post(t, s+"/exec", api.SessionExecuteRequest{Command: "echo up > up; sleep 60"}, &e).StatusCode
	}()
	for { // until it runs
		if _, text := call(t, "GET", s, nil); strings.Contains(text, "sleep") {
			break
		}
	}
	call(t, "DELETE", s, nil)
	if status := <-done; status != 410 || e.Code != "SESSION_ENDED" {
		t.Errorf("%d, %+v", status, e)
	}
}

// TestPresentation holds the table of docs/wire.md, "The toolbox: sessions and terminals".
func TestPresentation(t *testing.T) {
	s := newSession(t)
	const command = "echo o; sleep 0.05; echo e >&2; sleep 0.05; echo p"
	const plain, marked = "o\ne\np\n", out + "o\n" + errs + "e\n" + out + "p\n"
	cmd := exec(t, s, command)
	if ws, _ := dial(t, cmd+"/logs?follow=true", nil); ws != nil {
		frames(t, ws)
	}
	for _, tc := range []struct {
		name         string
		header       []string
		json, marked bool
		socketMarked bool
	}{
		{"no version", nil, false, false, true},
		{"oldest", []string{"X-Daytona-SDK-Version", "0.26.9"}, false, false, false},
		{"markers", []string{"X-Daytona-SDK-Version", "0.27.0"}, false, true, true},
		{"last without JSON", []string{"X-Daytona-SDK-Version", "0.166.5"}, false, true, true},
		{"first with JSON", []string{"X-Daytona-SDK-Version", "0.167.0"}, true, true, true},
		{"new", []string{"X-Daytona-SDK-Version", "v0.216.0-alpha.1"}, true, true, true},
		{"development", []string{"X-Daytona-SDK-Version", "0.0.0-dev"}, true, true, true},
		{"unreadable", []string{"X-Daytona-SDK-Version", "banana"}, false, true, true},
		{"split asked for", []string{"X-Daytona-Split-Output", "true"}, false, true, true},
		{
			"split asked for by the oldest",
			[]string{"X-Daytona-SDK-Version", "0.20.0", "X-Daytona-Split-Output", "true"},
			false, true, true,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			want := plain
			if tc.marked {
				want = marked
			}
			var run api.SessionExecuteResponse
			post(t, s+"/exec", api.SessionExecuteRequest{Command: command}, &run, tc.header...)
			if run.Output == nil || *run.Output != want || (run.Stdout != nil) != tc.json {
				t.Errorf("exec output = %v, want %q", run, want)
			}
			if tc.json && (*run.Stdout != "o\np\n" || *run.Stderr != "e\n") {
				t.Errorf("exec streams = %q, %q", *run.Stdout, *run.Stderr)
			}
			res, text := call(t, "GET", cmd+"/logs", nil, tc.header...)
			if tc.json {
				var logs api.SessionCommandLogsResponse
				err := json.Unmarshal([]byte(text), &logs)
				if err != nil || logs != (api.SessionCommandLogsResponse{Output: want, Stdout: "o\np\n", Stderr: "e\n"}) {
					t.Errorf("logs = %s, %v", text, err)
				}
			} else if text != want || !strings.HasPrefix(res.Header.Get("Content-Type"), "text/plain") {
				t.Errorf("logs = %q as %s, want %q as text", text, res.Header.Get("Content-Type"), want)
			}
			header := http.Header{}
			for i := 0; i < len(tc.header); i += 2 {
				header.Set(tc.header[i], tc.header[i+1])
			}
			ws, _ := dial(t, cmd+"/logs", header)
			want = plain
			if tc.socketMarked {
				want = marked
			}
			if got := string(bytes.Join(frames(t, ws), nil)); got != want {
				t.Errorf("socket = %q, want %q", got, want)
			}
		})
	}
	t.Run("version as subprotocol", func(t *testing.T) {
		token := "X-Daytona-SDK-Version~0.20.0"
		ws, res := dial(t, cmd+"/logs", http.Header{"Sec-Websocket-Protocol": {"other, " + token}})
		if got := string(bytes.Join(frames(t, ws), nil)); got != plain || res.Header.Get("Sec-Websocket-Protocol") != token {
			t.Errorf("socket = %q, subprotocol %q", got, res.Header.Get("Sec-Websocket-Protocol"))
		}
	})
	t.Run("unknown command", func(t *testing.T) {
		if ws, res := dial(t, s+"/command/no/logs?follow=true", nil); ws != nil || res.StatusCode != 404 {
			t.Errorf("status %d, want 404 in place of the upgrade", res.StatusCode)
		}
	})
}

func TestFollowIsLiveAndEndsAtOnce(t *testing.T) {
	s := newSession(t)
	cmd := exec(t, s, "echo first; read x; echo second")
	ws, _ := dial(t, cmd+"/logs?follow=true", nil)
	if _, data, err := ws.ReadMessage(); err != nil || string(data) != out+"first\n" {
		t.Fatalf("first frame %q, %v", data, err)
	}
	began := time.Now()
	post(t, cmd+"/input", api.SessionSendInputRequest{Data: "x"}, nil)
	if got := string(bytes.Join(frames(t, ws), nil)); got != out+"x\n"+out+"second\n" && got != out+"x\nsecond\n" {
		t.Errorf("the rest = %q", got)
	}
	if took := time.Since(began); took > 500*time.Millisecond {
		t.Errorf("the end came after %v", took)
	}
}

// TestEveryFrameStandsAlone does what the client does that demultiplexes each frame by itself.
func TestEveryFrameStandsAlone(t *testing.T) {
	s := newSession(t)
	text := strings.Repeat("größer ☃ 𝄞 ", 5000)
	file := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec(t, s, "dd if="+file+" bs=7 status=none & dd if="+file+" bs=4093 status=none >&2\n"+
		"wait; printf '\\342\\202'")
	ws, _ := dial(t, cmd+"/logs?follow=true", nil)
	var streams [3]strings.Builder
	for _, frame := range frames(t, ws) {
		if len(frame) < 4 || len(frame) > 16<<10+3 {
			t.Fatalf("a frame of %d bytes", len(frame))
		}
		marker := string(frame[:3])
		if marker != out && marker != errs {
			t.Fatalf("a frame begins with %q", marker)
		}
		if body := frame[3:]; !utf8.Valid(body) && string(body) != "\xe2\x82" {
			t.Fatalf("a frame ends within a character: …%q", body[max(0, len(body)-8):])
		}
		streams[frame[0]].Write(frame[3:])
	}
	if streams[1].String() != text+"\xe2\x82" || streams[2].String() != text {
		t.Errorf("stdout %d bytes, stderr %d, want %d each", streams[1].Len(), streams[2].Len(), len(text))
	}
}

func TestLogsAreExactBytes(t *testing.T) {
	size := 100 << 20
	if testing.Short() || os.Getenv("SANDLOT_FULL") == "" {
		size = 8 << 20
	}
	data := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{7}).Read(data)
	want := sha256.Sum256(data)
	file := filepath.Join(t.TempDir(), "data")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	s := newSession(t)
	cmd := exec(t, s, "cat "+file)
	var followers sync.WaitGroup
	for range 2 {
		followers.Go(func() {
			ws, _ := dial(t, cmd+"/logs?follow=true", nil)
			h := sha256.New()
			for _, frame := range frames(t, ws) {
				h.Write(frame[3:])
			}
			if [32]byte(h.Sum(nil)) != want {
				t.Error("a follower got other bytes")
			}
		})
	}
	followers.Wait()
	if _, text := call(t, "GET", cmd+"/logs", nil); sha256.Sum256([]byte(text)) != want {
		t.Error("the snapshot has other bytes")
	}
}

func TestSlowFollowerHoldsUpNobody(t *testing.T) {
	s := newSession(t)
	cmd := exec(t, s, "head -c 20M /dev/zero; echo end")
	slow, _ := dial(t, cmd+"/logs?follow=true", nil) // it does not read
	fast, _ := dial(t, cmd+"/logs?follow=true", nil)
	n := 0
	for _, f := range frames(t, fast) {
		n += len(f) - 3
	}
	m := 0
	for _, f := range frames(t, slow) {
		m += len(f) - 3
	}
	if want := 20<<20 + 4; n != want || m != want {
		t.Errorf("fast got %d bytes, slow %d, want %d", n, m, want)
	}
}

func TestFollowerPings(t *testing.T) {
	s := newSession(t)
	ws, _ := dial(t, exec(t, s, "sleep 20")+"/logs?follow=true", nil)
	pong := make(chan struct{})
	ws.SetPongHandler(func(string) error { close(pong); return errors.New("enough") })
	if err := ws.WriteControl(websocket.PingMessage, []byte("x"), time.Now().Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	go func() { _, _, _ = ws.ReadMessage() }()
	select {
	case <-pong:
	case <-time.After(5 * time.Second):
		t.Error("no pong while nothing is written")
	}
}

func TestLogsStreamWithoutAWebsocket(t *testing.T) {
	s := newSession(t)
	cmd := exec(t, s, "echo first; read x; echo second >&2")
	res, err := http.Get(cmd + "/logs?stream=true")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	first := make([]byte, len(out)+6)
	if _, err := io.ReadFull(res.Body, first); err != nil || string(first) != out+"first\n" {
		t.Fatalf("begins with %q, %v", first, err)
	}
	post(t, cmd+"/input", api.SessionSendInputRequest{Data: "x"}, nil)
	if rest, err := io.ReadAll(res.Body); err != nil || string(rest) != out+"x\n"+errs+"second\n" {
		t.Errorf("goes on with %q, %v", rest, err)
	}
	if _, text := call(t, "GET", cmd+"/logs?offset=8", nil); text != "second\n" {
		t.Errorf("from byte 8 on: %q", text)
	}
	ws, _ := dial(t, cmd+"/logs?follow=true&offset=8", nil)
	if got := string(bytes.Join(frames(t, ws), nil)); got != errs+"second\n" {
		t.Errorf("by websocket from byte 8 on: %q", got)
	}
	if res, _ := call(t, "GET", cmd+"/logs?offset=-1", nil); res.StatusCode != 400 {
		t.Errorf("offset -1: %d", res.StatusCode)
	}
}

// A client that takes its time with the last of a log, and pings meanwhile, gets all of it and the close frame.
func TestSlowFollowerGetsTheEnd(t *testing.T) {
	s := newSession(t)
	cmd := exec(t, s, "head -c 1M /dev/zero; echo end")
	dialer := websocket.Dialer{NetDialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := (&net.Dialer{}).DialContext(ctx, network, addr)
		if err == nil {
			err = c.(*net.TCPConn).SetReadBuffer(64 << 10) // most of it stays with the daemon
		}
		return c, err
	}}
	ws, _, err := dialer.DialContext(t.Context(), "ws"+strings.TrimPrefix(cmd, "http")+"/logs?follow=true", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer ws.Close()
	for range 7 { // longer than any wait for its answer was
		<-time.After(500 * time.Millisecond)
		if err := ws.WriteControl(websocket.PingMessage, nil, time.Now().Add(time.Second)); err != nil {
			t.Fatal(err)
		}
	}
	n := 0
	for _, f := range frames(t, ws) {
		n += len(f) - 3
	}
	if want := 1<<20 + 4; n != want {
		t.Errorf("%d bytes, want %d", n, want)
	}
}

// A client that is slow for some seconds and pings meanwhile gets its pong once it reads on, and everything else too.
func TestSlowFollowerGetsItsPong(t *testing.T) {
	s := newSession(t)
	cmd := exec(t, s, "head -c 30M /dev/zero; echo end; sleep 3; echo late")
	ws, _ := dial(t, cmd+"/logs?follow=true", nil) // it does not read, so that the daemon cannot write
	if err := ws.WriteControl(websocket.PingMessage, []byte("1"), time.Now().Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(100*time.Millisecond, func() {
		_ = ws.WriteControl(websocket.PingMessage, []byte("2"), time.Now().Add(time.Second))
	})
	<-time.After(2500 * time.Millisecond)
	var pongs []string
	ws.SetPongHandler(func(data string) error { pongs = append(pongs, data); return nil })
	n := 0
	for _, f := range frames(t, ws) {
		n += len(f) - 3
	}
	if want := 30<<20 + 4 + 5; n != want {
		t.Errorf("%d bytes, want %d", n, want)
	}
	if len(pongs) == 0 || pongs[len(pongs)-1] != "2" {
		t.Errorf("pongs %q, want one to the last ping", pongs)
	}
}
