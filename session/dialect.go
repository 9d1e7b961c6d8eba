package session

import (
	"bytes"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
)

// dialect is how a kind of shell is made to run a command and to report its end.
type dialect int

const (
	posixShell dialect = iota // dash, busybox ash, ksh, and shells that are not known
	bashShell
	zshShell
)

// dialectOf knows a shell by the name of its program.
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
	nonce        string // marks the report; the script cannot know it
	script       string // path of the file to source, not that of the job before
	in, out, err string // paths of the files that become its streams; in is "" for an empty input
	trace        bool   // the script may set the descriptor of the trace
}

// report is what a shell writes at a command's end. The zero value is that of a shell that has run nothing yet.
type report struct {
	code    int
	skipped bool   // the script was not sourced at all; only bash can know
	flags   string // options that are set: $-, or $SHELLOPTS of a bash
	trace   int    // descriptor of the trace of a bash, 0 for standard error
}

func (r report) has(option string) bool { return strings.Contains(":"+r.flags+":", ":"+option+":") }

// Descriptors of a bash that are ours, counted from base.
const (
	emptyFD   = iota // an empty input
	controlFD        // the socket of the reports
	inputFD          // this and the next two are open only while a line runs
	traceFD
	nullFD
)

// setUp makes the line that a shell reads first, "" for none.
//
// After a redirection, bash restores the descriptor from a copy, which it keeps at 10 or above, where scripts may want
// their own. The line leaves it nothing to restore: between commands bash has no output, and its input is duplicated
// from a high descriptor, in which case bash keeps the copy above that one.
func (d dialect) setUp(base int) string {
	if d != bashShell {
		return ""
	}
	return fmt.Sprintf("exec %d</dev/null %d>&2 >&- 2>&-\n", base+emptyFD, base+controlFD)
}

// line makes the line that runs a job in a shell whose report before was last. Both parts of the line, the run and the
// report, leave no trace in the output, fire no trap of errors, and keep $?. docs/decisions/0009 says why each word is
// there.
func (d dialect) line(j job, last report, base int) string {
	word := `\command`
	if d == zshShell || d == bashShell && !last.has("posix") {
		word = `\builtin` // in zsh, command runs only programs; in bash, a function is more often named command
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
	report := word + ` echo "/` + j.nonce
	switch d {
	case bashShell:
		return j.bash(either(restore), source, last, base)
	case zshShell: // with && or ||, the script would run without ZERR and set -e
		if restore != "" {
			restore += "; "
		}
		return restore + "{ " + source + "; } <" + in + " >" + j.out + " 2>" + j.err + "; " + report + "/$?/$-/\"\n"
	default:
		return either(restore) + redirected + " && " + report + `/0/$-/" || ` + report + "/$?/$-/\"\n"
	}
}

func either(command string) string {
	if command == "" {
		return ""
	}
	return command + " || "
}

// bash makes the line for bash. The ! before the source keeps its status from firing the ERR trap and from ending the
// shell. It is left out where set -e is on, since bash would ignore set -e in what follows a !. The report is bash's
// own message that a file cannot be opened. No command writes it, so no trace and no trap see one.
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
	if last.has("xtrace") && last.trace > 2 && last.trace < base { // to other descriptors our trace does not go
		n := strconv.Itoa(last.trace)
		run = "{ " + run + " " + n + ">&" + fd(traceFD) + ";} " + fd(traceFD) + ">&" + n +
			" " + fd(nullFD) + ">/dev/null " + n + ">&" + fd(nullFD)
	}
	trace := ""
	if j.trace || last.has("xtrace") {
		trace = "${BASH_XTRACEFD-}"
	}
	return run + `;! { ! { :;}<"/` + j.nonce + "/$PIPESTATUS/$SHELLOPTS/" + trace + `/$_";} 2>&` + fd(controlFD) + "\n"
}

// find looks for the report of a job in what the shell said. A trace, or the rest of bash's error message, may stand
// around it.
func (d dialect) find(said []byte, j job) (r report, ok bool) {
	mark := []byte("/" + j.nonce + "/")
	for rest := said; ; {
		_, after, found := bytes.Cut(rest, mark)
		if !found {
			return report{}, false
		}
		text, _, whole := bytes.Cut(after, []byte("\n"))
		before := rest[:len(rest)-len(after)-len(mark)]
		starts := d == bashShell || len(before) == 0 || before[len(before)-1] == '\n' // not so in a trace of the report
		if r, ok := d.parse(string(text), j); ok && whole && starts {
			return r, true
		}
		rest = after // that was our line, as set -v shows it
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
		r.trace, _ = strconv.Atoi(f[2])                    // no number, or a wrong one, means standard error
		r.skipped = !strings.HasPrefix(f[3], j.script+":") // $_ is the last word of the last command
	}
	return r, true
}
