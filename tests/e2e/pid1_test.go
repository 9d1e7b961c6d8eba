//go:build e2e

package e2e_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sandlot-dev/sandlot/api"
	"github.com/sandlot-dev/sandlot/tests/harness"
)

// pid1 is a container whose process 1 is toolboxd, without runner and proxy.
type pid1 struct {
	t        *testing.T
	id, base string
}

// runPID1 runs toolboxd in an image; args go to docker, argv to toolboxd.
func runPID1(t *testing.T, image string, args []string, argv ...string) *pid1 {
	t.Helper()
	if image != defaultImage {
		harness.Image(t, "", image)
	}
	program, err := harness.Bin("toolboxd")
	if err != nil {
		t.Fatal(err)
	}
	addr, err := harness.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	run := append([]string{"run", "-d", "--network", "host", "-v", program + ":/opt/sandlot/toolboxd:ro", "--entrypoint", "/opt/sandlot/toolboxd"}, args...)
	id, err := harness.Docker("", nil, append(append(run, image, "--listen", addr), argv...)...)
	if err != nil {
		t.Fatal(err)
	}
	c := &pid1{t: t, id: strings.TrimSpace(id), base: "http://" + addr}
	t.Cleanup(func() {
		if t.Failed() {
			log, _ := harness.Docker("", nil, "logs", c.id)
			t.Logf("log of the container:\n%s", log)
		}
		_, _ = harness.Docker("", nil, "rm", "-f", c.id)
	})
	harness.Until(t, 10*time.Second, "the toolbox answers", func() bool {
		res, err := http.Get(c.base + "/version")
		if err == nil {
			res.Body.Close()
		}
		return err == nil && res.StatusCode == 200
	})
	return c
}

func (c *pid1) inspect(format string) string {
	c.t.Helper()
	out, err := harness.Docker("", nil, "inspect", "-f", format, c.id)
	if err != nil {
		c.t.Fatal(err)
	}
	return strings.TrimSpace(out)
}

// call sends a request and decodes the answer into out, if there is one.
func (c *pid1) call(method, path string, in, out any) int {
	c.t.Helper()
	body, err := json.Marshal(in)
	if err != nil {
		c.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(c.t.Context(), method, c.base+path, bytes.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		c.t.Error(err)
		return 0
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err == nil && out != nil {
		err = json.Unmarshal(data, out)
	}
	if err != nil {
		c.t.Errorf("%s %s: %v in %.300s", method, path, err, data)
	}
	return res.StatusCode
}

func (c *pid1) exec(command string) (code int, output string) {
	c.t.Helper()
	var res api.ExecuteResponse
	if status := c.call("POST", "/process/execute", api.ExecuteRequest{Command: command}, &res); status != 200 {
		c.t.Errorf("execute %q: status %d", command, status)
	}
	return res.ExitCode, res.Result
}

// stop stops the container and says how long toolboxd took.
func (c *pid1) stop() (took time.Duration, exit string) {
	c.t.Helper()
	began := time.Now()
	if _, err := harness.Docker("", nil, "stop", "-t", "20", c.id); err != nil {
		c.t.Fatal(err)
	}
	finished, err := time.Parse(time.RFC3339Nano, c.inspect("{{.State.FinishedAt}}"))
	if err != nil {
		c.t.Fatal(err)
	}
	return finished.Sub(began), c.inspect("{{.State.ExitCode}}")
}

func TestToolboxdInAnyImage(t *testing.T) {
	for _, tc := range []struct {
		name, image string
		args        []string
		shell       bool
	}{
		{"default image", defaultImage, nil, true},
		{"default image, another user, read-only", defaultImage, []string{"--user", "12345:12345", "--read-only"}, true},
		{"busybox", harness.Busybox, nil, true},
		{"busybox, read-only, no capability", harness.Busybox, []string{"--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--user", "1234"}, true},
		{"nothing", harness.Scratch, nil, false},
		{"nothing, read-only, another user", harness.Scratch, []string{"--user", "12345", "--read-only"}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			c := runPID1(t, tc.image, tc.args)
			if code, out := c.exec("/opt/sandlot/toolboxd --version"); code != 0 || !strings.HasPrefix(out, "toolboxd ") {
				t.Errorf("a plain program gave %d, %q", code, out)
			}
			if !tc.shell {
				if code, out := c.exec("echo $HOME"); code != 127 || !strings.Contains(out, "no shell") {
					t.Errorf("a script without a shell gave %d, %q", code, out)
				}
				if status := c.call("POST", "/process/session", api.CreateSessionRequest{SessionID: "s"}, nil); status != 422 {
					t.Errorf("a session without a shell gave %d", status)
				}
				return
			}
			if code, out := c.exec("echo out; echo err >&2; exit 7"); code != 7 || out != "out\nerr\n" {
				t.Errorf("a script gave %d, %q", code, out)
			}
			if code, out := c.exec(": " + strings.Repeat("x", 300_000) + "\necho long"); code != 0 || out != "long\n" {
				t.Errorf("a long script gave %d, %q", code, out)
			}
			c.call("POST", "/process/session", api.CreateSessionRequest{SessionID: "s"}, nil)
			for _, step := range []struct {
				command, output string
				code            int
			}{
				{"cd /usr 2>/dev/null || cd /bin; X=1", "", 0}, {"pwd | cut -c1; echo $X", "/\n1\n", 0}, {"if fi", "", 2}, {"echo still; (exit 4)", "still\n", 4}, {"exit 5", "", 5},
			} {
				var res api.SessionExecuteResponse
				c.call("POST", "/process/session/s/exec", api.SessionExecuteRequest{Command: step.command}, &res)
				if res.ExitCode == nil || *res.ExitCode != step.code || step.code != 2 && *res.Output != step.output {
					t.Errorf("session: %q gave %+v; want %d, %q", step.command, res, step.code, step.output)
				}
			}
			if status := c.call("POST", "/process/session/s/exec", api.SessionExecuteRequest{Command: "true"}, nil); status != 410 {
				t.Errorf("an ended session gave %d, want 410", status)
			}
			if status := c.call("POST", "/process/pty", api.PtyCreateRequest{ID: "p"}, nil); status != 201 {
				t.Errorf("a terminal gave %d", status)
			}
			if took, exit := c.stop(); exit != "0" || took > 3*time.Second {
				t.Errorf("stop took %v, exit code %s", took, exit)
			}
		})
	}
}

func TestProcessOneReapsAndKeepsCodesExact(t *testing.T) {
	c := runPID1(t, harness.Busybox, nil)
	var group sync.WaitGroup
	for w := range 8 {
		group.Go(func() {
			for i := w; i < 400; i += 8 {
				if i%8 == 0 { // leave 200 orphans
					c.exec(`for i in 1 2 3 4 5 6 7 8 9 10; do (for j in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do (sh -c 'exit 9' &) ; done &) ; done >/dev/null 2>&1 </dev/null`)
				}
				if code, out := c.exec(fmt.Sprintf("echo line %d; exit %d", i, i%256)); code != i%256 || out != fmt.Sprintf("line %d\n", i) {
					t.Errorf("command %d gave %d, %q", i, code, out)
				}
			}
		})
	}
	group.Wait()
	last := ""
	if !harness.Wait(2*time.Second, func() bool {
		_, last = c.exec("grep -l '^State:.*Z' /proc/[0-9]*/status 2>/dev/null | wc -l")
		return last == "0\n"
	}) {
		t.Errorf("zombies left 2 s after the last orphan: %s", last)
	}
}

func TestTimeoutLeavesNothingInTheContainer(t *testing.T) {
	c := runPID1(t, defaultImage, nil)
	for _, command := range []string{
		"sleep 7777 & sleep 7777", "setsid sleep 7777 >/dev/null 2>&1 & sleep 7777", "(setsid sh -c 'sleep 7777 & exit' >/dev/null 2>&1 &); sleep 7777",
		"trap '' TERM HUP; sh -c 'trap \"\" TERM; sleep 7777' & sleep 7777", "env -i setsid sleep 7777 & sleep 7777",
	} {
		began := time.Now()
		if status := c.call("POST", "/process/execute", api.ExecuteRequest{Command: command, Timeout: 1}, nil); status != 408 || time.Since(began) > 4*time.Second {
			t.Errorf("%q: status %d after %v", command, status, time.Since(began))
		}
		if _, out := c.exec("pgrep -x sleep"); out != "" {
			t.Errorf("%q left %q", command, out)
		}
	}
}

func TestProcessOneStopsInTime(t *testing.T) {
	for _, tc := range []struct {
		name, command string
		most          time.Duration // of toolboxd and the engine
	}{
		{"idle", "true", 1500 * time.Millisecond},
		{"with work that ends when asked", "sleep 1000 & sleep 1000 &", 1500 * time.Millisecond},
		{"with work that does not", "(trap '' TERM HUP; while :; do sleep 1; done) >/dev/null 2>&1 &", 8 * time.Second},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			c := runPID1(t, harness.Busybox, nil)
			c.call("POST", "/process/session", api.CreateSessionRequest{SessionID: "s"}, nil)
			c.call("POST", "/process/session/s/exec", api.SessionExecuteRequest{Command: tc.command, RunAsync: true}, nil)
			if took, exit := c.stop(); took > tc.most || exit != "0" {
				t.Errorf("stop took %v, exit code %s; want at most %v, 0", took, exit, tc.most)
			}
		})
	}
}

func TestEntrypointIsASession(t *testing.T) {
	script := `echo $$ > /tmp/entry; for s in HUP USR1 USR2 WINCH; do trap "echo got $s" $s; done; echo ready; i=0; while [ $i -lt 600 ]; do sleep 0.1; i=$((i+1)); done; exit 3`
	c := runPID1(t, harness.Busybox, nil, "--", "sh", "-c", script)
	logs := func() string {
		res, err := http.Get(c.base + "/process/session/entrypoint/command/entrypoint_command/logs")
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		data, _ := io.ReadAll(res.Body)
		return string(data)
	}
	harness.Until(t, 5*time.Second, "the entrypoint is ready", func() bool { return strings.HasPrefix(logs(), "ready\n") })
	for _, s := range []string{"HUP", "USR1", "USR2", "WINCH"} {
		if _, err := harness.Docker("", nil, "kill", "-s", s, c.id); err != nil {
			t.Fatal(err)
		}
		harness.Until(t, 5*time.Second, "signal "+s, func() bool { return strings.Contains(logs(), "got "+s+"\n") })
	}
	var s api.Session
	if status := c.call("GET", "/process/session/entrypoint", nil, &s); status != 200 || len(s.Commands) != 1 || s.Commands[0].ExitCode != nil ||
		!strings.HasPrefix(s.Commands[0].Command, "'sh' '-c' 'echo ") {
		t.Errorf("the session is %d, %+v", status, s)
	}
	if out, err := harness.Docker("", nil, "exec", c.id, "timeout", "1", "/opt/sandlot/toolboxd", "--listen", strings.TrimPrefix(c.base, "http://"), "entrypoint", "logs"); !strings.HasPrefix(out, "ready\n") {
		t.Errorf("toolboxd entrypoint logs printed %q, %v", out, err)
	}
	c.exec("kill -KILL $(cat /tmp/entry)")
	harness.Until(t, 5*time.Second, "its end is told", func() bool {
		c.call("GET", "/process/session/entrypoint", nil, &s)
		return s.Commands[0].ExitCode != nil
	})
	if got := *s.Commands[0].ExitCode; got != 137 {
		t.Errorf("exit code %d, want 137", got)
	}
	if code, _ := c.exec("true"); code != 0 {
		t.Error("the sandbox ended with its entrypoint")
	}
}

func TestSecretsOfProcessOneAreItsOwn(t *testing.T) {
	c := runPID1(t, defaultImage, []string{"-e", "SANDLOT_OTHER=hidden"})
	if code, out := c.exec("cat /proc/1/environ; env | grep SANDLOT_OTHER"); code == 0 || strings.Contains(out, "hidden") {
		t.Errorf("the environment of process 1 is read: %d, %q", code, out)
	}
	if _, err := os.Stat("/proc/self/oom_score_adj"); err == nil {
		if _, out := c.exec("cat /proc/1/oom_score_adj /proc/self/oom_score_adj"); out == "" {
			t.Errorf("no scores")
		}
	}
}

// TestProcessOneSurvives asks for a command while something bad lasts.
func TestProcessOneSurvives(t *testing.T) {
	for _, tc := range []struct{ name, bad string }{
		{"fork bomb", "f() { f | f & }; f"},
		{"memory", "exec tail /dev/zero"},
		{"full disk", "cat /dev/zero > /tmp/full"},
		{"no /tmp, no home", "rm -rf /tmp /home/daytona/.* /home/daytona/*"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := runPID1(t, defaultImage, []string{"--pids-limit", "256", "--memory", "256m", "--memory-swap", "256m", "--tmpfs", "/tmp:size=32m"})
			c.call("POST", "/process/session", api.CreateSessionRequest{SessionID: "s"}, nil)
			c.call("POST", "/process/session/s/exec", api.SessionExecuteRequest{Command: tc.bad, RunAsync: true}, nil)
			time.Sleep(time.Second)
			began := time.Now()
			if status := c.call("GET", "/version", nil, nil); status != 200 {
				t.Errorf("version: %d", status)
			}
			status := c.call("POST", "/process/execute", api.ExecuteRequest{Command: "echo alive", Timeout: 5}, nil)
			if took := time.Since(began); status != 200 && status != 408 && status != 503 || took > 8*time.Second {
				t.Errorf("execute: status %d after %v", status, took)
			}
			began = time.Now()
			if status := c.call("DELETE", "/process/session/s", nil, nil); status != 204 {
				t.Errorf("delete: %d", status)
			}
			t.Logf("deleted after %v", time.Since(began))
			if code, out := c.exec("echo alive"); code != 0 || out != "alive\n" {
				t.Errorf("afterwards: %d, %q", code, out)
			}
		})
	}
}
