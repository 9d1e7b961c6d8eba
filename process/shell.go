package process

import (
	"bufio"
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/internal/linux"
)

// ErrNoShell is returned where a script needs a shell and the image has none.
var ErrNoShell = fault.New(fault.Unprocessable,
	"this image has no shell (none in /etc/shells, no $SHELL, no sh in PATH); "+
		"only a plain program with plain arguments can run")

// shellFile lists the shells of the system.
const shellFile = "/etc/shells"

// preferred are the shells of the list that are taken, in this order, because what users have written runs in these
// (docs/wire.md, "Shell").
var preferred = []string{"/usr/bin/zsh", "/bin/zsh", "/usr/bin/bash", "/bin/bash"}

// shellFinder finds the shell once, and again when the list of shells has changed or the shell is gone.
type shellFinder struct {
	list string // the file; /etc/shells but in tests

	mu    sync.Mutex
	known bool
	mtime time.Time // of the list when the shell was found; zero without a list
	path  string    // "" for none
}

// find returns the path of the shell. env matters only for a shell that is not in the list.
func (f *shellFinder) find(env []string) (string, error) {
	var mtime time.Time
	if st, err := os.Stat(f.list); err == nil {
		mtime = st.ModTime()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.known || !mtime.Equal(f.mtime) {
		f.path, f.mtime, f.known = f.search(env), mtime, true
	}
	if f.path == "" {
		f.known = false // an image may get a shell at any time
		return "", ErrNoShell
	}
	return f.path, nil
}

// forget makes the next find search again.
func (f *shellFinder) forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.known = false
}

func (f *shellFinder) search(env []string) string {
	var listed []string
	if data, err := os.ReadFile(f.list); err == nil {
		for lines := bufio.NewScanner(bytes.NewReader(data)); lines.Scan(); {
			listed = append(listed, strings.TrimSpace(lines.Text()))
		}
	}
	for _, path := range preferred {
		if slices.Contains(listed, path) && executable(path) == nil {
			return path
		}
	}
	if path := lookup(env, "SHELL"); filepath.IsAbs(path) && executable(path) == nil {
		return path
	}
	path, err := LookPath("sh", lookup(env, "PATH"), "/")
	if err != nil {
		return ""
	}
	return path
}

// defaultPath is searched where the environment has no PATH.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// LookPath finds a program as a shell in folder dir would: name itself when it has a slash, else in the folders of
// path ("" means the usual ones). Errors: fault.NotFound, fault.Forbidden for a file that may not be executed, and
// those of fault.System.
func LookPath(name, path, dir string) (string, error) {
	if strings.Contains(name, "/") {
		if !filepath.IsAbs(name) {
			name = filepath.Join(dir, name)
		}
		return name, programError(name, executable(name))
	}
	if path == "" {
		path = defaultPath
	}
	err := fs.ErrNotExist
	for _, folder := range filepath.SplitList(path) {
		if !filepath.IsAbs(folder) {
			folder = filepath.Join(dir, folder)
		}
		full := filepath.Join(folder, name)
		e := executable(full)
		if e == nil {
			return full, nil
		}
		if errors.Is(e, fs.ErrPermission) {
			err = e
		}
	}
	return "", programError(name, err)
}

func programError(name string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrPermission):
		return fault.Newf(fault.Forbidden, "%s: cannot be executed: %w", name, err)
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.ELOOP),
		errors.Is(err, unix.ENAMETOOLONG), errors.Is(err, unix.EINVAL):
		return fault.Newf(fault.NotFound, "%s: command not found: %w", name, err)
	default:
		return fault.System(name, err)
	}
}

func executable(path string) error {
	st, err := os.Stat(path)
	if err != nil {
		return err
	}
	if st.IsDir() || st.Mode()&0o111 == 0 {
		return fs.ErrPermission
	}
	return nil
}

// maxArgument is the longest script passed as an argument; the kernel's limit for one is 128 KiB.
const maxArgument = 100 << 10

// shellProgram returns what runs script as `SHELL -c SCRIPT` does, with a script that is not among the arguments that
// are shown. A script that is too long for that comes from a file.
func (s *starter) shellProgram(script string, env []string, attr *syscall.ProcAttr, theirs *closers) (program, error) {
	shell, err := s.shells.find(env)
	if err != nil {
		if argv, ok := words(script); ok {
			return program{argv: argv}, nil
		}
		return program{}, err
	}
	if len(script) > maxArgument {
		file, err := linux.MemoryFile("script", []byte(script))
		if err != nil {
			return program{}, fault.Newf(fault.Internal, "hand the script to the shell: %w", err)
		}
		*theirs = append(*theirs, file)
		attr.Files = append(attr.Files, file.Fd())
		return program{argv: []string{shell, "/proc/self/fd/" + strconv.Itoa(len(attr.Files)-1)}}, nil
	}
	argv := []string{shell, "-c"}
	if strings.HasPrefix(script, "-") || strings.HasPrefix(script, "+") {
		argv = append(argv, "--") // it is no option
	}
	if replaced[filepath.Base(shell)] && lone(script) {
		return program{argv: append(argv, script)}, nil
	}
	return program{argv: argv, hidden: script, at: len(argv), other: func() other { return evaluation(argv, script) }}, nil
}

// scriptVariable holds the script where no argument can be hidden.
const scriptVariable = "SANDLOT_SCRIPT"

// evaluation runs a script from a variable, which is gone before its first line. It differs from -c: errors in
// grammar name eval, the last command does not replace the shell, a trap for ERR may be called twice. A shell of
// another family gets the script as an argument that is shown.
func evaluation(argv []string, script string) other {
	switch filepath.Base(argv[0]) {
	case "sh", "bash", "dash", "ash", "zsh", "ksh", "mksh":
		return other{
			argv: append(slices.Clone(argv[:2]), `eval "unset `+scriptVariable+`;$`+scriptVariable+`"`),
			env:  []string{scriptVariable + "=" + script},
		}
	}
	return other{argv: append(slices.Clone(argv), script)}
}

// words splits a script that needs no shell into program and arguments: plain words with blanks between them.
func words(script string) ([]string, bool) {
	for _, r := range script {
		plain := r == ' ' || r == '\t' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' ||
			strings.ContainsRune("_-+./,:@%", r) || r >= 0x80
		if !plain {
			return nil, false
		}
	}
	w := strings.Fields(script)
	return w, len(w) > 0
}

// replaced are the shells that put the last program of a script in their own place. dash does not.
var replaced = map[string]bool{"bash": true, "zsh": true}

// lone reports whether a script is one command of plain words. A shell in replaced does such a command by itself or
// is replaced by its program, so nothing that the script starts can find a shell with the script in its command line.
func lone(script string) bool {
	w, ok := words(script)
	return ok && !slices.Contains(starters, w[0])
}

// starters are the words before a command that can start it and leave the shell standing.
var starters = []string{
	".", "source", "eval", "command", "builtin", "time", "coproc", "trap", "noglob", "nocorrect", "-",
}
