package process_test

import (
	"os"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sandlot-dev/sandlot/process"
)

// TestAStartLeavesEveryThreadItsTurn looks at the thread that starts processes and at the processes.
func TestAStartLeavesEveryThreadItsTurn(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	slice := func(pid int) uint64 {
		attr, err := unix.SchedGetAttr(pid, 0)
		if err != nil {
			t.Fatal(err)
		}
		return attr.Runtime
	}
	want := slice(0)
	m, err := process.NewManager(process.Config{Dir: t.TempDir(), Env: os.Environ()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = m.Close(0) }()
	for name, spec := range map[string]process.Spec{
		"plain":  {Argv: []string{"sleep", "1000"}},
		"hidden": {Script: "sleep 1000; true"},
		"none":   {Argv: []string{"no-such-program"}},
	} {
		p, err := m.Start(spec)
		if got := slice(0); got != want {
			t.Errorf("%s: this thread has %d ns, want %d", name, got, want)
		}
		if err != nil {
			continue
		}
		if got := slice(p.PID()); got != want {
			t.Errorf("%s: the process has %d ns, want %d", name, got, want)
		}
		p.Kill()
	}
}
