package process

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/process/journal"
)

// Config is what a Manager needs.
type Config struct {
	Dir string   // absolute folder that processes start in; required
	Env []string // environment of processes, as of os.Environ; variables named SANDLOT_… are left out

	// Reap makes this process take in and reap the orphans of its descendants, as process 1 must. All children of the
	// program are then waited for here: starting one by other means loses its exit code.
	Reap bool

	Limits     journal.Limits // of the output of each process; zeros mean what Limits says
	SpoolBytes int64          // of output of all processes together that is kept on disk; 0 means 2 GiB
	Shield     Shield         // of this program, which its children are not to have
	Memory     Memory         // the sandbox's; without it no end is told to be for memory

	Warn func(text string) // called with what the sandbox did to this program; may be nil
}

// ErrClosed is returned for starts after Close.
var ErrClosed = fault.New(fault.Unavailable, "the sandbox is stopping: no new process is started")

// Manager starts the processes of a sandbox and owns them. It is safe for concurrent use.
type Manager struct {
	cfg      Config
	starter  // children, environment and shells are there
	names    *names
	crowds   *crowds
	memory   *memoryKills
	spool    *journal.Spool
	stop     chan struct{} // ends the reaper
	reaper   sync.WaitGroup
	began    time.Time
	observed atomic.Int64 // time of the last look, since began
	closed   atomic.Bool
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
	m := &Manager{
		cfg: cfg,
		starter: starter{
			dir: cfg.Dir, env: newEnvironment(cfg.Env), shells: shellFinder{list: shellFile}, children: newChildren(),
			limits: newOwnLimits(cfg.Warn), shield: cfg.Shield, null: null,
		},
		names: newNames(), spool: journal.NewSpool(cfg.SpoolBytes), stop: make(chan struct{}), began: time.Now(),
	}
	m.crowds, m.memory = newCrowds(m.children), newMemoryKills(cfg.Memory)
	m.observed.Store(-int64(observeEvery)) // the first look is not too soon
	if cfg.Reap {
		if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
			return nil, fmt.Errorf("process: become the reaper of orphans: %w", err)
		}
		m.children.sweeps = true
		m.reaper.Go(func() { m.children.reap(m.stop, m.Observe) })
	}
	return m, nil
}

// Environ returns what the next process gets. The slice must not be changed.
func (m *Manager) Environ() []string { return m.env.all() }

// ChangeEnv changes the environment of later processes, in this order: variables whose value begins with dropPrefix
// go ("" drops none; names in set stay), the names in unset go, those in set come. Error: fault.Invalid, and nothing
// is changed.
func (m *Manager) ChangeEnv(set map[string]string, unset []string, dropPrefix string) error {
	return m.env.change(set, unset, dropPrefix)
}

// Observe looks whether a fork bomb is at work and whether the limits of this program were changed, and acts against
// both. It is to be called when something has happened in the sandbox, such as a request; each start of a process
// calls it too. It does not wait. It takes a few µs when nothing is wrong, and looks at most every 10 ms.
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
	m.memory.look()
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

// NewJournal returns an empty Journal whose disk side is that of this Manager's processes. Limits that are 0 are the
// Manager's.
func (m *Manager) NewJournal(l journal.Limits) *journal.Journal {
	if l.Memory == 0 {
		l.Memory = m.cfg.Limits.Memory
	}
	if l.File == 0 {
		l.File = m.cfg.Limits.File
	}
	return journal.New(l, m.spool)
}

// Close ends every process of the sandbox, all at the same time: SIGTERM, SIGKILL after grace. It returns when none
// is left, or 1 s after SIGKILL with an error that names one. No process starts any more, and the reaper has ended.
func (m *Manager) Close(grace time.Duration) error {
	if m.closed.Swap(true) {
		return nil
	}
	ok := endAll(m.names.all, grace, time.Second)
	close(m.stop)
	m.reaper.Wait()
	m.crowds.close()
	_ = m.null.Close()
	if left := m.names.all(); !ok && len(left) > 0 {
		return fault.Newf(fault.Internal, "%d processes could not be ended, process %d among them", len(left), left[0].pid)
	}
	return nil
}

// Run starts spec and waits for its Result. When ctx ends first, the process and all its descendants are killed.
//
// A process that cannot be started gives a Result too, with the reason as its output: ExitCode 127 when there is no
// such program or no shell, 126 when it may not be executed, -1 otherwise (no such folder). Errors: fault.Invalid for
// a bad spec, ErrClosed.
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
	p.mu.Lock()
	p.attach(p.output) // where a background child still holds the output
	p.mu.Unlock()
	p.output.Close() // what a background child writes from now on is nobody's
	return p.result, nil
}
