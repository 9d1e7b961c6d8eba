package session

import (
	"bytes"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
)

// dialect is how a kind of shell is told to run a command and to report its end.
type dialect int

const (
	posixShell dialect = iota // dash, busybox ash, ksh, and what is not known
	bashShell
	zshShell
)

// dialectOf tells a shell by the name of its program.
func dialectOf(path string) dialect {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	switch name := filepath.Base(path); {
	case strings.HasPrefix(name, "bash"):
		return bashShell
	case strings.HasPrefix(name, "zsh"):
		return zshShell
	default:
		return posixShell
	}
}

// job is one command as its shell is to run it.
type job struct {
	nonce        string // of the report; the script cannot know it
	script       string // path of the file to source, another one than that of the job before
	in, out, err string // paths of what becomes its streams; in is "" for an empty input
	trace        bool   // the script may set the descriptor of the trace
}

// report is what a shell tells of a command's end. The zero value is right for a shell that has run nothing yet.
type report struct {
	code    int
	skipped bool   // the script was not sourced at all; bash alone can tell
	flags   string // the options that are set: $- or, of bash, $SHELLOPTS
	trace   int    // the descriptor of bash's trace, 0 for standard error
}

func (r report) has(option string) bool { return strings.Contains(":"+r.flags+":", ":"+option+":") }

// Descriptors of bash that are ours, from the one that setUp was given on: an empty input, where it reports, and three for the moment.
const (
	emptyFD = iota
	controlFD
	inputFD
	traceFD
	nullFD
)

// setUp makes the line that a shell reads first, "" for none. Bash keeps what it must restore from descriptor 10 on, where scripts may want theirs. So nothing
// is to be restored: between commands it has no output, and its input comes from a high descriptor, above which it keeps its own.
func (d dialect) setUp(base int) string {
	if d != bashShell {
		return ""
	}
	return fmt.Sprintf("exec %d</dev/null %d>&2 >&- 2>&-\n", base+emptyFD, base+controlFD)
}

// line makes the line that runs a job in a shell that last reported last. Both parts, the run and the report, leave no trace in the output, call no trap of
// errors, and keep $?. docs/decisions/0009 tells why each word is there.
func (d dialect) line(j job, last report, base int) string {
	word := `\command`
	if d == zshShell || d == bashShell && !last.has("posix") {
		word = `\builtin` // in zsh, command is for programs alone; in bash, a function is rather named command
	}
	restore := ""
	if last.code != 0 {
		restore = "(" + word + " exit " + strconv.Itoa(last.code) + ")"
	}
	in := j.in
	if in == "" {
		in = "/dev/null"
	}
	source := word + " . " + j.script
	redirected := source + " <" + in + " >" + j.out + " 2>" + j.err
	tell := word + ` echo "/` + j.nonce
	switch d {
	case bashShell:
		return j.bash(either(restore), source, last, base)
	case zshShell: // in a command whose status is looked at, it would heed neither ZERR nor set -e
		if restore != "" {
			restore += "; "
		}
		return restore + "{ " + source + "; } <" + in + " >" + j.out + " 2>" + j.err + "; " + tell + "/$?/$-/\"\n"
	default:
		return either(restore) + redirected + " && " + tell + `/0/$-/" || ` + tell + "/$?/$-/\"\n"
	}
}

func either(command string) string {
	if command == "" {
		return ""
	}
	return command + " || "
}

// bash makes the line of bash. Inverted, a status calls no trap and ends no shell; but where set -e is on, a command whose status is looked at would not
// heed it. The report is the message that a file cannot be opened: no command says it, so that no trace and no trap see one.
func (j job) bash(restore, source string, last report, base int) string {
	fd := func(n int) string { return strconv.Itoa(base + n) }
	run := restore
	if !last.has("errexit") {
		run += "! "
	}
	run += source
	if j.in == "" {
		run += " <&" + fd(emptyFD)
	} else {
		run += " " + fd(inputFD) + "<" + j.in + " <&" + fd(inputFD)
	}
	run += " >" + j.out + " 2>" + j.err
	if n := strconv.Itoa(last.trace); last.has("xtrace") && last.trace > 2 && last.trace < base { // else our trace goes nowhere
		run = "{ " + run + " " + n + ">&" + fd(traceFD) + ";} " + fd(traceFD) + ">&" + n + " " + fd(nullFD) + ">/dev/null " + n + ">&" + fd(nullFD)
	}
	trace := ""
	if j.trace || last.has("xtrace") {
		trace = "${BASH_XTRACEFD-}"
	}
	return run + `;! { ! { :;}<"/` + j.nonce + "/$PIPESTATUS/$SHELLOPTS/" + trace + `/$_";} 2>&` + fd(controlFD) + "\n"
}

// find looks for the report of a job in what the shell said. Traces, and of bash the rest of an error message, may stand around it.
func (d dialect) find(said []byte, j job) (r report, ok bool) {
	mark := []byte("/" + j.nonce + "/")
	for rest := said; ; {
		_, after, found := bytes.Cut(rest, mark)
		if !found {
			return report{}, false
		}
		text, _, whole := bytes.Cut(after, []byte("\n"))
		before := rest[:len(rest)-len(after)-len(mark)]
		told := d == bashShell || len(before) == 0 || before[len(before)-1] == '\n' // not so in a trace of the report
		if r, ok := d.parse(string(text), j); ok && whole && told {
			return r, true
		}
		rest = after // that was the line itself, as set -v shows it
	}
}

func (d dialect) parse(text string, j job) (r report, ok bool) {
	f := strings.SplitN(text, "/", 4)
	code, err := strconv.ParseUint(f[0], 10, 8)
	if len(f) < 3 || err != nil || strings.HasPrefix(f[1], "$") {
		return r, false
	}
	r.code, r.flags = int(code), f[1]
	if d == bashShell {
		if len(f) < 4 {
			return r, false
		}
		r.trace, _ = strconv.Atoi(f[2])                    // none, and a wrong one, are standard error
		r.skipped = !strings.HasPrefix(f[3], j.script+":") // the last word of what it ran last
	}
	return r, true
}
