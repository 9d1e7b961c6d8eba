package process_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sandlot-dev/sandlot/process"
	"github.com/sandlot-dev/sandlot/process/journal"
)

func TestSplitKeepsStreamsApart(t *testing.T) {
	m := newManager(t, process.Config{})
	script := "echo out; echo err >&2; echo out2"
	res, err := m.Run(t.Context(), process.Spec{Script: script, Streams: process.Capture{Split: true}})
	if err != nil {
		t.Fatal(err)
	}
	defer res.Discard()
	if got := text(t, res.Output, journal.Stdout); got != "out\nout2\n" {
		t.Errorf("stdout = %q", got)
	}
	if got := text(t, res.Output, journal.Stderr); got != "err\n" {
		t.Errorf("stderr = %q", got)
	}
}

// alive lists the processes that carry a word in their command line.
func alive(t *testing.T, word string) (found []string) {
	t.Helper()
	names, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, name := range names {
		data, err := os.ReadFile(name)
		pid := filepath.Base(filepath.Dir(name))
		if err != nil || !strings.Contains(string(data), word) || pid == strconv.Itoa(os.Getpid()) {
			continue
		}
		if st, _ := os.ReadFile("/proc/" + pid + "/stat"); strings.Contains(string(st), ") Z ") {
			continue
		}
		found = append(found, pid+" "+strings.ReplaceAll(string(data), "\x00", " "))
	}
	return found
}

func TestTimeoutLeavesNoProcess(t *testing.T) {
	m := newManager(t, process.Config{})
	for i, tc := range []struct{ name, script string }{
		{"plain", "echo part; sleep W"},
		{"background child", "echo part; sleep W & sleep W"},
		{"setsid", "echo part; setsid sleep W & sleep W"},
		{"setsid and output closed", "echo part; setsid sleep W >/dev/null 2>&1 & sleep W"},
		{"double fork", "echo part; (setsid sh -c 'sleep W & sleep W' &) ; (sleep W &); sleep W"},
		{"double fork, parents gone", "echo part; (setsid sh -c 'sleep W & exit' >/dev/null 2>&1 &) ; sleep W"},
		{"SIGTERM ignored", "trap '' TERM HUP INT; echo part; sh -c 'trap \"\" TERM; sleep W' & sleep W"},
		{"environment wiped", "echo part; env -i setsid sleep W & sleep W"},
		{"environment wiped, parents gone", "echo part; (env -i setsid sh -c '(sleep W &) >/dev/null 2>&1' &); sleep W"},
		{"another user's", "echo part; (setpriv --reuid 65534 env -i setsid sh -c '(sleep W &) >/dev/null 2>&1' &); sleep W"},
		{"pipe held by a grandchild", "echo part; (sleep W | sleep W) & wait"},
		{"stopped", "echo part; sleep W & kill -STOP $!; kill -STOP $$; sleep W"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			word := fmt.Sprintf("%d.%02d", 77000+os.Getpid()%1000, i+1)
			began := time.Now()
			script := strings.ReplaceAll(tc.script, "W", word)
			res, err := m.Run(t.Context(), process.Spec{Script: script, Timeout: 300 * time.Millisecond})
			if err != nil {
				t.Fatal(err)
			}
			defer res.Discard()
			if !res.TimedOut || res.ExitCode != 137 {
				t.Errorf("TimedOut, ExitCode = %v, %d; want true, 137", res.TimedOut, res.ExitCode)
			}
			if took := time.Since(began); took > 3*time.Second {
				t.Errorf("answer after %v", took)
			}
			if got := text(t, res.Output, 0); got != "part\n" {
				t.Errorf("output = %q, want the part before the timeout", got)
			}
			if left := alive(t, word); len(left) > 0 {
				t.Errorf("left behind: %q", left)
			}
		})
	}
}

func TestCallerGoneKillsTheTree(t *testing.T) {
	m := newManager(t, process.Config{})
	word := fmt.Sprintf("%d.5", 78000+os.Getpid()%1000)
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(100*time.Millisecond, cancel)
	res, err := m.Run(ctx, process.Spec{Script: "setsid sleep " + word + " & sleep " + word})
	if err != nil {
		t.Fatal(err)
	}
	res.Discard()
	if res.ExitCode != 137 {
		t.Errorf("ExitCode = %d, want 137", res.ExitCode)
	}
	if left := alive(t, word); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

func TestBackgroundChildSurvivesAndMayWrite(t *testing.T) {
	m := newManager(t, process.Config{})
	dir := t.TempDir()
	script := "(sleep 0.3; echo a; echo b >&2; seq 1 100000; echo fine > " + dir + "/f) & exit 0"
	p, err := m.Start(process.Spec{Script: script, Linger: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	<-p.Done()
	if res := p.Result(); !res.Lingering {
		t.Errorf("Lingering = false, want true")
	}
	select {
	case <-p.Drained():
	case <-time.After(20 * time.Second):
		t.Fatal("the pipe was never let go")
	}
	if got, err := os.ReadFile(dir + "/f"); err != nil || string(got) != "fine\n" {
		t.Errorf("the background child wrote %q, %v", got, err)
	}
	if !p.Gone(5 * time.Second) {
		t.Error("Gone = false after the last descendant ended")
	}
}

func TestResultTellsTheCost(t *testing.T) {
	m := newManager(t, process.Config{})
	script := "dd if=/dev/zero of=/dev/null bs=500M count=1 2>/dev/null" // more than this program has
	res, err := m.Run(t.Context(), process.Spec{Script: script})
	if err != nil {
		t.Fatal(err)
	}
	defer res.Discard()
	if res.Wall <= 0 || res.CPU <= 0 || res.CPU > 2*res.Wall || res.PeakRSS < 400<<20 {
		t.Errorf("wall %v, cpu %v, peak %d bytes: not plausible", res.Wall, res.CPU, res.PeakRSS)
	}
}

// TestExitCodesAreExact runs many short commands at once while orphans come and go.
func TestExitCodesAreExact(t *testing.T) {
	m := newManager(t, process.Config{Reap: true})
	total := 10_000
	if testing.Short() || os.Getenv("SANDLOT_FULL") == "" {
		total = 1_500
	}
	stop := make(chan struct{})
	var storm sync.WaitGroup
	storm.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			script := "for i in 1 2 3 4 5 6 7 8 9 10; do (sh -c 'exit 5' & ) ; done >/dev/null 2>&1"
			res, err := m.Run(t.Context(), process.Spec{Script: script})
			if err != nil {
				t.Error(err)
				return
			}
			res.Discard()
		}
	})
	var workers sync.WaitGroup
	for w := range 8 {
		workers.Go(func() {
			for i := w; i < total; i += 8 {
				want := fmt.Sprintf("line %d\n", i)
				code := i % 256
				res, err := m.Run(t.Context(), process.Spec{
					Script: fmt.Sprintf("echo line %d; exit %d", i, code), Streams: process.Capture{Split: i%2 == 0},
				})
				if err != nil {
					t.Error(err)
					return
				}
				if got := text(t, res.Output, journal.Stdout); res.ExitCode != code || got != want {
					t.Errorf("run %d = %d, %q; want %d, %q", i, res.ExitCode, got, code, want)
				}
				res.Discard()
			}
		})
	}
	workers.Wait()
	close(stop)
	storm.Wait()
	if n := zombies(t); n > 0 {
		time.Sleep(200 * time.Millisecond) //nolint:forbidigo // orphans may end after their shell
		if n = zombies(t); n > 0 {
			t.Errorf("%d zombies", n)
		}
	}
}

func zombies(t *testing.T) (n int) {
	t.Helper()
	names, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, name := range names {
		data, _ := os.ReadFile(name)
		f := strings.Fields(string(data[strings.LastIndexByte(string(data), ')')+1:]))
		if len(f) > 1 && f[0] == "Z" && f[1] == strconv.Itoa(os.Getpid()) {
			n++
		}
	}
	return n
}
