//go:build e2e

package e2e_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/sandlot-dev/sandlot/tests/harness"
)

// open is one request that waits at a sandbox, and how it ended.
type open struct {
	name  string
	ended chan ending
}

type ending struct {
	at   time.Time
	said string // the error body, or the close frame
	err  error  // why the wait was over, where nothing was said
}

// opened begins one request of each kind and returns when all of them wait at the sandbox.
func opened(t *testing.T, s *harness.Sandlot, box *harness.Box) []open {
	t.Helper()
	base := strings.TrimSuffix(box.ToolboxProxyURL, "/") + "/" + box.ID
	box.Toolbox("POST", "/process/session", map[string]any{"sessionId": "s"}).Want(http.StatusCreated)
	var command struct{ CmdID string }
	box.Toolbox("POST", "/process/session/s/exec", map[string]any{
		"command":  "echo begun; sleep 1000",
		"runAsync": true,
	}).Into(&command)
	box.Toolbox("POST", "/process/pty", map[string]any{"id": "p"})
	box.MustExec("(setsid sh -c 'sleep 1000 | nc -l -p 3000' >/dev/null 2>&1 &)")
	harness.Until(t, 5*time.Second, "the app that never answers", func() bool {
		code, _ := box.Exec("netstat -ltn | grep -q :3000")
		return code == 0
	})
	ask := func(method, url string, body io.Reader) *http.Request {
		req, err := http.NewRequestWithContext(t.Context(), method, url, body)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+s.Key)
		return req
	}
	var all []open
	begin := func(name string, wait func() (string, error)) {
		o := open{name, make(chan ending, 1)}
		all = append(all, o)
		go func() {
			said, err := wait()
			o.ended <- ending{time.Now(), said, err}
		}()
	}
	answer := func(req *http.Request) func() (string, error) {
		return func() (string, error) {
			client := http.Client{Transport: &http.Transport{DialContext: s.DialProxy}}
			res, err := client.Do(req)
			if err != nil {
				return "", err
			}
			defer res.Body.Close()
			body, err := io.ReadAll(res.Body)
			return string(body), err
		}
	}

	begin("request", answer(ask("POST", base+"/process/execute",
		strings.NewReader(`{"command":"touch /tmp/runs; sleep 1000"}`))))
	link, _ := preview(s.As(t, s.Key), box, 3000)
	begin("app that never answers", answer(ask("GET", link+"/", nil)))

	conn, err := net.Dial("tcp", s.Proxy)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_, path, _ := strings.Cut(base, s.Proxy)
	if _, err := fmt.Fprintf(conn,
		"POST %s/files/upload-v2?path=/tmp/half HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Length: "+
			"1000000\r\n\r\nhalf of it",
		path, s.Key); err != nil {
		t.Fatal(err)
	}
	begin("half-sent upload", func() (string, error) {
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			return "", err
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		return string(body), err
	})

	res, err := http.DefaultClient.Do(ask("GET", base+"/process/session/s/command/"+command.CmdID+"/logs?stream=true",
		nil))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = res.Body.Close() })
	lines := bufio.NewReader(res.Body)
	if line, err := lines.ReadString('\n'); err != nil || !strings.Contains(line, "begun") {
		t.Fatalf("the stream begins with %q, %v", line, err)
	}
	begin("stream", func() (string, error) {
		_, err := io.Copy(io.Discard, lines)
		return "", err
	})

	ws, _, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(base, "http")+"/process/pty/p/connect",
		http.Header{"Authorization": {"Bearer " + s.Key}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ws.Close() })
	begin("websocket", func() (string, error) {
		for {
			if _, _, err := ws.ReadMessage(); err != nil {
				var frame *websocket.CloseError
				if errors.As(err, &frame) && frame.Code == websocket.CloseGoingAway {
					return frame.Text, nil
				}
				return "", err
			}
		}
	})
	harness.Until(t, 10*time.Second, "all requests to arrive", func() bool {
		code, _ := box.Exec("test -e /tmp/runs && netstat -tn | grep -q ':3000.*ESTABLISHED'")
		return code == 0
	})
	return all
}

// TestOpenRequestsEndWithTheirSandbox: whoever waits for a sandbox that has ended is told so within a second, and why.
func TestOpenRequestsEndWithTheirSandbox(t *testing.T) {
	s, c := small.up(t)
	for _, tc := range []struct {
		name, says string
		act        func(*harness.Box)
	}{
		{"stopped", "is stop", func(box *harness.Box) {
			stopped := make(chan struct{})
			t.Cleanup(func() { <-stopped })
			go func() {
				defer close(stopped)
				c.API("POST", "/sandbox/"+box.ID+"/stop", nil)
			}()
			box.WaitState("stopping", "stopped")
		}},
		{"deleted", "is being deleted", func(box *harness.Box) { c.API("DELETE", "/sandbox/"+box.ID, nil) }},
		{"killed", "is stopped: its first process was ended by signal 9", func(box *harness.Box) {
			if _, err := s.Docker("kill", box.ID); err != nil {
				t.Error(err)
			}
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			box := c.Create(nil)
			all := opened(t, s, box)
			began := time.Now()
			tc.act(box)
			if tc.name == "killed" {
				began = time.Now()
			}
			all = append(all, late(t, s, box))
			for _, o := range all {
				select {
				case e := <-o.ended:
					t.Logf("%s ended after %v: %s %v", o.name, e.at.Sub(began).Round(time.Millisecond), e.said, e.err)
					if e.at.Sub(began) > time.Second {
						t.Errorf("%s took %v, want a second at most", o.name, e.at.Sub(began))
					}
					switch o.name {
					case "stream": // what was begun cannot be answered otherwise: it is cut off, not ended as if it were whole
						if e.err == nil {
							t.Error("the stream ended as if it were whole")
						}
					case "websocket":
						if !strings.Contains(e.said, tc.says) {
							t.Errorf("the websocket was closed with %q, %v; want %q", e.said, e.err, tc.says)
						}
					default:
						var body struct{ Code, Message string }
						if err := json.Unmarshal([]byte(e.said), &body); err != nil || body.Code != "SANDBOX_NOT_STARTED" ||
							!strings.Contains(body.Message, tc.says) {
							t.Errorf("%s was answered %q, %v; want SANDBOX_NOT_STARTED and %q", o.name, e.said, e.err, tc.says)
						}
					}
				case <-time.After(5 * time.Second):
					t.Errorf("%s hangs for 5 s", o.name)
				}
			}
		})
	}
}

// late begins a request when its sandbox has just ended.
func late(t *testing.T, s *harness.Sandlot, box *harness.Box) open {
	o := open{"request after the end", make(chan ending, 1)}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.Proxy+"/toolbox/"+box.ID+"/version", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+s.Key)
	go func() {
		defer cancel()
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			o.ended <- ending{at: time.Now(), err: err}
			return
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		o.ended <- ending{time.Now(), string(body), err}
	}()
	return o
}

// TestAppsWordsHaveBounds: what an app of a public sandbox says before its answer reaches strangers and the log in
// short.
func TestAppsWordsHaveBounds(t *testing.T) {
	s, c := small.up(t)
	box := c.Create(map[string]any{"public": true})
	link, _ := preview(c, box, 3000)
	for _, words := range []string{
		`(printf 'HTTP/1.1 '; head -c 8000000 /dev/zero | tr '\0' x)`,
		`printf 'HTTP/1.1 099 low\r\nContent-Length: 0\r\n\r\n'`,
		`(printf 'HTTP/1.1 200 OK\r\nX-A: '; head -c 8000000 /dev/zero | tr '\0' x)`,
	} {
		for _, through := range []string{"preview", "toolbox"} {
			// It reads the request first: what closes with that unread resets the connection.
			box.MustExec(`rm -f /tmp/app; printf '%s\n' '#!/bin/sh' 'head -n 1 >/dev/null' ` + shellQuote(words) +
				` >/tmp/app; chmod +x /tmp/app; (setsid nc -l -p 3000 -e /tmp/app >/dev/null 2>&1 &)`)
			harness.Until(t, 5*time.Second, "the app", func() bool {
				code, _ := box.Exec("netstat -ltn | grep -q :3000")
				return code == 0
			})
			url, key := link+"/", ""
			if through == "toolbox" {
				url, key = strings.TrimSuffix(box.ToolboxProxyURL, "/")+"/"+box.ID+"/proxy/3000/", s.Key
			}
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
			if err != nil {
				t.Fatal(err)
			}
			if key != "" {
				req.Header.Set("Authorization", "Bearer "+key)
			}
			res, err := s.HTTP().Do(req)
			if err != nil {
				t.Errorf("%s of %.30s: %v", through, words, err)
				continue
			}
			body, err := io.ReadAll(res.Body)
			_ = res.Body.Close()
			if err != nil || res.StatusCode != http.StatusBadGateway || len(body) > 1000 ||
				strings.Contains(string(body), "172.") {
				t.Errorf("%s of %.30s: %d, %d bytes, %v: %.300s", through, words, res.StatusCode, len(body), err, body)
			}
		}
	}
	if code, _ := box.Exec("true"); code != 0 {
		t.Error("the toolbox does not go on")
	}
	if log := s.Process.Tail(); strings.Contains(log, strings.Repeat("x", 1000)) || strings.Contains(log, "panic") {
		t.Errorf("the log: %.3000s", log)
	}
}

func shellQuote(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }
