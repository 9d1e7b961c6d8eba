package process_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/process"
)

// children lists the present children of this program.
func children() (pids []int) {
	files, _ := filepath.Glob("/proc/self/task/*/children")
	for _, file := range files {
		raw, _ := os.ReadFile(file)
		for field := range strings.FieldsSeq(string(raw)) {
			pid, _ := strconv.Atoi(field)
			pids = append(pids, pid)
		}
	}
	return pids
}

// TestStartsGoOnWhileSignalsRain sends signals to children between fork and exec, as hostile code in a sandbox can.
func TestStartsGoOnWhileSignalsRain(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGWINCH, syscall.SIGCONT, syscall.SIGURG} {
		t.Run(sig.String(), func(t *testing.T) {
			m := newManager(t, process.Config{Reap: true})
			var over atomic.Bool
			var rain sync.WaitGroup
			rain.Go(func() {
				for !over.Load() {
					for _, pid := range children() {
						_ = syscall.Kill(pid, sig)
					}
				}
			})
			defer rain.Wait()
			defer over.Store(true)
			for i := range 100 {
				res, err := m.Run(t.Context(), process.Spec{Script: fmt.Sprintf("echo out; exit %d", i%256), Timeout: time.Minute})
				if err != nil {
					t.Fatal(err)
				}
				if got := text(t, res.Output, 0); res.ExitCode != i%256 || got != "out\n" {
					t.Fatalf("run %d: exit code %d, output %q", i, res.ExitCode, got)
				}
				res.Discard()
			}
		})
	}
}

// TestChildThatAsksToBeTracedHasNotEnded has a child that this program's thread traces at the child's own wish, which
// any may have.
func TestChildThatAsksToBeTracedHasNotEnded(t *testing.T) {
	for _, reap := range []bool{true, false} {
		t.Run(fmt.Sprintf("as reaper %v", reap), func(t *testing.T) {
			m := newManager(t, process.Config{Reap: reap})
			p, err := m.Start(process.Spec{Argv: []string{"python3", "-c", `
import ctypes, os, signal
ctypes.CDLL(None).ptrace(0, 0, 0, 0)
os.kill(os.getpid(), signal.SIGUSR1)`}})
			if err != nil {
				t.Fatal(err)
			}
			for { // until it stands still
				raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.PID()))
				if err != nil || strings.Contains(string(raw), ") t ") {
					break
				}
			}
			var others sync.WaitGroup // the reaper hears of their ends, and looks at all
			for range 10 {
				others.Go(func() {
					res, err := m.Run(t.Context(), process.Spec{Script: "exit 3", Timeout: time.Minute})
					if err != nil || res.ExitCode != 3 {
						t.Errorf("another command: exit code %d, %v", res.ExitCode, err)
					}
					res.Discard()
				})
			}
			others.Wait()
			select {
			case <-p.Exited():
				t.Errorf("it counts as ended with code %d", p.Result().ExitCode)
			default:
			}
			p.Kill()
			if got := p.Result(); got.Signal != "SIGKILL" {
				t.Errorf("it ended by %q, code %d; want SIGKILL", got.Signal, got.ExitCode)
			}
		})
	}
}

func TestHiddenArgument(t *testing.T) {
	for _, hides := range []bool{true, false} {
		m := newManager(t, process.Config{})
		if !hides {
			m.HideNothing()
		}
		look := `tr '\0' ' ' < /proc/$$/cmdline; echo "$@"`
		res, err := m.Run(t.Context(), process.Spec{Argv: []string{"sh", "-c", look, "zero", "a b", ""}, Hidden: 2})
		if err != nil {
			t.Fatal(err)
		}
		want := "sh -c zero a b  a b \n"
		if !hides {
			want = "sh -c " + look + " zero a b  a b \n"
		}
		if got := text(t, res.Output, 0); got != want {
			t.Errorf("hiding %v: %q, want %q", hides, got, want)
		}
		res.Discard()
	}
	m := newManager(t, process.Config{})
	if _, err := m.Run(t.Context(), process.Spec{Argv: []string{"true"}, Hidden: 1}); fault.KindOf(err) != fault.Invalid {
		t.Errorf("an argument that there is none of: %v, want kind invalid", err)
	}
}
