package process_test

import (
	"os"
	"strings"
	"testing"

	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/process"
)

func TestRunRefusesBadSpecs(t *testing.T) {
	m := newManager(t, process.Config{})
	for _, tc := range []struct {
		name string
		spec process.Spec
	}{
		{"empty", process.Spec{}},
		{"blank", process.Spec{Script: " \n\t"}},
		{"NUL in script", process.Spec{Script: "echo a\x00b"}},
		{"NUL in argument", process.Spec{Argv: []string{"echo", "\x00"}}},
		{"variable without name", process.Spec{Script: "true", Env: map[string]string{"": "1"}}},
		{"= in a variable's name", process.Spec{Script: "true", Env: map[string]string{"A=B": ""}}},
		{"NUL in a variable's name", process.Spec{Script: "true", Env: map[string]string{"A\x00B": ""}}},
		{"variable value", process.Spec{Script: "true", Env: map[string]string{"A": "\x00"}}},
		{"timeout", process.Spec{Script: "true", Timeout: -1}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if _, err := m.Run(t.Context(), tc.spec); fault.KindOf(err) != fault.Invalid {
				t.Errorf("error = %v, want kind invalid", err)
			}
		})
	}
}

func TestDefaultFolderThatIsGone(t *testing.T) {
	dir, home := t.TempDir(), t.TempDir()
	m, err := process.NewManager(process.Config{Dir: dir, Env: []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close(0) })
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	pwd := func(spec process.Spec) (int, string) {
		spec.Script = "pwd; echo $PWD"
		res, err := m.Run(t.Context(), spec)
		if err != nil {
			t.Fatal(err)
		}
		return res.ExitCode, text(t, res.Output, 0)
	}
	if code, out := pwd(process.Spec{}); code != 0 || out != home+"\n"+home+"\n" {
		t.Errorf("with a home: %d, %q", code, out)
	}
	if code, out := pwd(process.Spec{Dir: dir}); code != -1 || !strings.Contains(out, "give another cwd") {
		t.Errorf("asked for by name: %d, %q", code, out)
	}
	if err := os.Remove(home); err != nil {
		t.Fatal(err)
	}
	if code, out := pwd(process.Spec{}); code != 0 || out != "/\n/\n" {
		t.Errorf("without a home: %d, %q", code, out)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if code, out := pwd(process.Spec{}); code != 0 || out != dir+"\n"+dir+"\n" {
		t.Errorf("once it is there again: %d, %q", code, out)
	}
}
