//go:build e2e

package e2e_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/sandlot-dev/sandlot/api"
	"github.com/sandlot-dev/sandlot/tests/harness"
)

// eats grows until the kernel kills it for memory, and dies is killed by somebody. Both end with 137.
const (
	eats = "tail /dev/zero"
	dies = "kill -9 $BASHPID"
)

// waitEnd bounds the wait for the end of a command that is to end.
const waitEnd = 20 * time.Second

// TestOutOfMemoryIsToldAsSuch ends commands by way of each door for memory, and after each one another by kill -9,
// which must not be told so: also one that ran all the while.
func TestOutOfMemoryIsToldAsSuch(t *testing.T) {
	const limit = 200 << 20
	c := runPID1(t, defaultImage, append(hardened, "--memory", fmt.Sprint(limit), "--memory-swap", fmt.Sprint(limit)))
	execute := func(path string, body any) (int, *api.OutOfMemory) {
		var res api.ExecuteResponse
		if status := c.call("POST", path, body, &res); status != 200 {
			t.Errorf("%s: status %d", path, status)
		}
		return res.ExitCode, res.OutOfMemory
	}
	c.session("s")
	doors := []struct {
		name string
		run  func(command string) (exit int, told *api.OutOfMemory)
	}{
		{"execute", func(command string) (int, *api.OutOfMemory) {
			return execute("/process/execute", api.ExecuteRequest{Command: command})
		}},
		{"execute, by a child of its shell", func(command string) (int, *api.OutOfMemory) {
			return execute("/process/execute", api.ExecuteRequest{Command: "(" + command + "); exit $?"})
		}},
		{"code-run", func(command string) (int, *api.OutOfMemory) {
			return execute("/process/code-run", api.CodeRunRequest{
				Language: "python",
				Code:     fmt.Sprintf("import os; os.execvp('bash', ['bash', '-c', '''exec %s'''])", command),
			})
		}},
		{"session", func(command string) (int, *api.OutOfMemory) {
			var res api.SessionExecuteResponse
			c.call("POST", "/process/session/s/exec", api.SessionExecuteRequest{Command: "(" + command + ")"}, &res)
			var again api.SessionCommand
			c.call("GET", "/process/session/s/command/"+res.CmdID, nil, &again)
			if (res.OutOfMemory == nil) != (again.OutOfMemory == nil) {
				t.Errorf("the answer says %+v, and later %+v", res.OutOfMemory, again.OutOfMemory)
			}
			return *res.ExitCode, res.OutOfMemory
		}},
		{"session without waiting", func(command string) (int, *api.OutOfMemory) {
			path := c.start("s", "("+command+")")
			var res api.SessionCommand
			harness.Until(t, waitEnd, "the command's end", func() bool {
				c.call("GET", path, nil, &res)
				return res.ExitCode != nil
			})
			return *res.ExitCode, res.OutOfMemory
		}},
		{"session's shell", func(command string) (int, *api.OutOfMemory) {
			c.session("shell")
			defer c.call("DELETE", "/process/session/shell", nil, nil)
			var res api.SessionExecuteResponse
			c.call("POST", "/process/session/shell/exec",
				api.SessionExecuteRequest{Command: "exec " + strings.Replace(command, "kill -9 $BASHPID", "bash -c 'kill -9 $$'",
					1)}, &res)
			return *res.ExitCode, res.OutOfMemory
		}},
	}
	c.session("long")
	for _, door := range doors {
		t.Run(door.name, func(t *testing.T) {
			long := c.start("long", "(echo $BASHPID >/tmp/long; exec sleep 1000)")
			harness.Until(t, waitEnd, "the long command runs", func() bool {
				code,
					out := c.exec("cat /tmp/long")
				return code == 0 && out != ""
			})
			for _, tc := range []struct {
				command string
				full    bool
			}{{dies, false}, {eats, true}, {dies, false}} {
				exit, told := door.run(tc.command)
				if exit != 137 || (told != nil) != tc.full {
					t.Errorf("%s: exit code %d, out of memory: %+v; want 137, and to be told so: %v", tc.command, exit, told, tc.full)
				}
				if told != nil && (told.LimitBytes != limit || told.PeakBytes < limit*9/10 || told.PeakBytes > limit+1<<20 ||
					!strings.Contains(told.Message, "of its 200 MiB")) {
					t.Errorf("%s: told %+v", tc.command, told)
				}
			}
			c.exec("kill -9 $(cat /tmp/long); rm /tmp/long")
			var res api.SessionCommand
			harness.Until(t, waitEnd, "the long command's end", func() bool {
				c.call("GET", long, nil, &res)
				return res.ExitCode != nil
			})
			if *res.ExitCode != 137 || res.OutOfMemory != nil {
				t.Errorf("one that ran all the while and was killed: %d, %+v", *res.ExitCode, res.OutOfMemory)
			}
		})
	}
	t.Run("terminal", func(t *testing.T) {
		for i, tc := range []struct{ typed, want string }{
			{"exec bash -c 'kill -9 $$'\n", "SIGKILL"}, {
				"exec tail /dev/zero\n",
				"killed for memory: the sandbox used 200 MiB of its 200 MiB",
			}, {"exec bash -c 'kill -9 $$'\n", "SIGKILL"},
		} {
			_, end, err := c.terminal(fmt.Sprint("t", i), tc.typed)
			if err != nil || end.ExitCode == nil || *end.ExitCode != 137 || end.ExitReason != tc.want {
				t.Errorf("%q: %+v, %v; want %q", tc.typed, end, err, tc.want)
			}
		}
	})
	t.Run("timeout", func(t *testing.T) { // killed by the daemon
		var res api.ExecuteResponse
		if status := c.call("POST", "/process/execute", api.ExecuteRequest{Command: "sleep 1000", Timeout: 1},
			&res); status != 408 || res.OutOfMemory != nil {
			t.Errorf("status %d, %+v", status, res)
		}
	})
	if code, out := c.exec("echo well"); code != 0 || out != "well\n" {
		t.Errorf("afterwards: %d, %q", code, out)
	}
}

// TestRunSaysOutOfMemory looks at what a person sees.
func TestRunSaysOutOfMemory(t *testing.T) {
	s, _ := full.up(t)
	r := sandlotRun(t, s, "--", "tail", "/dev/zero")
	r.ended(137)
	if got := r.stderr.String(); !strings.Contains(got,
		"sandlot: killed for memory: the sandbox used 1024 MiB of its 1024 MiB\n") {
		t.Errorf("stderr %q", got)
	}
}

// TestSharedMemoryIsHalfOfTheSandboxs fills /dev/shm: there is as much as half of the sandbox's memory, and it is a
// part of that.
func TestSharedMemoryIsHalfOfTheSandboxs(t *testing.T) {
	s, conn := full.up(t)
	box := conn.Create(nil)
	d := behind(t, s, box)
	half := box.Memory << 9
	used := func() int64 {
		var m api.SystemMetrics
		d.call("GET", "/system/metrics", nil, &m)
		return m.MemUsed >> 20
	}
	before := used()
	if code, out := d.exec(fmt.Sprintf("head -c %dM /dev/zero >/dev/shm/part && python3 -c 'from multiprocessing "+
		"import shared_memory as s; m = s.SharedMemory(create=True, size=100 << 20); m.buf[:] = bytes(100 << 20); "+
		"m.close(); m.unlink()'", half-110)); code != 0 {
		t.Errorf("%d MiB, and 100 more from Python: %s", half-110, out)
	}
	if after := used(); after-before < int64(half-120) {
		t.Errorf("%d MiB in /dev/shm, and the sandbox uses %d MiB in place of %d", half-110, after, before)
	}
	if code, out := d.exec(fmt.Sprintf("rm /dev/shm/part; head -c %dM /dev/zero >/dev/shm/all && head -c 2M /dev/zero "+
		">/dev/shm/more", half-1)); code == 0 || !strings.Contains(out, "No space left") {
		t.Errorf("more than %d MiB: %d, %s", half, code, out)
	}
	// Full, it leaves the other half, and what is killed for memory then is not the daemon.
	var res api.ExecuteResponse
	if d.call("POST", "/process/execute", api.ExecuteRequest{Command: eats}, &res); res.ExitCode != 137 ||
		res.OutOfMemory == nil {
		t.Errorf("beside a full /dev/shm: %+v", res)
	}
	if code, out := d.exec("rm /dev/shm/all; (seq 20000 | while read n; do : > /dev/shm/$n || exit 1; done) 2>&1 | " +
		"tail -1"); code != 0 || !strings.Contains(out, "No space left") {
		t.Errorf("20,000 files: %d, %s", code, out)
	}
}

// TestProgramsSeeTheSandboxsMemory asks the usual programs what there is. Where the machine has no lxcfs they see the
// machine's, and nothing fails.
func TestProgramsSeeTheSandboxsMemory(t *testing.T) {
	s, conn := full.up(t)
	box := conn.Create(nil)
	total := box.Memory << 10
	_, err := os.ReadFile("/var/lib/lxcfs/proc/meminfo")
	report, doctorErr := s.Command("doctor")
	if lxcfs := err == nil; strings.Contains(report, "✓ sandbox's /proc") != lxcfs {
		t.Errorf("lxcfs: %v; doctor: %v\n%s", err, doctorErr, report)
	}
	if err != nil {
		t.Logf("no lxcfs here: %v", err)
		raw, _ := os.ReadFile("/proc/meminfo")
		var kib int
		_, _ = fmt.Sscanf(string(raw), "MemTotal: %d kB", &kib)
		total = kib >> 10
	}
	for range 2 { // as it was made, and after a stop
		for program, want := range map[string]int{
			"free -m | awk '/^Mem:/ { print $2 }'": total,
			"nproc":                                box.CPU,
			"python3 -c 'import os; print(os.cpu_count())'":                                              box.CPU,
			"for f in cpuinfo stat uptime loadavg swaps; do grep -q . /proc/$f || echo $f; done; echo 0": 0,
		} {
			if got := box.MustExec(program); got != fmt.Sprint(want) {
				t.Errorf("%s says %q, want %d", program, got, want)
			}
		}
		if code, out := box.Exec("ps -o etimes= -p 1; for f in meminfo cpuinfo stat uptime loadavg swaps; do (echo x > " +
			"/proc/$f) 2>/dev/null && echo written $f; done; true"); code != 0 || strings.Contains(out, "written") {
			t.Errorf("ps, and writing: %d, %q", code, out)
		}
		conn.API("POST", "/sandbox/"+box.ID+"/stop", nil).Want(200)
		box.WaitState("stopped")
		conn.API("POST", "/sandbox/"+box.ID+"/start", nil).Want(200)
		box.WaitState("started")
	}
}
