package process_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/process"
)

func TestVariablesHaveAnyNameThatAnEnvironmentHolds(t *testing.T) {
	env := map[string]string{"A-B": "1", "a.b": "2", "1A": "3", "ü €": "4", "%": "5", "A\nB": "6", "-x": "7"}
	for _, byManager := range []bool{true, false} {
		m := newManager(t, process.Config{})
		own := env
		if byManager {
			own = nil
			if err := m.ChangeEnv(env, nil, ""); err != nil {
				t.Fatal(err)
			}
		}
		for name, spec := range map[string]process.Spec{
			"program": {Argv: []string{"cat", "/proc/self/environ"}, Env: own},
			"script":  {Script: "cat /proc/$$/environ; :", Env: own},
		} {
			res, err := m.Run(t.Context(), spec)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			got := strings.Split(text(t, res.Output, 0), "\x00")
			for k, v := range env {
				if !slices.Contains(got, k+"="+v) {
					t.Errorf("%s: %q is missing", name, k+"="+v)
				}
			}
			res.Discard()
		}
	}
}

func TestEnvironmentChanges(t *testing.T) {
	m := newManager(t, process.Config{Env: []string{
		"PATH=" + os.Getenv("PATH"), "OLD=x", "KEY=secret-1", "KEEP=secret-2", "SANDLOT_SECRET_SHA256=aa",
	}})
	if err := m.ChangeEnv(map[string]string{"KEEP": "secret-3", "NEW": "1"}, []string{"OLD"}, "secret-"); err != nil {
		t.Fatal(err)
	}
	res, err := m.Run(t.Context(), process.Spec{Script: `echo "$OLD,$KEY,$KEEP,$NEW,$SANDLOT_SECRET_SHA256"`})
	if err != nil {
		t.Fatal(err)
	}
	defer res.Discard()
	if got := text(t, res.Output, 0); got != ",,secret-3,1,\n" {
		t.Errorf("variables = %q", got)
	}
	if err := m.ChangeEnv(map[string]string{"A=B": ""}, []string{"NEW"}, ""); fault.KindOf(err) != fault.Invalid {
		t.Errorf("bad name: %v, want kind invalid", err)
	}
	if !strings.Contains(strings.Join(m.Environ(), " "), "NEW=1") {
		t.Error("a refused change changed something")
	}
}
