//go:build e2e

package e2e_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sandlot-dev/sandlot/tests/harness"
)

// hardened is how the runner starts a sandbox's container.
var hardened = []string{"--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--memory", "1g"}

// tasks counts the processes and threads of the container; docker top fails while there are many.
func (c *pid1) tasks() int {
	for _, pattern := range []string{
		"/sys/fs/cgroup/pids/docker/", "/sys/fs/cgroup/docker/",
		"/sys/fs/cgroup/system.slice/docker-",
	} {
		files, _ := filepath.Glob(pattern + c.id + "*/pids.current")
		for _, file := range files {
			if data, err := os.ReadFile(file); err == nil {
				n, _ := strconv.Atoi(strings.TrimSpace(string(data)))
				return n
			}
		}
	}
	c.t.Fatal("the container's control group was not found")
	return 0
}

// TestForkBombEndsWithItsSession deletes the sessions of fork bombs: within 5 s nothing of them is left, and a
// command of another session goes on.
func TestForkBombEndsWithItsSession(t *testing.T) {
	for _, tc := range []struct{ name, query, bomb string }{
		{"breeds", "", `f() { f | f & }; f`},
		{"breeds and ignores signals", "", `trap '' TERM HUP INT; f() { f | f & }; f`},
		{"ignores signals", "", `trap '' TERM HUP INT; while :; do (while :; do :; done) & done 2>/dev/null`},
		{"answers signals by more", "", `exec python3 -c 'import os, signal
def more(*_):
    for i in range(4): os.fork()
for s in (1, 2, 15, 18): signal.signal(s, more)
while True:
    try: os.fork()
    except OSError: pass'`},
		{"each in a session of its own", "?descendants=all", `exec python3 -c 'import os
while True:
    try:
        if os.fork() == 0: os.setsid()
    except OSError: pass'`},
		{"each in a session of its own, by default", "", `exec python3 -c 'import os
while True:
    try:
        if os.fork() == 0: os.setsid()
    except OSError: pass'`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := runPID1(t, defaultImage, append([]string{"--pids-limit", "400"}, hardened...))
			c.session("other")
			log := c.start("other", "while :; do echo on; sleep 0.2; done") + "/logs"
			harness.Until(t, 10*time.Second, "the other command runs",
				func() bool { return strings.Contains(c.text(log), "on") })
			c.session("bad")
			c.start("bad", tc.bomb)
			harness.Until(t, 60*time.Second, "very many run", func() bool { return c.tasks() > 350 })
			a := c.ask("DELETE", "/process/session/bad"+tc.query, nil)
			if a.status != 204 || a.took > 5*time.Second {
				t.Errorf("deleting it: %v, want 204 within 5 s", a)
			}
			t.Logf("it was ended after %v", a.took.Round(time.Millisecond))
			var left []string
			if !harness.Wait(2*time.Second, func() bool {
				left = c.processes()
				return len(left) <= 3 // the daemon, the other session's shell and its sleep
			}) {
				t.Errorf("%d processes are left", len(left))
			}
			if a, res := c.run("echo well"); a.status != 200 || res.Result != "well\n" || a.took > time.Second {
				t.Errorf("afterwards: %v, %+v", a, res)
			}
			size := len(c.text(log))
			if !harness.Wait(5*time.Second, func() bool { return len(c.text(log)) > size }) {
				t.Error("the other session's command does not go on")
			}
		})
	}
}

// TestCrowdLeavesOthersTheirTurn asks the daemon and runs commands beside very many processes that want the processor.
func TestCrowdLeavesOthersTheirTurn(t *testing.T) {
	const work = "i=0; while [ $i -lt 150000 ]; do i=$((i+1)); done"
	c, neighbour := runPID1(t, defaultImage, append([]string{"--pids-limit", "1100"}, hardened...)),
		runPID1(t, defaultImage, hardened)
	best := func(at *pid1) time.Duration { // of several, since the machine may have more to do
		took := time.Hour
		for range 3 {
			began := time.Now()
			if code, out := at.exec(work); code != 0 {
				t.Errorf("the work gave %d, %q", code, out)
			}
			took = min(took, time.Since(began))
		}
		return took
	}
	alone := best(neighbour)
	c.session("bad")
	c.start("bad", "i=0; while [ $i -lt 1000 ]; do i=$((i+1)); while :; do :; done & done; wait")
	harness.Until(t, 60*time.Second, "very many run", func() bool { return c.tasks() > 200 })
	harness.Until(t, 20*time.Second, "a command at its usual pace", func() bool {
		a, _ := c.run("true")
		return a.took < time.Second
	})
	for range 5 {
		version := c.ask("GET", "/version", nil)
		answer, res := c.run("echo alive")
		if version.took > time.Second || answer.took > time.Second || res.Result != "alive\n" {
			t.Errorf("version: %v; a command: %v, %+v", version, answer, res)
		}
	}
	beside, next := best(c), best(neighbour)
	t.Logf("the work takes %v alone, %v beside the crowd, %v in a neighbour's sandbox", alone, beside, next)
	// A crowd that stands back takes no more than a half; twice that is for the machine's own unrest. One that does not
	// takes all but a hundredth.
	if beside > 4*alone || next > 4*alone {
		t.Errorf("the work takes %v alone, %v beside the crowd, %v in a neighbour's sandbox", alone, beside, next)
	}
}

// TestProcessOneWithstandsItsSandbox sends process 1 every signal that does not ask it to end, by kill and by
// sigqueue, and changes its limits.
func TestProcessOneWithstandsItsSandbox(t *testing.T) {
	c := runPID1(t, defaultImage, hardened)
	const signals = `exec python3 -c 'import os, ctypes
libc = ctypes.CDLL(None)
for s in range(1, 65):
    if s in (2, 15): continue
    try: os.kill(1, s)
    except OSError: pass
    info = (ctypes.c_int * 32)(s, 0, -1)
    libc.syscall(129, 1, s, info)
'`
	for range 3 {
		if code, out := c.exec(signals); code != 0 {
			t.Errorf("sending signals: %d, %q", code, out)
		}
		if code, out := c.exec("echo well"); code != 0 || out != "well\n" {
			t.Fatalf("afterwards: %d, %q", code, out)
		}
	}
	c.session("s")
	for _, limit := range []string{
		"--nofile=3:", "--nproc=1:", "--as=1000:", "--fsize=1:", "--data=1000:",
		"--stack=1000:", "--cpu=1:", "--sigpending=0:",
	} {
		c.start("s", "prlimit --pid 1 "+limit)
		harness.Until(t, 10*time.Second, "the toolbox answers after "+limit, func() bool {
			res, err := c.open("GET", "/version", nil)
			if err == nil {
				res.Body.Close()
			}
			return err == nil
		})
		if code, out := c.exec("echo well"); code != 0 || out != "well\n" {
			t.Errorf("after %s: %d, %q", limit, code, out)
		}
	}
	// What cannot be set back is told.
	if code, out := c.exec("prlimit --pid 1 --nproc=1:1"); code != 0 {
		t.Fatalf("prlimit: %d, %q", code, out)
	}
	if code, out := c.exec("echo well"); code == 0 || !strings.Contains(out, "limit of processes to 1 of 1") {
		t.Errorf("without processes: %d, %q; want words about the limit", code, out)
	}
	log, _ := harness.Run(nil, nil, "sh", "-c", `docker logs "$0" 2>&1`, c.id)
	for _, want := range []string{"limit of open files to 3 of", "it was set back", "could only be set back to 1 of 1"} {
		if !strings.Contains(log, want) {
			t.Errorf("the log does not say %q:\n%s", want, log)
		}
	}
}

// taker tries to listen on the ports of the toolbox, in every way that the kernel could let it, and says which it got.
const taker = `import socket as s
me, took, refused = s.gethostbyname(s.gethostname()), [], 0
for port in (2280, 22222):
    for family, host in [(s.AF_INET, h) for h in ("0.0.0.0", me, "127.0.0.1", "127.0.0.2")] + [(s.AF_INET6, "::"), (s.AF_INET6, "::1")]:
        for option in (None, s.SO_REUSEADDR, s.SO_REUSEPORT):
            try:
                k = s.socket(family)
                if option: k.setsockopt(s.SOL_SOCKET, option, 1)
                if family == s.AF_INET6: k.setsockopt(s.IPPROTO_IPV6, s.IPV6_V6ONLY, 1)
                k.bind((host, port)); k.listen(); took.append((host, port, option))
            except OSError: refused += 1
print("refused", refused, "took", took, flush=True)
s.create_server(("", 8080))
import time; time.sleep(1000)
`

// TestImagesProgramCannotTakeThePortsOfTheToolbox has an image whose own program tries, and tries again at each
// start: the proxy sends the sandbox's secret there.
func TestImagesProgramCannotTakeThePortsOfTheToolbox(t *testing.T) {
	const image = "sandlot-test/taker:latest"
	entrypoint, _ := json.Marshal([]string{"python3", "-c", taker})
	if _, err := harness.Docker("", []byte("FROM "+defaultImage+"\nENTRYPOINT "+string(entrypoint)+"\n"), "build", "-q",
		"-t", image, "-"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = harness.Docker("", nil, "rmi", image) })
	s := harness.Start(t, harness.Options{Image: image})
	conn := s.As(t, s.Key)
	box := conn.Create(nil)
	for range 2 {
		log := ""
		harness.Until(t, 20*time.Second, "the image's program has tried", func() bool {
			log = behind(t, s, box).text("/process/session/entrypoint/command/entrypoint_command/logs")
			return strings.Contains(log, "took")
		})
		if !strings.Contains(log, "refused 36 took []") {
			t.Errorf("it said %s", log)
		}
		webTerminal(behind(t, s, box), s, box)
		conn.API("POST", "/sandbox/"+box.ID+"/stop", nil).Want(200)
		box.WaitState("stopped")
		conn.API("POST", "/sandbox/"+box.ID+"/start", nil).Want(200)
		box.WaitState("started")
	}
}
