//go:build e2e

package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/sandlot-dev/sandlot/api"
	"github.com/sandlot-dev/sandlot/tests/harness"
)

// typed is an answer: the status, and of an error its code and message.
type typed struct {
	status        int
	Code, Message string
	took          time.Duration
	body          []byte
}

func (a typed) String() string {
	return fmt.Sprintf("%d %s %q after %v", a.status, a.Code, a.Message, a.took.Round(time.Millisecond))
}

// ask sends a request and waits for at most 10 s; the status is 0 when nothing came.
func (d *daemon) ask(method, path string, in any) (a typed) {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(d.t.Context(), 10*time.Second)
	defer cancel()
	e := *d
	e.ctx = ctx
	began := time.Now()
	res, err := e.open(method, path, in)
	if err == nil {
		defer res.Body.Close()
		a.status = res.StatusCode
		if a.body, err = io.ReadAll(res.Body); err == nil && a.status >= 400 {
			err = json.Unmarshal(a.body, &a)
		}
	}
	if err != nil {
		d.t.Errorf("%s %s: %v", method, path, err)
	}
	a.took = time.Since(began)
	if a.status >= 400 && (a.Code == "" || a.Message == "") {
		d.t.Errorf("%s %s: an error without code or message: %d %s", method, path, a.status, a.body)
	}
	return a
}

// run executes a command; what it prints is only known of a 200.
func (d *daemon) run(command string) (typed, api.ExecuteResponse) {
	d.t.Helper()
	a := d.ask("POST", "/process/execute", api.ExecuteRequest{Command: command, Timeout: 4})
	var res api.ExecuteResponse
	if a.status == 200 {
		if err := json.Unmarshal(a.body, &res); err != nil {
			d.t.Error(err)
		}
	}
	return a, res
}

// processes lists those of the container, as the engine sees them: toolboxd first.
func (c *pid1) processes() []string {
	out, _ := harness.Docker("", nil, "top", c.id, "-o", "pid,stat,args") // one that ends meanwhile is an error
	lines := strings.Split(strings.TrimSpace(out), "\n")
	return lines[1:]
}

// TestDaemonSurvives asks for the version and a new command several times while something bad lasts, and looks
// whether all is well when it is over. A command may be refused, with words, or fail for what there is none of; it
// may not hang.
func TestDaemonSurvives(t *testing.T) {
	for _, tc := range []struct {
		name, bad, sign string // sign is what the processes of the bad thing have in their command line
	}{
		{"fork bomb", "f() { f | f & }; f", ""},
		{"fork bomb of sleepers", "while :; do sleep 1000 & done 2>/dev/null", "sleep 1000"},
		{"memory", "while :; do tail /dev/zero; done", "tail"},
		{"memory of many", "while :; do for i in 1 2 3 4 5 6; do tail /dev/zero & done; wait; done", "tail"},
		{"memory in Python", "while :; do python3 -c 'a = []\nwhile True: a.append(bytearray(1 << 20))'; done", "python3"},
		{"processor", "for i in 1 2 3 4 5 6 7 8; do while :; do :; done & done; wait", ""},
		{"output", "yes", "yes"},
		{"files", "i=0; while :; do i=$((i+1)); : > /tmp/$i; done", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := runPID1(t, defaultImage, []string{
				"-e", "DAYTONA_TERMINATION_GRACE_PERIOD=1s", "--pids-limit", "256",
				"--memory", "256m", "--memory-swap", "256m", "--cpus", "1", "--tmpfs", "/tmp:size=32m,nr_inodes=16k",
			})
			c.session("bad")
			c.start("bad", tc.bad)
			harness.Until(t, 5*time.Second, "it to begin", func() bool {
				all := c.processes()
				return len(all) > 1 && strings.Contains(strings.Join(all, "\n"), tc.sign)
			})
			slowest, done := time.Duration(0), 0
			for end := time.Now().Add(time.Duration(harness.Size(1, 10)) * time.Second); time.Now().Before(end); {
				version := c.ask("GET", "/version", nil)
				answer, res := c.run("echo alive")
				if version.status != 200 {
					t.Errorf("version: %v", version)
				}
				if slowest = max(slowest, version.took, answer.took); answer.status == 200 && res.ExitCode == 0 &&
					res.Result == "alive\n" {
					done++
				} else if answer.status == 200 {
					t.Logf("the command ended with %d, %s %q", res.ExitCode, res.Signal, res.Result)
				} else {
					t.Logf("the command was refused: %v", answer)
				}
			}
			t.Logf("%d commands were done while it lasted; the slowest answer came after %v", done,
				slowest.Round(time.Millisecond))
			if slowest > time.Second {
				t.Errorf("an answer came after %v, want at most 1 s", slowest)
			}
			began := time.Now()
			if a := c.ask("DELETE", "/process/session/bad", nil); a.status != 204 {
				t.Errorf("deleting it: %v", a)
			}
			t.Logf("it was ended after %v", time.Since(began).Round(time.Millisecond))
			if a, res := c.run("echo well"); a.status != 200 || res.ExitCode != 0 || res.Result != "well\n" ||
				a.took > time.Second {
				t.Errorf("afterwards: %v, %+v", a, res)
			}
			var left []string
			if !harness.Wait(time.Second, func() bool {
				left = c.processes()
				return len(left) == 1
			}) {
				t.Errorf("processes of it are left: %q", left[1:])
			}
		})
	}
}

// TestDaemonSurvivesAFreeze stops all of a container for a while, as a runner does with an idle sandbox: for its
// processes the clock jumps.
func TestDaemonSurvivesAFreeze(t *testing.T) {
	c := runPID1(t, harness.Busybox, nil)
	c.session("s")
	log := c.start("s", "i=0; while test $i -lt 30; do i=$((i+1)); echo $i; sleep 0.05; done") + "/logs"
	ws, err := c.dial(log + "?follow=true")
	if err != nil {
		t.Fatal(err)
	}
	defer ws.Close()
	harness.Until(t, 5*time.Second, "the first line", func() bool { return strings.Contains(c.text(log), "1\n") })
	if _, err := harness.Docker("", nil, "pause", c.id); err != nil {
		t.Fatal(err)
	}
	<-time.After(2 * time.Second) // the freeze is what is tested
	if _, err := harness.Docker("", nil, "unpause", c.id); err != nil {
		t.Fatal(err)
	}
	if a := c.ask("GET", "/version", nil); a.status != 200 || a.took > time.Second {
		t.Errorf("version: %v", a)
	}
	if a, res := c.run("echo well"); a.status != 200 || res.Result != "well\n" || a.took > time.Second {
		t.Errorf("a command: %v, %+v", a, res)
	}
	all := ""
	for {
		_, data, err := ws.ReadMessage()
		if err != nil {
			if !websocket.IsCloseError(err, websocket.CloseNormalClosure) {
				t.Errorf("the follower's end: %v", err)
			}
			break
		}
		all += strings.TrimPrefix(string(data), "\x01\x01\x01")
	}
	if want := "29\n30\n"; !strings.HasPrefix(all, "1\n2\n") || !strings.HasSuffix(all, want) ||
		strings.Count(all, "\n") != 30 {
		t.Errorf("the follower saw %q", all)
	}
}

// TestDaemonSaysWhatIsMissing takes away what programs rely on. What needs it is refused in words that name it; all
// else goes on.
func TestDaemonSaysWhatIsMissing(t *testing.T) {
	type step struct {
		method, path string
		body         any
		statuses     []int
		says         string // in the message of an error or in the output, "" is anything
	}
	execute := func(command string) api.ExecuteRequest { return api.ExecuteRequest{Command: command, Timeout: 4} }
	file := strings.Repeat("x", 1<<20)
	for _, tc := range []struct {
		name, image string
		args        []string
		breaks      string // run first
		steps       []step
		mend        string // run then
		after       []step
	}{
		{
			"full disk", defaultImage,
			[]string{"--tmpfs", "/tmp:size=8m", "--tmpfs", "/home/daytona:size=8m,uid=1000,gid=1000"},
			"cat /dev/zero > /tmp/full; cat /dev/zero > /home/daytona/full; true",
			[]step{
				{"POST", "/process/execute", execute("echo alive"), []int{200}, `"alive\n"`},
				{"POST", "/process/execute", execute("yes | head -c 4000000"), []int{200}, `"truncated":true`},
				{"POST", "/files/upload-v2?path=/tmp/one", strings.NewReader(file), []int{507, 400, 413}, "space"},
				{"GET", "/files/info?path=/tmp/one", nil, []int{404}, ""},
				{"POST", "/process/session", api.CreateSessionRequest{SessionID: "full"}, []int{201}, ""},
				{"POST", "/process/session/full/exec", api.SessionExecuteRequest{Command: "echo alive"}, []int{200}, `"alive\n"`},
				{"POST", "/process/code-run", api.CodeRunRequest{Language: "python", Code: "print(6*7)"}, []int{200}, `"42\n"`},
				{"POST", "/process/pty", api.PtyCreateRequest{ID: "full"}, []int{201}, ""},
			},
			"rm -f /tmp/full /home/daytona/full",
			[]step{{"POST", "/files/upload-v2?path=/tmp/one", strings.NewReader(file), []int{200}, ""}},
		},
		{
			"nothing in /tmp and home", defaultImage, nil,
			"rm -rf /tmp/* /home/daytona/* /home/daytona/.[a-z]*; true",
			[]step{
				{"POST", "/process/execute", execute("echo alive"), []int{200}, `"alive\n"`},
				{"POST", "/process/execute", api.ExecuteRequest{Command: "pwd", Cwd: "/tmp/none"}, []int{200}, "/tmp/none"},
				{"POST", "/process/session", api.CreateSessionRequest{SessionID: "bare"}, []int{201}, ""},
				{"POST", "/process/session/bare/exec", api.SessionExecuteRequest{Command: "echo alive"}, []int{200}, `"alive\n"`},
				{"POST", "/process/pty", api.PtyCreateRequest{ID: "bare"}, []int{201}, ""},
				{"GET", "/files?path=/tmp/none", nil, []int{404}, "/tmp/none"},
				{"POST", "/process/execute", execute("yes | head -c 9000000 | tail -c 3"), []int{200}, ""},
			},
			"true", nil,
		},
		{
			"no /tmp and no work folder", harness.Busybox,
			[]string{"-e", "HOME=/root", "-e", "DAYTONA_USER_HOME_AS_WORKDIR=true"},
			"cd /; rm -rf /tmp /root; ls /",
			[]step{
				{"POST", "/process/execute", api.ExecuteRequest{Command: "echo alive", Cwd: "/"}, []int{200}, `"alive\n"`},
				{"POST", "/process/execute", execute("pwd"), []int{200}, `"/\n"`}, // the default folder may be missing
				{"POST", "/process/execute", api.ExecuteRequest{Command: "pwd", Cwd: "/root"}, []int{200}, "/root"},
				{"POST", "/process/session", api.CreateSessionRequest{SessionID: "bare"}, []int{201}, ""},
				{"POST", "/process/pty", api.PtyCreateRequest{ID: "bare"}, []int{201}, ""},
				{"POST", "/process/pty", api.PtyCreateRequest{ID: "asked", Cwd: "/root"}, []int{404}, "/root"},
				{"POST", "/files/upload-v2?path=/root/again", strings.NewReader(file), []int{200}, ""},
			},
			"mkdir -p /tmp /root",
			[]step{{"POST", "/process/execute", execute("pwd"), []int{200}, `"/root\n"`}},
		},
		{
			"read-only root", defaultImage,
			[]string{"--read-only"},
			"! touch /tmp/x /home/daytona/x 2>/dev/null",
			[]step{
				{"POST", "/process/execute", execute("echo alive"), []int{200}, `"alive\n"`},
				{"POST", "/process/execute", execute("yes | head -c 9000000"), []int{200}, ""},
				{"POST", "/process/session", api.CreateSessionRequest{SessionID: "ro"}, []int{201}, ""},
				{"POST", "/process/session/ro/exec", api.SessionExecuteRequest{Command: "echo alive"}, []int{200}, `"alive\n"`},
				{"POST", "/process/pty", api.PtyCreateRequest{ID: "ro"}, []int{201}, ""},
				{"POST", "/process/code-run", api.CodeRunRequest{Language: "python", Code: "print(6*7)"}, []int{200}, `"42\n"`},
				{"POST", "/files/upload-v2?path=/home/daytona/x", strings.NewReader(file), []int{403, 400}, "read-only"},
				{"POST", "/files/folder?path=/home/daytona/d&mode=755", nil, []int{403, 400}, "read-only"},
				{"GET", "/files?path=/", nil, []int{200}, ""},
			},
			"true", nil,
		},
		{
			"no /dev/pts", harness.Busybox,
			[]string{"--tmpfs", "/dev/pts"},
			"! ls /dev/pts/ptmx",
			[]step{
				{"POST", "/process/execute", execute("echo alive"), []int{200}, `"alive\n"`},
				{"POST", "/process/session", api.CreateSessionRequest{SessionID: "no"}, []int{201}, ""},
				{"POST", "/process/session/no/exec", api.SessionExecuteRequest{Command: "echo alive"}, []int{200}, `"alive\n"`},
				{"POST", "/process/pty", api.PtyCreateRequest{ID: "no"}, []int{422, 500, 503}, "pt"},
				{"GET", "/process/pty", nil, []int{200}, `[]`},
			},
			"true", nil,
		},
		{
			"no shell", harness.Scratch, nil, "/opt/sandlot/toolboxd --version",
			[]step{
				{"POST", "/process/execute", execute("echo $HOME"), []int{200}, "no shell"},
				{"POST", "/process/execute", execute("/opt/sandlot/toolboxd --version"), []int{200}, "toolboxd "},
				{"POST", "/process/session", api.CreateSessionRequest{SessionID: "no"}, []int{422}, "shell"},
				{"POST", "/process/pty", api.PtyCreateRequest{ID: "no"}, []int{422}, "shell"},
				{"POST", "/process/code-run", api.CodeRunRequest{Language: "python", Code: "print(6*7)"}, []int{200}, "python"},
				{"POST", "/git/init", api.GitInitRequest{Path: "/repo"}, []int{201}, ""},
				{"POST", "/files/upload-v2?path=/tmp/deep/one", strings.NewReader(file), []int{200}, ""},
				{"GET", "/files/find?path=/tmp&pattern=y", nil, []int{200}, "[]"},
			},
			"/opt/sandlot/toolboxd --version", nil,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := runPID1(t, tc.image, tc.args)
			try := func(steps []step) {
				for _, s := range steps {
					if a := c.ask("GET", "/version", nil); a.status != 200 || a.took > time.Second {
						t.Errorf("version: %v", a)
					}
					a := c.ask(s.method, s.path, s.body)
					text := string(a.body)
					t.Logf("%s %s: %v %.160s", s.method, s.path, a, text)
					if !slices.Contains(s.statuses, a.status) || !strings.Contains(text, s.says) || a.took > time.Second {
						t.Errorf("%s %s: %d after %v: %.300s; want %v and %q within 1 s", s.method, s.path, a.status, a.took, text,
							s.statuses, s.says)
					}
				}
			}
			if a, res := c.run(tc.breaks); a.status != 200 || res.ExitCode != 0 {
				t.Fatalf("%q: %v, %+v", tc.breaks, a, res)
			}
			try(tc.steps)
			if a, res := c.run(tc.mend); a.status != 200 || res.ExitCode != 0 {
				t.Errorf("%q: %v, %+v", tc.mend, a, res)
			}
			try(tc.after)
		})
	}
}
