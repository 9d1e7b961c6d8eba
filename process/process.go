package process

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
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

	// Hidden is the index in Argv of an argument that is kept out of /proc/PID/cmdline where the system permits it; 0 means
	// none. That argument has at most 100 KiB.
	Hidden int

	Dir string            // folder to start in; "" means the Manager's (its home or the root once that is gone), relative ones start from it
	Env map[string]string // added to the Manager's environment

	User string // whose process it is, by name or number; "" means this program's own. HOME, USER and LOGNAME follow it

	Timeout time.Duration // from start to SIGKILL of the process and all its descendants; 0 means none
	Linger  time.Duration // how long a background child that holds the output may delay the result; 0 means 100 ms

	Streams Streams // input and output; nil means Capture{}

	Files Files // in place of Streams; workspace/git alone uses it, until it calls StartPiped
}

// codeFolder marks errors about the folder rather than the program.
const codeFolder = "FOLDER_NOT_FOUND"

// maxArgument is the longest script passed as an argument; the kernel's limit for one is 128 KiB.
const maxArgument = 100 << 10

// killTime bounds the end of killed processes: what is not gone by then is unkillable.
const killTime = 2 * time.Second

// Result is how a process ended.
type Result struct {
	ExitCode  int           // 0-255, 128+n after signal n as a shell reports it; -1 when it could not be started or be killed
	Signal    string        // "SIGKILL" and so on when a signal ended it, else ""
	TimedOut  bool          // Spec.Timeout was reached
	Lingering bool          // a background child still holds the output
	Wall      time.Duration // from start to the leader's exit
	CPU       time.Duration // user and system time of the leader and of those it waited for
	PeakRSS   int64         // of the largest of these, in bytes; 0 when it was less than this program's own, and so cannot be told
	Output    *journal.Journal

	kept bool // others may be given the same Result
}

// Discard gives up the output. It is to be called after use.
func (r Result) Discard() {
	if !r.kept && r.Output != nil {
		r.Output.Discard()
	}
}

// Process is a started process. Its methods are safe for concurrent use.
type Process struct {
	m      *Manager
	id     string // value of marker
	tag    tag    // 0 when nothing here is going to end it
	since  uint64 // no descendant was started before; see proc.started
	child  *child
	spec   Spec
	output *journal.Journal
	began  time.Time
	ownRSS int64 // KiB

	done    chan struct{} // closed when result is set
	drained chan struct{} // closed when also both streams are at their end

	pipes

	mu        sync.Mutex
	result    Result // not changed once published
	published bool
	exited    bool
	streams   int // that are not at their end
	timer     *time.Timer
}

// Start starts spec and returns at once. Errors: fault.Invalid for a bad spec, fault.NotFound for a missing program or folder,
// fault.Forbidden for one that may not be used, ErrNoShell, ErrClosed.
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

// launch starts spec, whose output and end are to be followed then. mayEnd says that it may have to be ended from here, with all its
// descendants.
func (m *Manager) launch(spec Spec, mayEnd bool) (*Process, error) {
	if err := spec.check(); err != nil {
		return nil, err
	}
	m.mu.Lock()
	closed := m.closed
	m.mu.Unlock()
	if closed {
		return nil, ErrClosed
	}
	m.observe()
	if spec.Linger == 0 {
		spec.Linger = 100 * time.Millisecond
	}
	if spec.Files != nil {
		spec.Streams = spec.Files
	}
	if spec.Streams == nil {
		spec.Streams = Capture{}
	}
	byDefault := spec.Dir == ""
	spec.Dir = m.resolve(spec.Dir)
	p := &Process{
		m: m, spec: spec, done: make(chan struct{}), drained: make(chan struct{}),
	}
	if p.id, p.tag = m.nextID(); !mayEnd {
		p.tag = 0
	}
	capture, _ := spec.Streams.(Capture)
	p.output = m.NewJournal(capture.Limits)
	if err := p.start(); err != nil {
		p.pipes.close()
		if byDefault && fault.CodeOf(err) == codeFolder {
			if spec.Dir = m.otherDir(); spec.Dir != "" {
				return m.launch(spec, mayEnd)
			}
		}
		return nil, err
	}
	return p, nil
}

// otherDir is the folder in place of the default one when that is gone: the home, else the root; "" when neither can be entered.
func (m *Manager) otherDir() string {
	for _, dir := range []string{lookup(m.Environ(), "HOME"), "/"} {
		if st, err := os.Stat(dir); err == nil && filepath.IsAbs(dir) && st.IsDir() && unix.Access(dir, unix.X_OK) == nil {
			return dir
		}
	}
	return ""
}

func (s *Spec) check() error {
	switch {
	case len(s.Argv) == 0 && strings.TrimSpace(s.Script) == "":
		return fault.New(fault.Invalid, "the command is empty")
	case strings.Contains(s.Script, "\x00"), slices.ContainsFunc(s.Argv, func(a string) bool { return strings.Contains(a, "\x00") }):
		return fault.New(fault.Invalid, "the command holds a NUL byte, which no program can be given")
	case s.Hidden < 0 || s.Hidden > 0 && s.Hidden >= len(s.Argv):
		return fault.New(fault.Invalid, "the hidden argument is none of the arguments")
	case s.Timeout < 0:
		return fault.New(fault.Invalid, "the timeout is less than 0; 0 means none")
	}
	return CheckVariables(s.Env)
}

func (m *Manager) resolve(dir string) string {
	if dir == "" {
		return m.cfg.Dir
	}
	if !filepath.IsAbs(dir) {
		return filepath.Join(m.cfg.Dir, dir)
	}
	return dir
}

// start makes the pipes and the child. The child's ends are closed here whatever happens.
func (p *Process) start() error {
	var theirs closers
	defer theirs.close()
	fds, ours, err := p.spec.Streams.open(p.m.null, &theirs)
	p.pipes = ours
	for _, f := range []*os.File{p.out, p.err} {
		if f != nil {
			p.streams++
		}
	}
	if err != nil {
		return fault.Newf(fault.Internal, "start a process%s: %w", p.m.limits.harm(), err)
	}
	var as account
	if p.spec.User != "" {
		if as, err = accountOf(p.spec.User); err != nil {
			return err
		}
		maps.Copy(as.env, p.spec.Env)
		p.spec.Env = as.env
	}
	env := p.m.environ(p.spec.Dir, p.id, p.spec.Env)
	_, terminal := p.spec.Streams.(Terminal)
	attr := &syscall.ProcAttr{
		Dir: p.spec.Dir, Env: env, Files: fds,
		Sys: &syscall.SysProcAttr{Setsid: true, Setctty: terminal, Credential: as.credential},
	}
	prog := plainProgram(p.spec.Argv, p.spec.Hidden)
	if len(p.spec.Argv) == 0 {
		if prog, err = p.m.shellProgram(p.spec.Script, env, attr, &theirs); err != nil {
			return err
		}
	}
	path, err := LookPath(prog.argv[0], lookup(env, "PATH"), p.spec.Dir)
	if err != nil {
		return p.explain(err, prog.argv[0])
	}
	var own unix.Rusage // the kernel counts what a child shares with us before exec as its own
	_ = unix.Getrusage(unix.RUSAGE_SELF, &own)
	p.ownRSS = own.Maxrss
	p.began, p.since = time.Now(), ticks()
	if p.child, err = p.m.children.start(path, prog, attr, p.tag, p.leaderExited); err != nil {
		return p.explain(err, prog.argv[0])
	}
	p.m.cfg.Shield.lift(p.child.pid)
	return nil
}

// explain says what was wrong with a start: the folder, the program, or the system.
func (p *Process) explain(err error, program string) error {
	if st, derr := os.Stat(p.spec.Dir); derr != nil || !st.IsDir() || unix.Access(p.spec.Dir, unix.X_OK) != nil {
		return fault.Codef(fault.NotFound, codeFolder, "folder %s does not exist or cannot be entered: make it, or give another cwd", p.spec.Dir)
	}
	p.m.shells.forget()
	switch {
	case fault.KindOf(err) != fault.Unknown:
		return err
	case errors.Is(err, unix.EAGAIN):
		return fault.Newf(fault.Internal, "%s: the sandbox has as many processes as it may: end some and try again%s: %w", program, p.m.limits.harm(), err)
	case errors.Is(err, unix.E2BIG):
		return fault.Newf(fault.Invalid, "the command and its environment are longer than the system allows: %w", err)
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.EACCES), errors.Is(err, unix.ENOEXEC), errors.Is(err, unix.ENOTDIR):
		return fault.Newf(fault.Forbidden, "%s: cannot be executed: %w", program, err)
	default:
		return fault.Newf(fault.Internal, "%s: start%s: %w", program, p.m.limits.harm(), err)
	}
}

// follow begins to watch a started child, but for standard output and its end. What it starts ends with what it watches.
func (p *Process) follow() {
	if p.spec.Timeout > 0 {
		p.mu.Lock()
		if !p.exited {
			p.timer = time.AfterFunc(time.Until(p.began.Add(p.spec.Timeout)), p.late)
		}
		p.mu.Unlock()
	}
	if p.err != nil {
		go p.drain(p.err, journal.Stderr)
	}
	if capture, ok := p.spec.Streams.(Capture); ok && p.in != nil {
		go p.feed(capture.Input)
	}
}

// watch waits for the leader's end.
func (p *Process) watch() {
	p.m.children.wait(p.child)
	p.m.children.close(p.child)
}

// await follows a child in the calling goroutine until the Result is there: to hand a short command's output and end from goroutine to
// goroutine costs more than to take them.
func (p *Process) await() {
	p.follow()
	reaped := p.m.children.sweeps
	if !reaped {
		go p.watch()
	}
	switch {
	case p.out == nil:
	case take(p.out, p.output, journal.Stdout):
		p.streamEnded()
	default:
		_ = p.out.SetReadDeadline(time.Time{}) // a background child may go on writing: nobody wants it, but it must not stand still
		go p.drain(p.out, journal.Stdout)
	}
	if reaped {
		p.m.children.collectSoon(p.child)
	}
	<-p.done
	if reaped {
		p.m.children.close(p.child)
	}
}

// leaderExited is called once, with no lock held and maybe before start has returned.
func (p *Process) leaderExited(e exit) {
	if p.in != nil {
		_ = p.in.Close() // ends feed
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.exited = true
	if p.timer != nil {
		p.timer.Stop()
	}
	if !p.published {
		p.result.ExitCode, p.result.Signal = e.code, signalName(e.signal)
		p.result.Wall = time.Since(p.began)
		p.result.CPU = time.Duration(e.usage.Utime.Nano() + e.usage.Stime.Nano())
		if e.usage.Maxrss > p.ownRSS {
			p.result.PeakRSS = e.usage.Maxrss << 10
		}
	}
	if p.streams > 0 && !p.published {
		p.timer = time.AfterFunc(p.spec.Linger, p.lingers)
	}
	p.endedLocked()
}

// streamEnded is called once for each stream.
func (p *Process) streamEnded() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.streams--
	p.endedLocked()
}

// endedLocked looks whether leader and streams are all at their end.
func (p *Process) endedLocked() {
	if !p.exited || p.streams > 0 {
		return
	}
	p.publishLocked()
	p.output.Close()
	close(p.drained)
}

func (p *Process) publishLocked() {
	if p.published {
		return
	}
	if p.timer != nil {
		p.timer.Stop()
	}
	p.published = true
	p.result.Output = p.output
	close(p.done)
	if p.streams > 0 && p.out != nil {
		_ = p.out.SetReadDeadline(time.Unix(1, 0)) // for await, if it reads
	}
}

// lingers is called when a background child has held the output for long enough after the leader's exit.
func (p *Process) lingers() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.published {
		p.result.Lingering = true
		p.publishLocked()
	}
}

// late is called when the command's time is over.
func (p *Process) late() {
	p.mu.Lock()
	over := p.exited || p.published
	if !over {
		p.result.TimedOut = true
	}
	p.mu.Unlock()
	if over {
		return
	}
	p.Kill()
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.exited && !p.published {
		p.timer = time.AfterFunc(killTime, p.unkillable)
	}
}

// unkillable is called when a killed leader has not ended: it belongs to another user, or hangs in the kernel.
func (p *Process) unkillable() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.exited && !p.published {
		p.result.ExitCode, p.result.Wall, p.result.Lingering = -1, time.Since(p.began), true
		p.publishLocked()
	}
}

// drain reads one of the output pipes to its end.
func (p *Process) drain(f *os.File, s journal.Stream) {
	for !take(f, p.output, s) {
		_ = f.SetReadDeadline(time.Time{}) // that was for await
	}
	p.streamEnded()
}

// feed writes the input and closes the pipe behind the last byte.
func (p *Process) feed(input []byte) {
	_, _ = p.in.Write(input) // an error is a process that does not read it
	_ = p.in.Close()
}

// Dir returns the folder that the process was started in.
func (p *Process) Dir() string { return p.spec.Dir }

// PID returns the leader's process id.
func (p *Process) PID() int { return p.child.pid }

// Output returns the journal of what the process writes.
func (p *Process) Output() *journal.Journal { return p.output }

// Exited is closed when the leader has ended; output may still be on its way.
func (p *Process) Exited() <-chan struct{} { return p.child.ended }

// Done is closed when the Result is there.
func (p *Process) Done() <-chan struct{} { return p.done }

// Drained is closed when the leader has ended and both streams are at their end: no process holds them any more.
func (p *Process) Drained() <-chan struct{} { return p.drained }

// Result waits for Done and returns how the process ended.
func (p *Process) Result() Result {
	<-p.done // it is not changed after that
	return p.result
}

// Signal sends a signal to the leader, or to its process group. It does nothing once the leader has ended.
func (p *Process) Signal(sig syscall.Signal, group bool) { p.m.children.signal(p.child, sig, group) }

// Scope says which processes end with a process.
type Scope int

// What ends with a process.
const (
	Descendants Scope = iota // all that it started, directly or not
	OwnSession               // of these, what is in its session and did not come from nohup: as when a connection of ssh ends
)

// Kill ends the process and all its descendants at once, and returns when they are gone, at most 2 s later.
func (p *Process) Kill() { p.KillWith(Descendants) }

// KillWith is Kill of what scope says.
func (p *Process) KillWith(scope Scope) { killAll(p.finder(scope), time.Now().Add(killTime)) }

// End asks the process and all its descendants to end by SIGTERM; interactive shells get SIGHUP at once, and what is left without a handler of
// SIGTERM gets it a second later. It kills what is left after grace, and returns when they are gone, at most 2 s after that. More than 256 have a
// grace of 1 s at most.
func (p *Process) End(grace time.Duration) { p.EndWith(Descendants, grace) }

// EndWith is End of what scope says.
func (p *Process) EndWith(scope Scope, grace time.Duration) { endAll(p.finder(scope), grace, killTime) }

func (p *Process) finder(scope Scope) finder {
	if scope == Descendants {
		return p.tree
	}
	bomb := false // once it was one, it stays one
	return func() []proc {
		tree := p.tree()
		if !bomb {
			tree, bomb = own(tree, p.child.pid)
		}
		return tree
	}
}

// Gone waits for the last of the four ends: no process is left of those that this one started, directly or not. It reports false
// when the time is over first.
func (p *Process) Gone(within time.Duration) bool { return allGone(p.tree, time.Now().Add(within)) }

// tree finds the leader and all its descendants.
func (p *Process) tree() []proc {
	every := running()
	set := make(map[int]proc)
	leader := 0 // its pid names session and group as long as it has not been waited for
	p.m.children.mu.Lock()
	if p.m.children.live[p.child.pid] == p.child {
		leader = p.child.pid
	}
	p.m.children.mu.Unlock()
	variable := marker + "=" + p.id + "\x00"
	for _, q := range every {
		own := leader != 0 && (q.pid == leader || q.session == leader || q.group == leader)
		if !own && q.started != 0 && q.started < p.since { // 0 where the runtime does not tell
			continue
		}
		if own || p.tag != 0 && tagOf(q.pid) == p.tag || marked(q.pid, variable) {
			set[q.pid] = q
		}
	}
	below(every, set)
	found := make([]proc, 0, len(set))
	for _, q := range set {
		found = append(found, q)
	}
	return found
}
