package process_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sandlot-dev/sandlot/process"
	"github.com/sandlot-dev/sandlot/process/journal"
)

// corpus are scripts whose output, errors and exit code have to be those of SHELL -c SCRIPT. All are run in each of
// the shells.
var corpus = []string{
	// Ends.
	"true", "false", "exit", "exit 3", "exit 256", "exit -1", "exit x", "(exit 4)", "false; exit", ":",
	"kill -TERM $$", "kill -KILL $$", "kill -HUP $$; echo no",
	"sh -c 'kill -TERM $$'", "sh -c 'kill -KILL $$'; echo $?", "sh -c 'kill -TERM $$'; exit $?",
	"exec sh -c 'exit 9'", "exec false", "exec /no/such; echo after",
	"exec no-such-program; echo after", "echo a; exec echo b; echo c", "exit 5 | cat; echo $?", "return 7",
	"return; echo after", "f() { return 8; }; f",
	"! true", "true && false || exit 6", "kill -USR1 $$",

	// What is not found, and what is wrong: the texts.
	"no-such-program", "no-such-program; echo $?", "/no/such/file", "/", "/etc/passwd", "\n\nno-such-program",
	"echo a\necho b\nno-such-program\necho c",
	"cd /no/such", "cat /no/such", "echo hi >/no/such/file", "cat </no/such/file", ". /no/such/file",
	". /no/such/file; echo after", "source /no/such/file; echo after",
	"echo 'unterminated", "echo \"unterminated", "echo `unterminated", "echo $(unterminated", "if true; then echo a",
	"if", "fi", "for", "done", ")", "(", "}", "{ echo a", "&& echo a", "echo a |",
	"echo a; ;", "echo first\nif", "echo first; )", "case x in", "while :; do", "echo ${", "echo ${a b}",
	"echo $((1+))", "echo $((1/0))", "f( {", "[ 1", "[ a -eq 1 ]", "[[ a = a ]] && echo yes",
	"echo ${x:?is missing}; echo after", "set -u; echo $nothing; echo after", "readonly r=1; r=2; echo after",
	"shift 5; echo after", "unset -x; echo $?", "umask x; echo $?", "wait x; echo $?",
	"trap 'echo' NOSUCH; echo $?", "export 1=2; echo $?", "alias x=y z; echo $?", "break; echo after",
	"eval 'echo ('; echo after", "eval 'no-such'", "type no-such-program", "command no-such-program",

	// Who it is.
	`echo "$0"`, `echo "$0" "$@" "$#"`, `echo "$-"`, `echo "${BASH_EXECUTION_STRING-none}"`,
	`echo "${BASH_SOURCE-none}" "${FUNCNAME-none}" "${#BASH_SOURCE[@]}"`, `echo "$_"`,
	`echo "$*"; set -- a b; echo "$1$2$#"`,
	`echo "$LINENO"`, "\n\necho $LINENO\n\necho $LINENO", "f() {\necho $LINENO\n}\nf\necho $LINENO",
	`[ "$PPID" -gt 0 ] && echo parent`, `readlink "/proc/$PPID/exe"`,
	"sh -c 'readlink /proc/$PPID/exe'", "sh -c 'readlink /proc/$PPID/exe'; :", "readlink /proc/self/exe",
	"sh -c 'readlink /proc/$PPID/exe' 2>&1 | cat",
	"(sh -c 'readlink /proc/$PPID/exe')", "PS4='+ '; BASHPID=; echo ${BASH_SUBSHELL-none}", "caller; echo $?",
	"echo ${BASH_ARGV-none} ${BASH_ARGC-none}", "echo $SHLVL",
	"times >/dev/null; echo $?", "set -o | sort | head -40", "shopt 2>/dev/null | sort | head -80", "ulimit -n",
	"umask", "pwd", `echo "$PWD"`, "hash", "jobs", "declare -F; echo done",
	"env | grep -v '^SANDLOT_\\|^_=\\|^PWD=' | sort", "set | grep -c SCRIPT",
	"tr '\\0' '\\n' </proc/self/environ | grep -v '^SANDLOT_\\|^_=\\|^PWD=' | sort", "cat /proc/$$/comm",
	"grep ^Sig[PBIC] /proc/self/status",
	"exec grep \"^Sig[PBIC]\\|^Cap\\|Seccomp\\|NoNew\\|Tracer\" /proc/self/status",

	// Descriptors and standard input.
	"read x; echo $? \"$x\"", "cat; echo end", "cat | wc -c", "cat <&0; wc -c", "ls /proc/self/fd | wc -l",
	"ls /proc/self/fd", "ls /proc/$$/fd", "(ls /proc/self/fd)", "ls /proc/self/fd & wait",
	"exec 3</dev/null 4>&1; ls /proc/self/fd >&4",
	"for n in 3 4 5 6 7 8 9; do eval \"echo x >&$n\" 2>/dev/null && echo $n; done; :", "exec <&-; cat; echo $?",
	"exec >&- 2>&-; echo no; exit 4",
	"exec 0<&- 1>&- 2>&- 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-; no-such; exit 4", "exec </dev/null >/dev/null; echo no",
	"sh; echo $?", "sh -s <<E\necho inner \\$0\nE", "head -c 1 /proc/self/fd/0 | wc -c",
	"exec 9>&1; (echo sub >&9)", "[ -t 0 ]; echo $?", "python3 - </dev/null; echo $?",
	"echo out; echo err >&2; echo out2", "exec 2>&1; no-such-program", "tee /dev/stderr </dev/null",
	"readlink /proc/self/fd/0",

	// Here documents.
	"cat <<E\nhello $0\nE", "cat <<'E'\nhello $0\nE", "cat <<-E\n\thello\n\tE\necho $LINENO", "cat <<E\nnever ended",
	"cat <<A; cat <<B\na\nA\nb\nB\necho after", "cat <<<word", "cat <<E | tr a-z A-Z\nabc\nE",
	"f() { cat; }; f <<E\nin function\nE", "while read l; do echo \"[$l]\"; done <<E\n1\n2\nE",

	// Traps, options.
	"trap 'echo bye' EXIT; echo hi", "trap 'echo bye' EXIT; exit 3", "trap 'echo bye $?' EXIT; false",
	"trap 'echo term; exit 5' TERM; kill -TERM $$; echo no", "trap 'echo u' USR1; kill -USR1 $$; echo after",
	"trap 'echo err $LINENO' ERR; false; true; false", "trap 'echo err' ERR; false",
	"trap 'echo d $BASH_COMMAND' DEBUG; echo a; echo b", "trap '' TERM; kill -TERM $$; echo alive", "trap; echo $?",
	"trap 'echo bye' EXIT; exec true",
	"trap 'echo bye' EXIT; sh -c 'exit 6'", "trap 'echo r' RETURN; f() { :; }; f",
	"trap 'echo int' INT; kill -INT $$; echo after", "set -e; false; echo no",
	"set -e; false || echo yes; (exit 3); echo no", "set -e\ntrue\nfalse\necho no",
	"set -e; f() { false; echo in; }; f || echo or; f", "set -x; echo a; b=1; [ $b = 1 ]", "set -v\necho a\necho b",
	"set -n; echo no", "set -n\necho no\nif", "set -eu -o pipefail; false | true; echo no", "set -f; echo *",
	"set -a; v=1; env | grep ^v=",
	"set -C; echo a >/tmp/../dev/null; echo $?", "set -o vi; echo $-", "set -z; echo after",
	"set -m; sleep 0 & wait; echo $?", "set -k 2>/dev/null; echo $?", "set +x; echo $-",

	// Names, aliases, functions, expansion.
	"alias hi='echo hello'\nhi", "shopt -s expand_aliases\nalias hi='echo hello'\nhi", "unalias -a; echo $?",
	"f() { echo f $1; }; f a; unset -f f; f", "echo() { printf 'mine %s\\n' \"$*\"; }; echo x",
	"unset() { echo mine; }; unset x",
	"eval() { echo mine; }; eval x", "exit() { echo mine; }; exit 3", "test() { echo mine; }; test",
	"a=1; (a=2; echo $a); echo $a", "echo ${undefined-default} ${#HOME}", "echo {1..3}", "echo $((7*6)) $((010))",
	"echo ~root", "x='a  b'; echo $x \"$x\"",
	"for i in 1 2 3; do echo $i; done", "i=0; while [ $i -lt 3 ]; do i=$((i+1)); done; echo $i",
	"case abc in a*) echo yes;; esac", "echo 'ü €'", "printf '\\377\\0x' | od -c | head -1",
	"printf '%s|' a 'b c' ''", "echo \"a\\\nb\"", "echo a\\\nb",
	"echo a # comment", "# only a comment", "#!/bin/false\necho still", "echo a\r", "\techo tab", "  echo blanks  ",
	"echo a;", "echo a &", "echo a & wait", "sleep 0 & wait $!; echo $?", "echo a\n", "echo a\n\n\n", "echo a\\",
	"echo a\\\\",
	"-x", "--", "-", "- echo a", "-c 'echo a'", "+x", "--help", "-i; echo a", "-e\necho after", "!", "! !", "a=b",
	"A=1 sh -c 'echo $A'", "let a=1; echo $a", "local x; echo $?", "echo a; -x; echo b",

	// Pipes, background, subshells.
	"echo a | cat", "false | true; echo $?", "echo a | while read x; do echo $x; done", "(echo a; exit 3); echo $?",
	"x=$(echo a; exit 4); echo $? $x", "echo $(cat)", "{ echo a; echo b; } | sort -r",
	"kill %1 2>/dev/null; echo $?",
	"sh -c 'echo a; exit 3' || echo $?", "exec 2>/dev/null; sh -c 'kill $$' & wait $!; echo $?",
	"sh -c 'sleep 0; exit 2' & wait $!; echo $?", "sh -c 'kill -SEGV $$'; echo $?", "sh -c 'kill -ABRT $$'",
	"yes | head -2", "echo a >&2 | cat", "cat <(echo a)", "coproc true; echo $?",
	"echo `echo nested \\`echo x\\``", "eval \"eval 'echo $LINENO'\"", "eval 'exit 3'; echo no",
	"sh -ec 'false; echo no'; echo $?", "env -i sh -c 'echo $0 $#'", "command -v cd",
	"exec -a other sh -c 'echo $0'", "ulimit -c 0; echo $?", "cd /; pwd; cd ..; pwd", "cd; pwd",
	"printf '%s\\n' \"" + strings.Repeat("long ", 15000) + "\" | wc -c",
	strings.Repeat("echo line\n", 3000) + "no-such-program $LINENO",
}

// shells are the programs that the corpus is run in; scripts/engine tests installs them.
func shells(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	for name, program := range map[string]string{"bash": "bash", "dash": "dash", "busybox": "busybox"} {
		path, err := exec.LookPath(program)
		if err != nil && os.Getenv("SANDLOT_FULL") != "" {
			t.Fatalf("%v: run scripts/engine tests", err)
		}
		if err != nil {
			t.Logf("%v: its part is left out; scripts/engine tests installs it", err)
			continue
		}
		if name == "busybox" {
			link := filepath.Join(t.TempDir(), "sh") // it is told by its name what to be
			if err := os.Symlink(path, link); err != nil {
				t.Fatal(err)
			}
			path = link
		}
		found[name] = path
	}
	return found
}

// run is how a script ended.
type run struct {
	code           int
	signal         string
	stdout, stderr string
}

var longNumber = regexp.MustCompile(`\b[0-9]{3,}\b`)

// bare runs SHELL -c SCRIPT as a program of another author would.
func bare(t *testing.T, shell, script, dir string) run {
	t.Helper()
	argv := []string{"-c", script}
	if strings.HasPrefix(script, "-") || strings.HasPrefix(script, "+") {
		argv = []string{"-c", "--", script}
	}
	cmd := exec.CommandContext(t.Context(), shell, argv...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr, cmd.Dir, cmd.SysProcAttr = &stdout, &stderr, dir, &syscall.SysProcAttr{Setsid: true}
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	errs := longNumber.ReplaceAllString(stderr.String(), "N")
	r := run{code: cmd.ProcessState.ExitCode(), stdout: stdout.String(), stderr: errs}
	if ws := cmd.ProcessState.Sys().(syscall.WaitStatus); ws.Signaled() {
		r.code, r.signal = 128+int(ws.Signal()), signals[ws.Signal()]
	}
	return r
}

var signals = map[syscall.Signal]string{
	syscall.SIGTERM: "SIGTERM", syscall.SIGKILL: "SIGKILL", syscall.SIGHUP: "SIGHUP",
	syscall.SIGUSR1: "SIGUSR1", syscall.SIGABRT: "SIGABRT",
	syscall.SIGSEGV: "SIGSEGV", syscall.SIGINT: "SIGINT",
}

func ours(t *testing.T, m *process.Manager, script, dir string) run {
	t.Helper()
	res, err := m.Run(t.Context(), process.Spec{
		Script: script, Streams: process.Capture{Split: true}, Dir: dir, Timeout: time.Minute, Linger: time.Minute,
	})
	if err != nil {
		t.Errorf("%q: %v", script, err)
		return run{}
	}
	defer res.Discard()
	return run{
		code: res.ExitCode, signal: res.Signal, stdout: text(t, res.Output, journal.Stdout),
		stderr: longNumber.ReplaceAllString(text(t, res.Output, journal.Stderr), "N"),
	}
}

// compare runs the corpus in one shell both ways, and tells the scripts whose ends are not the same.
func compare(t *testing.T, m *process.Manager, shell string, same func(a, b run) bool) map[string]string {
	t.Helper()
	m.UseShell(shell)
	dir := t.TempDir()
	found := map[string]string{}
	var mu sync.Mutex
	var group sync.WaitGroup
	turn := make(chan struct{}, 4)
	for _, script := range corpus {
		turn <- struct{}{}
		group.Go(func() {
			defer func() { <-turn }()
			if got, want := ours(t, m, script, dir), bare(t, shell, script, dir); !same(got, want) {
				mu.Lock()
				defer mu.Unlock()
				found[script] = fmt.Sprintf("got %+v\nwant %+v", got, want)
			}
		})
	}
	group.Wait()
	return found
}

func TestScriptsRunAsWithDashC(t *testing.T) {
	for name, shell := range shells(t) {
		t.Run(name, func(t *testing.T) {
			m := newManager(t, process.Config{})
			for script, what := range compare(t, m, shell, func(a, b run) bool { return a == b }) {
				t.Errorf("%.200q:\n%.1000s", script, what)
			}
			if !m.Hides() {
				t.Error("programs cannot be traced on this machine, so that the scripts were run another way")
			}
		})
	}
}

// TestScriptsRunWhereNothingCanBeHidden wants the same exit codes and output, but for what the way that they are run
// shows of itself.
func TestScriptsRunWhereNothingCanBeHidden(t *testing.T) {
	for name, shell := range shells(t) {
		t.Run(name, func(t *testing.T) {
			m := newManager(t, process.Config{})
			m.HideNothing()
			found := compare(t, m, shell, func(a, b run) bool { return a.code == b.code && a.stdout == b.stdout })
			for script, what := range found {
				if !evaluated[script] {
					t.Errorf("%.200q:\n%.1000s", script, what)
				}
			}
		})
	}
}

var evaluated = map[string]bool{
	"cat /proc/$$/comm": true, "ls /proc/$$/fd": true, // the last command does not replace the shell
	"grep ^Sig[PBIC] /proc/self/status": true,
	"sh -c 'readlink /proc/$PPID/exe'":  true, "(sh -c 'readlink /proc/$PPID/exe')": true,
	`echo "${BASH_EXECUTION_STRING-none}"`: true, `echo "$_"`: true, "set | grep -c SCRIPT": true,
	"exec 2>&1; no-such-program": true, // dash and busybox name eval

	"trap 'echo err $LINENO' ERR; false; true; false": true, "trap 'echo err' ERR; false": true, // twice in busybox
}

// TestCommandDoesNotFindItself looks for a word that is in the script and in one process that it starts.
func TestCommandDoesNotFindItself(t *testing.T) {
	for name, shell := range shells(t) {
		for i, hides := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, hiding %v", name, hides), func(t *testing.T) {
				m := newManager(t, process.Config{})
				m.UseShell(shell)
				if !hides {
					m.HideNothing()
				}
				word := fmt.Sprintf("%d.%02d", 78000+os.Getpid()%1000, i)
				script := strings.ReplaceAll(`sleep W & until grep -q ^sleep /proc/$!/cmdline; do :; done
					for file in $(grep -l W /proc/[0-9]*/cmdline 2>/dev/null); do
						found=$(cat "$file" 2>/dev/null | tr '\0' ' ')
						case $found in grep*|'') ;; *) pid=${file#/proc/}; echo "$found"; kill "${pid%/*}";; esac
					done
					wait; echo after`, "W", word)
				res, err := m.Run(t.Context(), process.Spec{Script: script, Timeout: time.Minute})
				if err != nil {
					t.Fatal(err)
				}
				defer res.Discard()
				if got, want := text(t, res.Output, 0), "sleep "+word+" \nafter\n"; res.ExitCode != 0 || got != want {
					t.Errorf("exit code %d, output %q; want 0, %q", res.ExitCode, got, want)
				}
			})
		}
	}
}

// TestOneCommandDoesNotFindItsShell wants the same of a script that is one command, however that is started.
func TestOneCommandDoesNotFindItsShell(t *testing.T) {
	look := filepath.Join(t.TempDir(), "look")
	const program = "#!/bin/sh\nfor file in /proc/[0-9]*/cmdline; do " +
		"{ tr '\\0' ' ' <$file | grep -e \"-c .*$1\"; } 2>/dev/null; done; echo looked\n"
	if err := os.WriteFile(look, []byte(program), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, shell := range shells(t) {
		for _, before := range []string{"", "exec ", "command ", "eval ", "time ", "builtin eval ", "nohup ", "env ", ". "} {
			t.Run(name+" "+before, func(t *testing.T) {
				m := newManager(t, process.Config{})
				m.UseShell(shell)
				script := before + look + " word-of-" + strconv.Itoa(os.Getpid())
				res, err := m.Run(t.Context(), process.Spec{Script: script, Timeout: time.Minute})
				if err != nil {
					t.Fatal(err)
				}
				defer res.Discard()
				if got := text(t, res.Output, 0); strings.Contains(got, "word-of") && res.ExitCode == 0 {
					t.Errorf("exit code %d, output %q", res.ExitCode, got)
				} else if before == "" && got != "looked\n" {
					t.Errorf("it did not look: %q", got)
				}
			})
		}
	}
}
