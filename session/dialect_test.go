package session_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sandlot-dev/sandlot/process/journal"
	"github.com/sandlot-dev/sandlot/session"
)

// steps are commands of one session, and what each gives.
type step struct {
	script         string
	code           int
	stdout, stderr string // "*" is anything
}

func play(t *testing.T, s *session.Session, steps []step) {
	t.Helper()
	for _, st := range steps {
		code, stdout, stderr := do(t, s, st.script)
		if code != st.code || st.stdout != "*" && stdout != st.stdout || st.stderr != "*" && stderr != st.stderr {
			t.Errorf("%q gave %d, %q, %q; want %d, %q, %q", st.script, code, stdout, stderr, st.code, st.stdout, st.stderr)
		}
	}
}

func TestNothingOfOursIsSeenInAnyShell(t *testing.T) {
	for _, shell := range []string{"/bin/bash", "/bin/dash", "busybox", "zsh"} {
		for _, tc := range []struct {
			name  string
			steps []step
		}{
			{"status of the command before", []step{
				{"(exit 3)", 3, "", ""},
				{"echo $?", 0, "3\n", ""},
				{"echo $?", 0, "0\n", ""},
				{"return 200", 200, "", ""},
				{"return $?", 200, "", ""},
				{"if fi", -1, "", "*"},
				{"[ $? -gt 0 ] && echo kept", 0, "kept\n", ""},
			}},
			{"trace", []step{
				{"set -x", 0, "", ""},
				{"(exit 3)", 3, "", "TRACEexit 3\n"},
				{"echo hi", 0, "hi\n", "TRACEecho hi\n"},
				{"{ set +x; } 2>/dev/null", 0, "", "*"},
				{"echo hi", 0, "hi\n", ""},
			}},
			{"lines as they are read", []step{
				{"set -v", 0, "", ""},
				{"(exit 3)", 3, "", "(exit 3)\n"},
				{"set +v", 0, "", "set +v\n"},
				{"(exit 4)", 4, "", ""},
			}},
			{"set -e", []step{
				{"set -e; false || true", 0, "", ""},
				{"set +e; false; echo on", 0, "on\n", ""},
				{"set -e", 0, "", ""},
				{"echo a; set +e", 0, "a\n", ""},
				{"false", 1, "", ""},
			}},
			{"unset variables", []step{{"set -u", 0, "", ""}, {"(exit 3)", 3, "", ""}, {"echo a", 0, "a\n", ""}}},
			{"options are kept", []step{{"set -f -C -a", 0, "", ""}, {"echo *", 0, "*\n", ""}}},
			{"names are the script's", []step{
				{"echo() { printf no; }; printf() { :; }; alias echo=no exit=no 2>/dev/null; (exit 3)", 3, "", ""},
				{"unset -f echo printf; unalias echo", 0, "", ""},
				{"echo fine", 0, "fine\n", ""},
			}},
			{"folder is kept", []step{{"cd /usr", 0, "", ""}, {"pwd", 0, "/usr\n", ""}}},
		} {
			t.Run(shell+"/"+tc.name, func(t *testing.T) {
				path, ps4 := shell, "+ "
				switch shell {
				case "busybox":
					path = busybox(t)
				case "zsh":
					path = zsh(t)
				case "/bin/bash":
					ps4 = "++ " // one sign for each sourced script
				}
				if shell == "zsh" && (tc.name == "trace" || tc.name == "options are kept") {
					t.Skip("it shows that the script is sourced, and has options of its own")
				}
				s := create(t, newManagerOf(t, path), "s")
				for i, st := range tc.steps {
					tc.steps[i].stderr = strings.ReplaceAll(st.stderr, "TRACE", ps4)
					if st.code < 0 { // the shell's own
						code, _, _ := do(t, s, st.script)
						if code == 0 {
							t.Errorf("%q gave 0", st.script)
						}
						play(t, s, tc.steps[i+1:])
						return
					}
					play(t, s, tc.steps[i:i+1])
				}
			})
		}
	}
}

func TestTrapsOfBashSeeTheCommandsAlone(t *testing.T) {
	for _, tc := range []struct {
		name  string
		steps []step
	}{
		{"ERR fires once", []step{
			{"trap 'n=$((n+1)); echo E$n' ERR", 0, "", ""},
			{"false", 1, "E1\n", ""},
			{"(exit 3); true", 0, "E2\n", ""},
			{"sh -c 'exit 4'", 4, "E3\n", ""},
			{"echo $n", 0, "3\n", ""},
			{"return 7", 7, "", ""},
			{"echo $n", 0, "3\n", ""},
		}},
		{"ERR with set -E", []step{
			{"set -E; trap 'n=$((n+1))' ERR", 0, "", ""},
			{"false", 1, "", ""},
			{"true; echo $n", 0, "1\n", ""},
		}},
		{"DEBUG does not write", []step{
			{"trap 'echo D' DEBUG", 0, "", ""},
			{"true", 0, "", ""},
			{"trap - DEBUG", 0, "", ""},
		}},
		{"EXIT", []step{{"trap 'echo bye' EXIT", 0, "", ""}, {"false", 1, "", ""}, {"exit 3", 3, "bye\n", ""}}},
		{"set -e does not end the shell for a status that was looked at", []step{
			{"set -e; false && true", 1, "", ""},
			{"set +e", 0, "", ""},
		}},
		{"status of a pipe", []step{{"false | true", 0, "", ""}}},
	} {
		t.Run(tc.name, func(t *testing.T) { play(t, create(t, newManagerOf(t, "/bin/bash"), "s"), tc.steps) })
	}
}

func TestTraceOfBashInAFileHoldsTheCommandsAlone(t *testing.T) {
	s := create(t, newManagerOf(t, "/bin/bash"), "s")
	file := filepath.Join(t.TempDir(), "trace")
	play(t, s, []step{
		{"exec 7>" + file + "; BASH_XTRACEFD=7; set -x", 0, "", ""},
		{"(exit 3)", 3, "", ""},
		{"echo hi", 0, "hi\n", ""},
		{"set +x; echo after >&7", 0, "", ""},
	})
	if got, _ := os.ReadFile(file); string(got) != "++ exit 3\n++ echo hi\n++ set +x\nafter\n" {
		t.Errorf("the trace is %q", got)
	}
}

func TestDescriptorsAreTheScripts(t *testing.T) {
	s := create(t, newManagerOf(t, "/bin/bash"), "s")
	file := filepath.Join(t.TempDir(), "f")
	var open, use, shut strings.Builder
	for n := 3; n < 256; n++ {
		fmt.Fprintf(&open, "exec %d>>%s\n", n, file)
		fmt.Fprintf(&use, "echo %d >&%d\n", n, n)
		fmt.Fprintf(&shut, "exec %d>&-\n", n)
	}
	play(t, s, []step{
		{shut.String(), 0, "", ""},
		{open.String(), 0, "", ""},
		{use.String(), 0, "", ""},
		{"wc -l <" + file, 0, "253\n", ""},
		{shut.String(), 0, "", ""},
		{"echo 1 >&10", 1, "", "*"},
		{"echo fine", 0, "fine\n", ""},
	})
	c := start(t, s, session.Spec{Script: `exec 11>` + file + `; read x; echo "got $x"`, Async: true})
	if err := c.Input([]byte("one\n")); err != nil {
		t.Fatal(err)
	}
	wait(t, c)
	play(t, s, []step{{"echo kept >&11; cat " + file, 0, "kept\n", ""}})
	if got := text(t, c, journal.Stdout); got != "one\ngot one\n" {
		t.Errorf("with input: %q", got)
	}
}
