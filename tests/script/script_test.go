//go:build e2e

package script_test

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/sandlot-dev/sandlot/tests/harness"
)

func TestAlone(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata/alone", Setup: setup, Cmds: commands})
}

func TestRunning(t *testing.T) { running(t, "testdata/running") }

func TestPipe(t *testing.T) { running(t, "testdata/pipe") }

// running runs the scripts of a folder beside each other, with a server of theirs.
func running(t *testing.T, dir string) {
	t.Helper()
	s := harness.Start(t, harness.Options{Image: harness.Image(t, "", harness.Busybox)})
	testscript.Run(t, testscript.Params{Dir: dir, Cmds: commands, Setup: func(env *testscript.Env) error {
		env.Vars = append(env.Vars, s.Env()...)
		env.Setenv("API", s.API)
		env.Setenv("KEY", s.Key)
		return setup(env)
	}})
}

// setup puts our programs on the path, and the data folder of a script without a server into its own folder.
func setup(env *testscript.Env) error {
	program, err := harness.Bin("sandlot")
	if err != nil {
		return err
	}
	env.Setenv("PATH", filepath.Dir(program)+string(os.PathListSeparator)+env.Getenv("PATH"))
	if env.Getenv("SANDLOT_DATA") == "" {
		env.Setenv("SANDLOT_DATA", filepath.Join(env.WorkDir, "data"))
	}
	return nil
}

var commands = map[string]func(ts *testscript.TestScript, neg bool, args []string){
	// deaf SOCKET listens there until the script's end and never answers.
	"deaf": func(ts *testscript.TestScript, _ bool, args []string) {
		if len(args) != 1 {
			ts.Fatalf("usage: deaf socket")
		}
		ln, err := net.Listen("unix", ts.MkAbs(args[0]))
		ts.Check(err)
		ts.Defer(func() { _ = ln.Close() }) // nothing was taken from it
	},
	// code N PROGRAM ARG... runs a program that has to end with exit code N.
	"code": func(ts *testscript.TestScript, _ bool, args []string) {
		if len(args) < 2 {
			ts.Fatalf("usage: code N program [arg...]")
		}
		err := ts.Exec(args[1], args[2:]...)
		got := "exit status 0"
		if err != nil {
			got = err.Error()
		}
		if got != "exit status "+args[0] {
			ts.Fatalf("%s: %s, want exit status %s", strings.Join(args[1:], " "), got, args[0])
		}
	},
}
