package interpreter

import (
	"encoding/json"
	"errors"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/internal/linux"
	programs "github.com/sandlot-dev/sandlot/interpreter/worker"
	"github.com/sandlot-dev/sandlot/process"
)

const (
	// idleTime is how long a fork server lives that nobody needs, where Config does not say.
	idleTime = time.Minute
	// forkTime is the longest that a fork may take before the program is started without it.
	forkTime = 2 * time.Second
)

// errCold is returned where a program is to be started by itself.
var errCold = fault.New(fault.Unavailable, "no fork server is ready")

// forkServer is a Python process that forks others, which so have its modules at once. It is started in the
// background when one was missed, as soon as that start is over and so not slower for it, and ends when it is idle.
type forkServer struct {
	m *Manager

	mu       sync.Mutex // held during a fork
	process  *process.Process
	socket   *os.File
	env      []string // that it was started with
	ready    bool
	starting bool
	missed   bool
	idle     *time.Timer
	answers  chan answer
}

// answer is what the server says of a fork.
type answer struct {
	pid  int
	busy bool // it imports something now, and says when it is ready
}

// forked is one use of the server: what is asked for, beside what every start has.
type forked struct {
	server  *forkServer
	argv    []string // of the process, from 1 on
	imports []string // modules that the next ones should have
	own     bool     // the process has an environment that decides on how Python starts
}

// Fork is process.Forker's.
func (f forked) Fork(dir string, env []string, fds []uintptr, known func(pid int) error) error {
	if f.own {
		return errCold
	}
	return f.server.fork(dir, env, fds, f, known)
}

func (s *forkServer) fork(dir string, env []string, fds []uintptr, f forked, known func(pid int) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.ready || !slices.Equal(s.env, s.m.cfg.Processes.Environ()) {
		s.missed = true
		return errCold
	}
	if slices.ContainsFunc(slices.Concat(env, f.argv, []string{dir}), func(s string) bool { return !utf8.ValidString(s) }) {
		return errCold // the request could not carry it
	}
	request, err := json.Marshal(map[string]any{"dir": dir, "env": env, "argv": f.argv, "imports": f.imports})
	if err != nil {
		return err
	}
	file, err := linux.MemoryFile("fork", request)
	if err != nil {
		return err
	}
	defer file.Close() // the server has its own
	r, w, err := os.Pipe()
	if err != nil {
		return fault.Newf(fault.Internal, "fork: %w", err)
	}
	defer r.Close() // likewise
	defer w.Close() // without a byte in it, the process ends
	passed := []int{int(file.Fd()), int(r.Fd())}
	for _, fd := range fds {
		passed = append(passed, int(fd))
	}
	if err := s.sendLocked(passed); err != nil {
		s.endLocked()
		return errCold
	}
	select {
	case a, ok := <-s.answers:
		if !ok { // packages were changed, or it was killed
			s.endLocked()
			s.missed = true
			return errCold
		}
		s.ready = !a.busy
		if a.pid <= 0 {
			return errCold
		}
		if err := known(a.pid); err != nil {
			return err
		}
	case <-time.After(forkTime):
		s.endLocked()
		return errCold
	}
	_, err = w.Write([]byte{1})
	s.idle.Reset(s.m.cfg.Idle)
	return err
}

func (s *forkServer) sendLocked(fds []int) error {
	raw, err := s.socket.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		failed = unix.Sendmsg(int(fd), []byte{1}, unix.UnixRights(fds...), nil, unix.MSG_NOSIGNAL)
	})
	return errors.Join(err, failed)
}

// Prepare starts a server in the background, for the next time, if one was missed.
func (s *forkServer) Prepare() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.missed || s.starting || s.m.isClosed() {
		return
	}
	s.missed = false
	if s.process != nil && slices.Equal(s.env, s.m.cfg.Processes.Environ()) {
		return // it is importing something
	}
	s.endLocked()
	s.starting = true
	s.m.work.Go(s.start)
}

func (s *forkServer) start() {
	env := s.m.cfg.Processes.Environ()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	var started *process.Process
	var socket *os.File
	if err == nil {
		_ = unix.SetNonblock(pair[0], true)
		socket = os.NewFile(uintptr(pair[0]), "fork server")
		theirs := os.NewFile(uintptr(pair[1]), "fork server")
		started, err = s.launch(theirs)
		_ = theirs.Close() // the server has its own
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.starting = false
	if err != nil {
		if socket != nil {
			_ = socket.Close() // nothing was sent
		}
		return // as where there is no Python
	}
	s.process, s.socket, s.env = started, socket, env
	answers := make(chan answer, 1)
	s.answers = answers
	s.idle = time.AfterFunc(s.m.cfg.Idle, s.End)
	s.m.work.Go(func() { s.listen(started, socket, answers) })
	if s.m.isClosed() {
		s.endLocked()
	}
}

// launch starts the server. A python3 that is a script sets variables of its own: what it starts is not forked.
func (s *forkServer) launch(theirs *os.File) (*process.Process, error) {
	if isScript(s.m.cfg.Processes) {
		return nil, errCold
	}
	text, err := linux.MemoryFile("forks", []byte(programs.Serve))
	if err != nil {
		return nil, err
	}
	defer text.Close() // the server has its own
	return s.m.cfg.Processes.Start(process.Spec{
		Argv:    []string{"python3", "-u", "-c", loader},
		Streams: process.Capture{More: []*os.File{theirs, text}},
	})
}

func isScript(processes *process.Manager) bool {
	path, err := processes.LookPath("python3")
	if err != nil {
		return false
	}
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close() // only read from
	var head [2]byte
	_, err = f.ReadAt(head[:], 0)
	return err == nil && string(head[:]) == "#!"
}

// listen takes in what a server says, until it has ended.
func (s *forkServer) listen(p *process.Process, socket *os.File, answers chan answer) {
	buf := make([]byte, 64)
	for {
		n, err := socket.Read(buf)
		if err != nil || n == 0 {
			break
		}
		word, busy := strings.CutSuffix(string(buf[:n]), " busy")
		if pid, err := strconv.Atoi(word); err == nil {
			select {
			case answers <- answer{pid, busy}:
			default: // nobody asked
			}
			continue
		}
		if word != "ready" {
			break // stale, and going to end
		}
		s.mu.Lock()
		if s.process == p {
			s.ready = true
		}
		s.mu.Unlock()
	}
	close(answers)
	p.Kill()
	<-p.Drained()
	p.Output().Discard()
	_ = socket.Close() // nothing is on its way
	s.mu.Lock()
	if s.process == p {
		s.process, s.ready = nil, false
		s.idle.Stop()
	}
	s.mu.Unlock()
}

// End ends the server, if there is one.
func (s *forkServer) End() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.endLocked()
}

func (s *forkServer) endLocked() {
	if s.process == nil {
		return
	}
	s.idle.Stop()
	s.process.Signal(unix.SIGKILL, false) // listen does the rest
	s.process, s.ready = nil, false
}

// decides reports whether one of the variables decides on how Python, or what programs often import, starts.
func decides(env map[string]string) bool {
	for name := range env {
		for _, prefix := range []string{
			"PYTHON", "LD_", "LC_", "LANG", "MPL", "OMP_", "OPENBLAS_", "MKL_", "GOTO_", "BLIS_", "NUMEXPR_", "MALLOC_",
			"GLIBC_",
		} {
			if strings.HasPrefix(name, prefix) {
				return true
			}
		}
		switch name {
		case "PATH", "HOME", "TZ", "VIRTUAL_ENV", "DISPLAY", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "USER":
			return true
		}
	}
	return false
}
