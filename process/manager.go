package process

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/process/journal"
)

// Config is what a Manager needs.
type Config struct {
	Dir string   // absolute folder that processes start in; required
	Env []string // environment of processes, as of os.Environ; variables named SANDLOT_… are left out

	// Reap makes this process take in and reap the orphans of its descendants, as process 1 must. All children of the program are
	// then waited for here: starting one by other means loses its exit code.
	Reap bool

	Limits     journal.Limits // of the output of each process; zeros mean what Limits says
	SpoolBytes int64          // of output of all processes together that is kept on disk; 0 means 2 GiB
	Shield     Shield         // of this program, which its children are not to have

	Warn func(text string) // is told what the sandbox did to this program; nil tells nobody
}

// marker is the variable by which descendants are found, beside their tag.
const marker = "SANDLOT_PROCESS"

// ErrClosed is returned for starts after Close.
var ErrClosed = fault.New(fault.Unavailable, "the sandbox is stopping: no new process is started")

// Manager starts the processes of a sandbox and owns them. It is safe for concurrent use.
type Manager struct {
	cfg      Config
	children *children
	shells   shellFinder
	crowds   *crowds
	limits   *ownLimits
	spool    *journal.Spool
	null     *os.File
	prefix   string // of the ids of this manager's processes
	tags     tag    // that theirs start from
	count    atomic.Uint64
	stop     chan struct{} // ends the reaper
	began    time.Time
	observed atomic.Int64 // when it was looked last, since began

	mu     sync.Mutex
	env    []string // replaced whole, never changed
	closed bool
}

// NewManager checks cfg and returns a Manager. With Reap it makes this process the reaper of its descendants.
func NewManager(cfg Config) (*Manager, error) {
	if !filepath.IsAbs(cfg.Dir) {
		return nil, fault.New(fault.Invalid, "process: Dir must be an absolute path")
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("process: %w", err)
	}
	id := make([]byte, 8)
	_, _ = rand.Read(id) // never fails
	m := &Manager{
		cfg: cfg, children: newChildren(), shells: shellFinder{list: shellFile}, null: null, prefix: hex.EncodeToString(id), tags: newTags(),
		spool: journal.NewSpool(cfg.SpoolBytes), stop: make(chan struct{}), env: withoutOwn(cfg.Env),
	}
	m.crowds = newCrowds(m.children)
	m.limits, m.began = newOwnLimits(cfg.Warn), time.Now()
	m.observed.Store(-int64(observeEvery)) // the first look is not too soon
	if cfg.Reap {
		if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
			return nil, fmt.Errorf("process: become the reaper of orphans: %w", err)
		}
		m.children.sweeps = true
		go m.children.reap(m.stop, m.Observe)
	}
	return m, nil
}

func withoutOwn(env []string) []string {
	return slices.DeleteFunc(slices.Clone(env), func(v string) bool { return strings.HasPrefix(v, "SANDLOT_") })
}

// Environ returns what the next process gets. The slice must not be changed.
func (m *Manager) Environ() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.env
}

// CheckVariables refuses what no environment can hold; every other name is left to the program that gets it. Error: fault.Invalid.
func CheckVariables(env map[string]string) error {
	for name, value := range env {
		switch {
		case name == "":
			return fault.New(fault.Invalid, "a variable has no name")
		case strings.ContainsAny(name, "=\x00"):
			return fault.Newf(fault.Invalid, "%q cannot name a variable: it holds = or a NUL byte", name)
		case strings.Contains(value, "\x00"):
			return fault.Newf(fault.Invalid, "variable %s holds a NUL byte, which no environment can hold", name)
		}
	}
	return nil
}

// ChangeEnv changes the environment of later processes, in this order: variables whose value begins with dropPrefix go ("" drops
// none; names in set stay), the names in unset go, those in set come. Error: fault.Invalid, and nothing is changed.
func (m *Manager) ChangeEnv(set map[string]string, unset []string, dropPrefix string) error {
	if err := CheckVariables(set); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	kept := slices.DeleteFunc(slices.Clone(m.env), func(v string) bool {
		name, value, _ := strings.Cut(v, "=")
		_, isSet := set[name]
		return isSet || slices.Contains(unset, name) || dropPrefix != "" && strings.HasPrefix(value, dropPrefix)
	})
	for name, value := range set {
		kept = append(kept, name+"="+value)
	}
	m.env = withoutOwn(kept)
	return nil
}

// environ is the environment of one process.
func (m *Manager) environ(dir, id string, extra map[string]string) []string {
	base := m.Environ()
	env := make([]string, 0, len(base)+len(extra)+2)
	for _, v := range base {
		name, _, _ := strings.Cut(v, "=")
		if _, ok := extra[name]; !ok && name != "PWD" {
			env = append(env, v)
		}
	}
	for name, value := range extra {
		if name != marker && name != scriptVariable && name != "PWD" {
			env = append(env, name+"="+value)
		}
	}
	return append(env, "PWD="+dir, marker+"="+id)
}

// lookup returns the value of a variable, "" when there is none.
func lookup(env []string, name string) string {
	for _, v := range env {
		if n, value, _ := strings.Cut(v, "="); n == name {
			return value
		}
	}
	return ""
}

// Observe is to be called when something has happened in the sandbox, such as a request: it looks whether a fork bomb is at work and whether the limits of this program
// were changed, and does what it can. It does not wait. It takes a few µs when nothing is wrong, and so is done at most every 10 ms; each start of a process
// looks by itself.
func (m *Manager) Observe() {
	now := time.Since(m.began)
	if last := m.observed.Load(); now-time.Duration(last) >= observeEvery && m.observed.CompareAndSwap(last, int64(now)) {
		m.observe()
	}
}

// observeEvery is the least time between two looks that are not for the start of a process.
const observeEvery = 10 * time.Millisecond

func (m *Manager) observe() {
	m.limits.check()
	m.crowds.look()
}

// Shell returns the path of the shell that scripts run in, ErrNoShell when there is none.
func (m *Manager) Shell() (string, error) { return m.shells.find(m.Environ()) }

// LookPath finds a program as the next process would, and has the errors of the function LookPath.
func (m *Manager) LookPath(program string) (string, error) {
	return LookPath(program, lookup(m.Environ(), "PATH"), m.cfg.Dir)
}

// Dir returns the folder that relative ones start from.
func (m *Manager) Dir() string { return m.cfg.Dir }

// NewJournal returns an empty Journal whose disk side is that of this Manager's processes. Limits that are 0 are the Manager's.
func (m *Manager) NewJournal(l journal.Limits) *journal.Journal {
	if l.Memory == 0 {
		l.Memory = m.cfg.Limits.Memory
	}
	if l.File == 0 {
		l.File = m.cfg.Limits.File
	}
	return journal.New(l, m.spool)
}

// nextID returns what the descendants of the next process are found by.
func (m *Manager) nextID() (string, tag) {
	n := m.count.Add(1)
	return m.prefix + "-" + strconv.FormatUint(n, 10), m.tags.of(n)
}

// all finds every process of the sandbox: as process 1 whatever runs, else the descendants of this process and of what it started.
func (m *Manager) all() []proc {
	every := running()
	if os.Getpid() == 1 {
		return every
	}
	self := os.Getpid()
	set := map[int]proc{self: {}}
	for _, p := range every {
		if tagOf(p.pid)>>tagManager == m.tags>>tagManager || marked(p.pid, marker+"="+m.prefix+"-") {
			set[p.pid] = p
		}
	}
	below(every, set)
	delete(set, self)
	found := make([]proc, 0, len(set))
	for _, p := range set {
		found = append(found, p)
	}
	return found
}

// Close ends every process of the sandbox, all at the same time: SIGTERM, SIGKILL after grace. It returns when none is left, or 1 s after
// SIGKILL with an error that names one. No process starts any more.
func (m *Manager) Close(grace time.Duration) error {
	m.mu.Lock()
	was := m.closed
	m.closed = true
	m.mu.Unlock()
	if was {
		return nil
	}
	ok := endAll(m.all, grace, time.Second)
	close(m.stop)
	m.crowds.close()
	_ = m.null.Close()
	if left := m.all(); !ok && len(left) > 0 {
		return fault.Newf(fault.Internal, "%d processes could not be ended, process %d among them", len(left), left[0].pid)
	}
	return nil
}

// Run starts spec and waits for its Result. When ctx ends first, the process and all its descendants are killed.
//
// A process that cannot be started gives a Result too, with the reason as its output: ExitCode 127 when there is no such program or no
// shell, 126 when it may not be executed, -1 otherwise (no such folder). Errors: fault.Invalid for a bad spec, ErrClosed.
func (m *Manager) Run(ctx context.Context, spec Spec) (Result, error) {
	p, err := m.launch(spec, spec.Timeout > 0 || ctx.Done() != nil)
	if code, known := StartCode(err); err != nil && known {
		capture, _ := spec.Streams.(Capture)
		out := m.NewJournal(capture.Limits)
		out.Append(journal.Stderr, []byte(err.Error()+"\n"))
		out.Close()
		return Result{ExitCode: code, Output: out}, nil
	}
	if err != nil {
		return Result{}, err
	}
	stop := context.AfterFunc(ctx, p.Kill)
	defer stop()
	p.await()
	p.output.Close() // what a background child writes from now on is nobody's
	return p.result, nil
}

// StartCode is the exit code a shell gives for a start that failed with err; known is false where it failed before it came to that.
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

// Failed returns what a shell says of a spec that could not be started, and the exit code that it has then. known is false
// for a bad spec.
func Failed(err error) (message string, code int, known bool) {
	if code, known = StartCode(err); !known {
		return "", 0, false
	}
	return err.Error() + "\n", code, true
}

// signalName is the name of a signal with SIG, as kill -l has it without.
func signalName(s syscall.Signal) string {
	if s == 0 {
		return ""
	}
	if name := unix.SignalName(s); name != "" {
		return name
	}
	return "SIG" + strconv.Itoa(int(s))
}
