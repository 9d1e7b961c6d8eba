package code_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/process"
	"github.com/sandlot-dev/sandlot/process/code"
)

func newManager(t *testing.T) *process.Manager {
	t.Helper()
	m, err := process.NewManager(process.Config{Dir: t.TempDir(), Env: os.Environ()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(0); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return m
}

// run runs a program to its end and returns what it wrote.
func run(t *testing.T, m *process.Manager, p code.Program, env map[string]string) string {
	t.Helper()
	cmd, err := code.New(p, m.LookPath)
	if err != nil {
		t.Fatal(err)
	}
	defer cmd.Close()
	res, err := m.Run(t.Context(), process.Spec{
		Argv: cmd.Argv, Hidden: cmd.Hidden, Env: env, Streams: process.Capture{Input: cmd.Input},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer res.Discard()
	var out strings.Builder
	for r := res.Output.Snapshot(0); ; {
		c, err := r.Next(t.Context())
		if errors.Is(err, io.EOF) {
			return out.String()
		}
		if err != nil {
			t.Fatal(err)
		}
		out.Write(c.Data)
	}
}

func TestProgramsGetVariablesOfAnyName(t *testing.T) {
	p := code.Program{Language: "python", Source: "import os; print(os.environ['A-B'], os.environ['a.b'])"}
	env := map[string]string{"A-B": "1", "a.b": "2"}
	if got := run(t, newManager(t), p, env); got != "1 2\n" {
		t.Errorf("of its own: %q", got)
	}
	m := newManager(t)
	if err := m.ChangeEnv(env, nil, ""); err != nil {
		t.Fatal(err)
	}
	if got := run(t, m, p, nil); got != "1 2\n" {
		t.Errorf("of the manager: %q", got)
	}
}

func TestArgumentsAreWhereClientsExpectThem(t *testing.T) {
	argv := []string{"a b", "-x", "", "--"}
	given, _ := json.Marshal(argv)
	const js = "console.log(JSON.stringify(process.argv.slice(1)))"
	long := "/*" + strings.Repeat("x", 200<<10) + "*/"
	for _, tc := range []struct{ name, needs, language, source, want string }{
		{
			"python", "python3", "python", "import json, sys; print(json.dumps(sys.argv, separators=(',', ':')))",
			`["-",` + string(given[1:]),
		},
		{"javascript", "node", "javascript", js, string(given)},
		{"long javascript", "node", "javascript", long + js, string(given)},
		{"typescript", "ts-node", "typescript", "const typed: string = '';" + js, string(given)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if _, err := exec.LookPath(tc.needs); err != nil {
				t.Skip(err)
			}
			p := code.Program{Language: tc.language, Source: tc.source, Argv: argv}
			if got := strings.TrimSpace(run(t, newManager(t), p, nil)); got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}

// TestTypeScriptTakesTheFirstRunner looks at which runner is taken, and that the program's file goes with the Command.
func TestTypeScriptTakesTheFirstRunner(t *testing.T) {
	for _, tc := range []struct {
		has  []string
		want string
	}{
		{[]string{"node", "tsx", "ts-node"}, "ts-node"},
		{[]string{"node", "tsx"}, "tsx"},
		{[]string{"node"}, "node"},
		{nil, "ts-node"},
	} {
		lookPath := func(name string) (string, error) {
			if !slices.Contains(tc.has, name) {
				return "", errors.New("not here")
			}
			return name, nil
		}
		cmd, err := code.New(code.Program{Language: "typescript", Source: "1", Argv: []string{"last"}}, lookPath)
		if err != nil {
			t.Fatal(err)
		}
		if cmd.Argv[0] != tc.want {
			t.Errorf("of %v it took %s, want %s", tc.has, cmd.Argv[0], tc.want)
		}
		if len(tc.has) > 0 {
			file := cmd.Argv[len(cmd.Argv)-2]
			_, before := os.Stat(file)
			cmd.Close()
			if _, after := os.Stat(file); before != nil || !errors.Is(after, os.ErrNotExist) {
				t.Errorf("%s before Close: %v, after it: %v", file, before, after)
			}
		}
		cmd.Close()
	}
}

func TestBadPrograms(t *testing.T) {
	for _, p := range []code.Program{{Language: "python", Source: " \n"}, {Language: "cobol", Source: "x"}} {
		if _, err := code.New(p, nil); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%+v: %v, want kind invalid", p, err)
		}
	}
}

func TestJavaScriptIsNotInItsCommandLine(t *testing.T) {
	if _, err := exec.LookPath("node"); err != nil {
		t.Skip(err)
	}
	for _, argv := range [][]string{nil, {"a b", "-x", "", "--"}} {
		got := run(t, newManager(t), code.Program{Language: "javascript", Argv: argv, Source: `
			const fs = require("fs");
			console.log(JSON.stringify(process.argv.slice(1)), JSON.stringify(process.execArgv), fs.readFileSync(0).length);
			console.log(fs.readFileSync("/proc/self/cmdline", "utf8").includes("execArgv"));
			process.title = "a title of its own that is longer than what was there: " + "x".repeat(200);
			console.log(process.env.HOME == "` + os.Getenv("HOME") + `", __filename);`}, nil)
		given, _ := json.Marshal(append([]string{}, argv...))
		if !strings.HasPrefix(got, fmt.Sprintf(`%s ["-e",`, given)) || !strings.HasSuffix(got, "false\ntrue [eval]\n") {
			t.Errorf("arguments %q: %s", argv, got)
		}
	}
}
