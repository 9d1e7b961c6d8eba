package process

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/process/journal"
)

// Spec says what to run. Either Script or Argv is set.
type Spec struct {
	Script string   // run by the sandbox's shell
	Argv   []string // program, searched in PATH, and its arguments, passed verbatim

	// Hidden is the index in Argv of an argument that is kept out of /proc/PID/cmdline where the system permits it; 0
	// means none. That argument has at most 100 KiB.
	Hidden int

	// Dir is the folder to start in; relative ones start from the Manager's. "" means the Manager's, or the home or the
	// root when that is gone.
	Dir string

	// Fork starts the process in place of Argv, if it can; nil means never.
	Fork Forker

	Env map[string]string // added to the Manager's environment

	User string // whose process it is, by name or number; "" means this program's own. HOME, USER and LOGNAME follow it

	Timeout time.Duration // from start to SIGKILL of the process and all its descendants; 0 means none
	Linger  time.Duration // how long a background child that holds the output may delay the result; 0 means 100 ms

	Streams Streams // input and output; nil means Capture{}
}

// codeFolder marks errors about the folder rather than the program.
const codeFolder = "FOLDER_NOT_FOUND"

func (s *Spec) check() error {
	nul := func(text string) bool { return strings.Contains(text, "\x00") }
	switch {
	case len(s.Argv) == 0 && strings.TrimSpace(s.Script) == "":
		return fault.New(fault.Invalid, "the command is empty")
	case nul(s.Script), slices.ContainsFunc(s.Argv, nul):
		return fault.New(fault.Invalid, "the command holds a NUL byte, which no program can be given")
	case s.Hidden < 0 || s.Hidden > 0 && s.Hidden >= len(s.Argv):
		return fault.New(fault.Invalid, "the hidden argument is none of the arguments")
	case s.Timeout < 0:
		return fault.New(fault.Invalid, "the timeout is less than 0; 0 means none")
	}
	return CheckVariables(s.Env)
}

// starter makes children of Specs. It is safe for concurrent use.
type starter struct {
	dir      string // where processes start
	env      *environment
	shells   shellFinder
	children *children
	limits   *ownLimits
	shield   Shield
	null     *os.File
}

// launch is a child that is ready to be started.
type launch struct {
	path    string
	program program
	attr    *syscall.ProcAttr
}

// prepare finds user, environment and program of a spec whose Dir is absolute. theirs gets what to close after the
// start.
func (s *starter) prepare(spec *Spec, id string, files Files, theirs *closers) (launch, error) {
	var as account
	extra := spec.Env
	if spec.User != "" {
		var err error
		if as, err = accountOf(spec.User); err != nil {
			return launch{}, err
		}
		maps.Copy(as.env, spec.Env)
		extra = as.env
	}
	env := s.env.of(spec.Dir, id, extra)
	_, terminal := spec.Streams.(Terminal)
	attr := &syscall.ProcAttr{
		Dir: spec.Dir, Env: env,
		Sys: &syscall.SysProcAttr{Setsid: true, Setctty: terminal, Credential: as.credential},
	}
	for _, f := range files {
		attr.Files = append(attr.Files, f.Fd())
	}
	prog := plainProgram(spec.Argv, spec.Hidden)
	if len(spec.Argv) == 0 {
		var err error
		if prog, err = s.shellProgram(spec.Script, env, attr, theirs); err != nil {
			return launch{}, err
		}
	}
	path, err := LookPath(prog.argv[0], lookup(env, "PATH"), spec.Dir)
	if err != nil {
		return launch{}, s.explain(err, prog.argv[0], spec.Dir)
	}
	if spec.User == "" {
		prog.forker = spec.Fork
	}
	return launch{path: path, program: prog, attr: attr}, nil
}

// folder is the absolute path of a Spec's folder.
func (s *starter) folder(dir string) string {
	switch {
	case dir == "":
		return s.dir
	case !filepath.IsAbs(dir):
		return filepath.Join(s.dir, dir)
	}
	return dir
}

// otherFolder is used in place of the default one when that is gone: the home, else the root; "" when neither can be
// entered.
func (s *starter) otherFolder() string {
	for _, dir := range []string{lookup(s.env.all(), "HOME"), "/"} {
		if filepath.IsAbs(dir) && enterable(dir) {
			return dir
		}
	}
	return ""
}

func enterable(dir string) bool {
	st, err := os.Stat(dir)
	return err == nil && st.IsDir() && unix.Access(dir, unix.X_OK) == nil
}

// explain says what was wrong with a start in a folder: the folder, the program, or the system.
func (s *starter) explain(err error, program, dir string) error {
	if !enterable(dir) {
		return fault.Codef(fault.NotFound, codeFolder,
			"folder %s does not exist or cannot be entered: make it, or give another cwd", dir)
	}
	s.shells.forget()
	switch {
	case fault.KindOf(err) != fault.Unknown:
		return err
	case errors.Is(err, unix.EAGAIN):
		return fault.Newf(fault.Internal, "%s: the sandbox has as many processes as it may: end some and try again%s: %w",
			program, s.limits.harm(), err)
	case errors.Is(err, unix.E2BIG):
		return fault.Newf(fault.Invalid, "the command and its environment are longer than the system allows: %w", err)
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.EACCES), errors.Is(err, unix.ENOEXEC),
		errors.Is(err, unix.ENOTDIR):
		return fault.Newf(fault.Forbidden, "%s: cannot be executed: %w", program, err)
	default:
		return fault.Newf(fault.Internal, "%s: start%s: %w", program, s.limits.harm(), err)
	}
}

// Start starts spec and returns at once. Errors: fault.Invalid for a bad spec, fault.NotFound for a missing program
// or folder, fault.Forbidden for one that may not be used, ErrNoShell, ErrClosed.
func (m *Manager) Start(spec Spec) (*Process, error) {
	p, err := m.launch(spec, true)
	if err != nil {
		return nil, err
	}
	p.follow()
	if p.out != nil {
		go p.drain(p.out, journal.Stdout)
	}
	go p.watch()
	return p, nil
}

// launch starts spec; the caller follows output and end. mayEnd says that it may have to be ended from here, with all
// its descendants.
func (m *Manager) launch(spec Spec, mayEnd bool) (*Process, error) {
	if err := spec.check(); err != nil {
		return nil, err
	}
	if m.closed.Load() {
		return nil, ErrClosed
	}
	m.observe()
	if spec.Linger == 0 {
		spec.Linger = 100 * time.Millisecond
	}
	if spec.Streams == nil {
		spec.Streams = Capture{}
	}
	byDefault := spec.Dir == ""
	spec.Dir = m.folder(spec.Dir)
	p := &Process{m: m, spec: spec, descendants: descendants{children: m.children}}
	p.done, p.drained = make(chan struct{}), make(chan struct{})
	if p.descendants.id, p.descendants.tag = m.names.next(); !mayEnd {
		p.descendants.tag = 0
	}
	capture, _ := spec.Streams.(Capture)
	p.output = m.NewJournal(capture.Limits)
	if err := p.start(); err != nil {
		p.pipes.close()
		if byDefault && fault.CodeOf(err) == codeFolder {
			if spec.Dir = m.otherFolder(); spec.Dir != "" {
				return m.launch(spec, mayEnd)
			}
		}
		return nil, err
	}
	return p, nil
}

// start opens the streams and starts the child. The child's ends are closed here whatever happens.
func (p *Process) start() error {
	s := &p.m.starter
	var theirs closers
	defer theirs.close()
	files, ours, err := p.spec.Streams.open(s.null, &theirs)
	p.pipes, p.streams = ours, ours.outputs()
	if err != nil {
		return fault.Newf(fault.Internal, "start a process%s: %w", s.limits.harm(), err)
	}
	l, err := s.prepare(&p.spec, p.descendants.id, files, &theirs)
	if err != nil {
		return err
	}
	var own unix.Rusage // the kernel counts what a child shares with us before exec as its own
	_ = unix.Getrusage(unix.RUSAGE_SELF, &own)
	p.ownRSS, p.kills = own.Maxrss, p.m.memory.noticed() // launch has just looked
	p.began, p.descendants.since = time.Now(), ticks()
	p.child, err = s.children.start(l.path, l.program, l.attr, p.descendants.tag, p.leaderExited)
	if err != nil {
		return s.explain(err, l.program.argv[0], p.spec.Dir)
	}
	p.descendants.leader = p.child
	s.shield.lift(p.child.pid)
	return nil
}

// StartCode is the exit code a shell gives for a start that failed with err; known is false for a bad spec and after
// Close.
func StartCode(err error) (code int, known bool) {
	switch fault.KindOf(err) {
	case fault.NotFound, fault.Unprocessable:
		code = 127
	case fault.Forbidden:
		code = 126
	case fault.Internal:
		code = -1
	default:
		return -1, false
	}
	if fault.CodeOf(err) == codeFolder {
		code = -1
	}
	return code, true
}

// Failed returns what a shell says of a spec that could not be started, and the exit code that it has then. known is
// false for a bad spec.
func Failed(err error) (message string, code int, known bool) {
	if code, known = StartCode(err); !known {
		return "", 0, false
	}
	return err.Error() + "\n", code, true
}
