//go:build e2e

package e2e_test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/sandlot-dev/sandlot/api"
	"github.com/sandlot-dev/sandlot/tests/harness"
)

// pid1 is a container whose process 1 is toolboxd, without runner and proxy.
type pid1 struct {
	*daemon
	id string
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
	name := fmt.Sprintf("sandlot-test-%d-%s", os.Getpid(), strings.ReplaceAll(addr, ":", "-"))
	t.Cleanup(func() { _, _ = harness.Docker("", nil, "rm", "-f", name) }) // also one that could not be started
	run := append([]string{
		"run", "-d", "--name", name, "--network", "host", "-v",
		program + ":/opt/sandlot/toolboxd:ro", "--entrypoint", "/opt/sandlot/toolboxd",
	}, args...)
	id, err := harness.Docker("", nil, append(append(run, image, "--listen", addr), argv...)...)
	if err != nil {
		t.Fatal(err)
	}
	c := &pid1{daemon: &daemon{t: t, base: "http://" + addr}, id: strings.TrimSpace(id)}
	t.Cleanup(func() {
		if t.Failed() {
			log, _ := harness.Run(nil, nil, "sh", "-c", `docker logs "$0" 2>&1; docker inspect -f '{{json .State}}' "$0"`, c.id)
			t.Logf("log and state of the container:\n%s", log)
		}
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
		{"busybox, read-only, no capability", harness.Busybox, []string{
			"--read-only", "--cap-drop", "ALL",
			"--security-opt", "no-new-privileges", "--user", "1234",
		}, true},
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
				{"cd /usr 2>/dev/null || cd /bin; X=1", "", 0},
				{"pwd | cut -c1; echo $X", "/\n1\n", 0},
				{"if fi", "", 2},
				{"echo still; (exit 4)", "still\n", 4},
				{"exit 5", "", 5},
			} {
				var res api.SessionExecuteResponse
				c.call("POST", "/process/session/s/exec", api.SessionExecuteRequest{Command: step.command}, &res)
				if res.ExitCode == nil || *res.ExitCode != step.code || step.code != 2 && *res.Output != step.output {
					t.Errorf("session: %q gave %+v; want %d, %q", step.command, res, step.code, step.output)
				}
			}
			if status := c.call("POST", "/process/session/s/exec", api.SessionExecuteRequest{Command: "true"},
				nil); status != 410 {
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
	if status := c.call("GET", "/process/session/entrypoint", nil, &s); status != 200 || len(s.Commands) != 1 ||
		s.Commands[0].ExitCode != nil ||
		!strings.HasPrefix(s.Commands[0].Command, "'sh' '-c' 'echo ") {
		t.Errorf("the session is %d, %+v", status, s)
	}
	if out, err := harness.Docker("", nil, "exec", c.id, "timeout", "1", "/opt/sandlot/toolboxd", "--listen",
		strings.TrimPrefix(c.base, "http://"), "entrypoint", "logs"); !strings.HasPrefix(out, "ready\n") {
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
