package harness

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Root is the repository's folder.
func Root() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Dir(filepath.Dir(filepath.Dir(file)))
}

// Bin is the path of a built program.
func Bin(name string) (string, error) {
	dir := os.Getenv("SANDLOT_BIN")
	if dir == "" {
		dir = filepath.Join(Root(), "bin")
	}
	path := filepath.Join(dir, name)
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("%s is not built; run make build first", path)
	}
	return path, nil
}

// Full tells whether long tests run in their full size: SANDLOT_FULL=1.
func Full() bool { return os.Getenv("SANDLOT_FULL") == "1" }

// Size is full with SANDLOT_FULL=1, else small.
func Size(small, full int) int {
	if Full() {
		return full
	}
	return small
}

// Cache is the folder for what tests download: SANDLOT_CACHE, or /var/cache/sandlot. A user who may not write there
// gets the user's own cache folder.
func Cache(parts ...string) (string, error) {
	bases := []string{os.Getenv("SANDLOT_CACHE"), "/var/cache/sandlot"}
	if own, err := os.UserCacheDir(); err == nil {
		bases = append(bases, filepath.Join(own, "sandlot"))
	}
	var failed []error
	for _, base := range bases {
		if base == "" {
			continue
		}
		dir := filepath.Join(append([]string{base}, parts...)...)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			failed = append(failed, err)
			continue
		}
		return dir, nil
	}
	return "", errors.Join(failed...)
}

// FreeAddr is a loopback address with a port that nothing listens on now.
func FreeAddr() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer ln.Close()
	return ln.Addr().String(), nil
}

// Until looks at ok every few milliseconds and fails the test when it does not hold within the given time. what says
// what is waited for.
func Until(t testing.TB, within time.Duration, what string, ok func() bool) {
	t.Helper()
	if !Wait(within, ok) {
		t.Fatalf("waited %s in vain for: %s", within, what)
	}
}

// Wait is Until for callers that report themselves: false when ok did not hold in time.
func Wait(within time.Duration, ok func() bool) bool {
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	return until(ctx, ok)
}

func until(ctx context.Context, ok func() bool) bool {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
	}
	return true
}

// Process is a running program and its log.
type Process struct {
	Log   string // file of its output
	cmd   *exec.Cmd
	ended chan struct{}
	err   error
}

// Spawn starts a program with env added to the test's own environment; its output goes to the file log.
func Spawn(log string, env []string, program string, args ...string) (*Process, error) {
	out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	p := &Process{Log: log, cmd: exec.Command(program, args...), ended: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stdout, p.cmd.Stderr = out, out
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	started := make(chan error, 1)
	go func() {
		// Pdeathsig fires when the starting thread ends, so this one stays until the child is gone.
		runtime.LockOSThread()
		err := p.cmd.Start()
		started <- err
		if err == nil {
			p.err = p.cmd.Wait()
			close(p.ended)
		}
	}()
	return p, <-started
}

// PID is the process's id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Ended is closed when the process is gone.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// Signal sends sig; a process that is gone already takes it silently.
func (p *Process) Signal(sig syscall.Signal) { _ = p.cmd.Process.Signal(sig) }

// Stop asks the process to end and waits; after the given time it is killed, which is an error.
func (p *Process) Stop(within time.Duration) error {
	p.Signal(syscall.SIGTERM)
	select {
	case <-p.ended:
		return p.err
	case <-time.After(within):
		p.Kill()
		return fmt.Errorf("%s did not end within %s of SIGTERM; killed", filepath.Base(p.cmd.Path), within)
	}
}

// Kill ends the process at once, and waits.
func (p *Process) Kill() {
	p.Signal(syscall.SIGKILL)
	<-p.ended
}

// Tail is the end of the log, for a failed test's report.
func (p *Process) Tail() string {
	data, err := os.ReadFile(p.Log)
	if err != nil {
		return err.Error()
	}
	if len(data) > 16<<10 {
		data = data[len(data)-16<<10:]
	}
	return string(data)
}

// Answers waits until something listens at addr; it is an error when p ends before.
func (p *Process) Answers(addr string, within time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	gone := false
	if !until(ctx, func() bool {
		select {
		case <-p.ended:
			gone = true
			return true
		default:
		}
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			return false
		}
		_ = conn.Close()
		return true
	}) {
		return fmt.Errorf("nothing listens at %s after %s:\n%s", addr, within, p.Tail())
	}
	if gone {
		return fmt.Errorf("%s ended at once (%w):\n%s", filepath.Base(p.cmd.Path), p.err, p.Tail())
	}
	return nil
}

// Run runs a program to its end and returns what it printed.
func Run(stdin []byte, env []string, program string, args ...string) (string, error) {
	cmd := exec.Command(program, args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdin = bytes.NewReader(stdin)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.String(), fmt.Errorf("%s %s: %w: %s", program, strings.Join(args, " "), err,
			strings.TrimSpace(stderr.String()))
	}
	return stdout.String(), nil
}
