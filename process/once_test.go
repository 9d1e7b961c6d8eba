package process_test

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/process"
)

func TestAKeyRunsOnce(t *testing.T) {
	m := newManager(t, process.Config{})
	var once process.Once
	run := func(key string, spec process.Spec) (process.Result, error) {
		return once.Run(t.Context(), key, spec, func() (process.Result, error) { return m.Run(t.Context(), spec) })
	}
	spec := process.Spec{Script: "echo x >> count; sleep 0.1; echo $RANDOM$RANDOM; exit 3"}
	outputs := make([]string, 8)
	var callers sync.WaitGroup
	for i := range outputs {
		callers.Go(func() {
			res, err := run("k", spec)
			if err != nil || res.ExitCode != 3 {
				t.Errorf("run %d: %d, %v", i, res.ExitCode, err)
				return
			}
			outputs[i] = text(t, res.Output, 0)
			res.Discard()
		})
	}
	callers.Wait()
	for _, out := range outputs {
		if out != outputs[0] || out == "" {
			t.Errorf("outputs differ: %q", outputs)
		}
	}
	res, err := m.Run(t.Context(), process.Spec{Script: "cat count"})
	if err != nil || text(t, res.Output, 0) != "x\n" {
		t.Errorf("it ran %q times, %v", text(t, res.Output, 0), err)
	}
	if _, err := run("k", process.Spec{Script: "other"}); fault.KindOf(err) != fault.Unprocessable {
		t.Errorf("another command with the key: %v, want kind unprocessable", err)
	}
	if _, err := run("bad", process.Spec{}); fault.KindOf(err) != fault.Invalid {
		t.Errorf("a bad command with a key: %v", err)
	}
	for i := range 300 {
		if res, err = run(fmt.Sprint(i), process.Spec{Argv: []string{"true"}}); err != nil {
			t.Fatal(err)
		}
		res.Discard()
	}
	if res, err = run("k", process.Spec{Script: "echo forgotten"}); err != nil || text(t, res.Output, 0) != "forgotten\n" {
		t.Errorf("a key of 300 runs ago: %v", err)
	}
}

func TestUser(t *testing.T) {
	m := newManager(t, process.Config{Dir: "/"})
	if os.Geteuid() != 0 {
		if _, err := m.Start(process.Spec{Script: "id", User: "0"}); fault.KindOf(err) != fault.Forbidden {
			t.Errorf("as root: %v, want kind forbidden", err)
		}
		return
	}
	for _, tc := range []struct{ user, want string }{
		{"nobody", "65534 65534 nobody"},
		{"65534", "65534 65534 nobody"},
		{"54321", "54321 54321 54321"},
		{"root", "0 0 root"},
	} {
		res, err := m.Run(t.Context(), process.Spec{Script: "echo $(id -u) $(id -g) $USER", User: tc.user})
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.TrimSpace(text(t, res.Output, 0)); got != tc.want {
			t.Errorf("user %s: %q, want %q", tc.user, got, tc.want)
		}
		res.Discard()
	}
	if _, err := m.Start(process.Spec{Script: "id", User: "no-such-user"}); fault.KindOf(err) != fault.NotFound {
		t.Errorf("unknown user: %v, want kind not found", err)
	}
}
