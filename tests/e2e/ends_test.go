//go:build e2e

package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/sandlot-dev/sandlot/api"
	"github.com/sandlot-dev/sandlot/tests/harness"
)

// TestOrphansLeaveNoZombies lets commands wait until thousands of processes have lost their parents, so that process
// 1 reaps both at the same time.
func TestOrphansLeaveNoZombies(t *testing.T) {
	orphans, commands := harness.Size(1000, 10_000), harness.Size(100, 1000)
	c := runPID1(t, harness.Busybox, []string{"--pids-limit", "-1"})
	if code, out := c.exec("mkdir /tmp/s && mkfifo /tmp/go"); code != 0 {
		t.Fatal(out)
	}
	var group sync.WaitGroup
	for i := range commands {
		group.Go(func() {
			command := fmt.Sprintf("echo begin; : > /tmp/s/%d; read x < /tmp/go; echo %d; exit %d", i, i, i%256)
			if code, out := c.exec(command); code != i%256 || out != fmt.Sprintf("begin\n%d\n", i) {
				t.Errorf("command %d gave %d, %q", i, code, out)
			}
		})
	}
	harness.Until(t, time.Minute, "all commands to run", func() bool {
		_, out := c.exec("ls /tmp/s | wc -l")
		return strings.TrimSpace(out) == fmt.Sprint(commands)
	})
	// Each is the child of a child that ends at once. From four shells, so that they come together.
	orphan := fmt.Sprintf("i=0; while [ $i -lt %d ]; do ( (sleep 0.01; exit 9) & ); i=$((i+1)); done </dev/null "+
		">/dev/null 2>&1", orphans/4)
	began := time.Now()
	for range 4 {
		group.Go(func() {
			if code, out := c.exec(orphan); code != 0 {
				t.Errorf("the orphans' shell gave %d, %q", code, out)
			}
		})
	}
	group.Go(func() { c.exec("sleep 1 > /tmp/go") }) // while it is open, all who read go on when it closes
	group.Wait()
	made := time.Since(began)
	last := ""
	if !harness.Wait(2*time.Second, func() bool {
		_, last = c.exec("cat /proc/[0-9]*/stat 2>/dev/null | grep -c ') Z '")
		return last == "0\n"
	}) {
		t.Errorf("zombies left 2 s after the last orphan: %s", last)
	}
	t.Logf("%d orphans beside %d commands within %v; none was left %v after the last", orphans, commands,
		made.Round(time.Millisecond), (time.Since(began) - made).Round(time.Millisecond))
}

// leaves is every way in which a command's processes get away from it. Each sleeps for a time of its own, by which it
// is found.
var leaves = []struct {
	name, script string
	lives        bool // when its session or terminal is deleted
}{
	{"child in the background", "sleep %s & sleep %s", false},
	{"setsid", "setsid sleep %s >/dev/null 2>&1 & sleep %s", true},
	{"double fork", "(setsid sh -c 'sleep %s & exit' >/dev/null 2>&1 &); sleep %s", true},
	{"ignores SIGTERM", `trap '' TERM HUP INT; sh -c "trap '' TERM HUP INT; sleep %s" & sleep %s`, false},
	{"ignores SIGTERM in a loop", `(trap '' TERM HUP; while :; do sleep %s; done) & sleep %s`, false},
	{"holds the pipe", "(setsid sh -c 'sleep %s; echo late' &); sleep %s", true},
	{"no environment", "env -i setsid sleep %s & sleep %s", true},
	{"no environment, double fork", "(env -i setsid sh -c '(sleep %s &) >/dev/null 2>&1' &); sleep %s", true},
	{"stopped", "sleep %s & sleep 0.1; kill -STOP $!; sleep %s", false},
	{"a tree", "for i in 1 2 3; do (for j in 1 2 3; do setsid sleep %s & done; wait) & done; sleep %s", true},
	{"as nohup does", "(trap '' HUP; exec sleep %s) >/dev/null 2>&1 & sleep %s", true},
}

// TestEndsLeaveWhatTheyShould ends what runs in each way that there is, in a container and outside: nothing is left,
// but of a deleted session or terminal what made itself independent.
func TestEndsLeaveWhatTheyShould(t *testing.T) {
	const grace = "DAYTONA_TERMINATION_GRACE_PERIOD=1s"
	t.Run("as process 1", func(t *testing.T) {
		endsLeaveWhatTheyShould(runPID1(t, harness.Busybox, []string{"-e", grace}).daemon, "7")
	})
	t.Run("as another", func(t *testing.T) {
		d, _ := straight(t, grace)
		endsLeaveWhatTheyShould(d, "8")
	})
}

func endsLeaveWhatTheyShould(d *daemon, digit string) {
	deleteSession := func(query string) func(d *daemon, id, script string) {
		return func(d *daemon, id, script string) {
			d.session(id)
			d.start(id, script)
			d.appears(script)
			if status := d.call("DELETE", "/process/session/"+id+query, nil, nil); status != 204 {
				d.t.Errorf("status %d", status)
			}
		}
	}
	deleteTerminal := func(query string) func(d *daemon, id, script string) {
		return func(d *daemon, id, script string) {
			ws, err := d.dial("/process/pty/create-connect?id=" + id)
			if err != nil {
				d.t.Error(err)
				return
			}
			defer ws.Close()
			if err := ws.WriteMessage(websocket.TextMessage, []byte(script+"\n")); err != nil {
				d.t.Error(err)
			}
			d.appears(script)
			if status := d.call("DELETE", "/process/pty/"+id+query, nil, nil); status != 200 {
				d.t.Errorf("status %d", status)
			}
		}
	}
	ends := []struct {
		name  string
		spare bool // what made itself independent lives on
		run   func(d *daemon, id, script string)
	}{
		{"timeout", false, func(d *daemon, _, script string) {
			began := time.Now()
			var body struct{ Code string }
			status := d.call("POST", "/process/execute", api.ExecuteRequest{Command: script, Timeout: 1}, &body)
			if took := time.Since(began); status != 408 || body.Code != "PROCESS_EXECUTION_TIMEOUT" || took > 4*time.Second {
				d.t.Errorf("status %d, %s after %v", status, body.Code, took)
			}
		}},
		{"timeout after the client left", false, func(d *daemon, _, script string) {
			ctx, cancel := context.WithTimeout(d.t.Context(), 300*time.Millisecond)
			defer cancel()
			left := *d
			left.ctx = ctx
			if _, err := left.open("POST", "/process/execute", api.ExecuteRequest{
				Command: script,
				Timeout: 1,
			}); !errors.Is(err, context.DeadlineExceeded) {
				d.t.Errorf("the client was answered: %v", err)
			}
		}},
		{"session deleted", true, deleteSession("")},
		{"session deleted with all descendants", false, deleteSession("?descendants=all")},
		{"terminal deleted", true, deleteTerminal("")},
		{"terminal deleted with all descendants", false, deleteTerminal("?descendants=all")},
	}
	for e, end := range ends {
		d.t.Run(end.name, func(t *testing.T) {
			at := *d
			at.t = t
			var group sync.WaitGroup
			for l, leave := range leaves {
				group.Go(func() {
					nap := fmt.Sprintf("%s7%d%02d7", digit, e, l)
					end.run(&at, "x"+nap, strings.ReplaceAll(leave.script, "%s", nap))
				})
			}
			group.Wait()
			for l, leave := range leaves {
				nap := fmt.Sprintf("%s7%d%02d7", digit, e, l)
				var left []string
				want := leave.lives && end.spare
				if !harness.Wait(3*time.Second, func() bool {
					left = at.sleepers(nap)
					return len(left) > 0 == want
				}) {
					t.Errorf("%s: left behind: %q; want some: %v", leave.name, left, want)
				}
				for _, line := range left {
					at.exec("kill -KILL " + strings.Fields(line)[0])
				}
			}
		})
	}
}

// sleepers lists the processes that sleep for a time, given as a pattern.
func (d *daemon) sleepers(nap string) []string {
	_, out := d.exec("command -v pgrep >/dev/null && exec pgrep -axf 'sleep " + nap +
		"'; ps -o pid,args | grep 'sleep " + nap + "$' | grep -v grep")
	return strings.FieldsFunc(out, func(r rune) bool { return r == '\n' })
}

// appears waits until a script's sleeps run, of which there are two or more.
func (d *daemon) appears(script string) {
	d.t.Helper()
	nap := script[strings.LastIndex(script, " ")+1:]
	if !harness.Wait(10*time.Second, func() bool { return len(d.sleepers(nap)) >= 2 }) {
		d.t.Errorf("%q does not run", script)
	}
}
