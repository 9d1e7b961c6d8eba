package harness

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Engine is a Docker engine of a test's own, with its own data, containerd and address range, which may be killed. It
// needs root.
type Engine struct {
	Host string // its address, for DOCKER_HOST

	dir, data, bridge string
	proc              *Process
}

// StartEngine runs a private engine until the test ends. dataRoot is where it keeps its data; "" is a folder of the
// test's own. Without root or dockerd the test is skipped.
func StartEngine(t testing.TB, dataRoot string) *Engine {
	t.Helper()
	e, err := NewEngine(dataRoot)
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("log of dockerd:\n%s", e.proc.Tail())
		}
		if err := e.Close(); err != nil {
			t.Errorf("stopping the engine: %v", err)
		}
	})
	return e
}

// NewEngine is StartEngine for callers without a test: they call Close.
func NewEngine(dataRoot string) (*Engine, error) {
	if os.Geteuid() != 0 {
		return nil, fmt.Errorf("an engine of one's own needs root: %w", errors.ErrUnsupported)
	}
	// Its sockets' paths may have 107 bytes, which a test's own folder could use up.
	dir, err := os.MkdirTemp("", "sle")
	if err != nil {
		return nil, err
	}
	e := &Engine{
		Host: "unix://" + filepath.Join(dir, "s"), dir: dir, data: dataRoot,
		bridge: "slb" + strings.TrimPrefix(filepath.Base(dir), "sle"),
	}
	if e.data == "" {
		e.data = filepath.Join(dir, "data")
	}
	// An engine without a bridge would remove docker0, which is another engine's: so it gets one of its own.
	if _, err := Run(nil, nil, "ip", "link", "add", "name", e.bridge, "type", "bridge"); err != nil {
		return nil, errors.Join(fmt.Errorf("a bridge for an engine of one's own: %w", err), os.RemoveAll(dir))
	}
	if err := e.Run(); err != nil {
		return nil, errors.Join(err, e.Close())
	}
	// Sandlot's network, away from those of the machine's engine. (An engine that is told to choose from a pool of its
	// own removes docker0 when it comes back.)
	subnet := fmt.Sprintf("10.213.%d.0/24", os.Getpid()%250)
	if _, err := Docker(e.Host, nil, "network", "create", "--subnet", subnet, "-o",
		"com.docker.network.bridge.enable_icc=false", "sandlot"); err != nil {
		return nil, errors.Join(err, e.Close())
	}
	return e, nil
}

// Run starts the engine, again after a Kill, and waits until it answers.
func (e *Engine) Run() error {
	program, err := exec.LookPath("dockerd")
	if err != nil {
		if program, err = exec.LookPath("/usr/sbin/dockerd"); err != nil {
			return fmt.Errorf("no dockerd on this machine: %w", errors.ErrUnsupported)
		}
	}
	settings := filepath.Join(e.dir, "daemon.json") // its own, in place of the machine's
	if err := os.WriteFile(settings, []byte("{}"), 0o600); err != nil {
		return err
	}
	e.proc, err = Spawn(filepath.Join(e.dir, "dockerd.log"), nil, program, "--host", e.Host, "--data-root", e.data,
		"--exec-root", filepath.Join(e.dir, "x"), "--pidfile", filepath.Join(e.dir, "pid"), "--config-file", settings,
		"--bridge", e.bridge, "--iptables=false", "--ip6tables=false", "--ip-masq=false")
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	var last error
	if !until(ctx, func() bool {
		select {
		case <-e.proc.Ended():
			return true
		default:
		}
		_, last = Docker(e.Host, nil, "version")
		return last == nil
	}) || last != nil {
		return fmt.Errorf("dockerd does not answer: %w\n%s", last, e.proc.Tail())
	}
	return nil
}

// Kill ends the engine as a crash would: its containers stay.
func (e *Engine) Kill() {
	e.proc.Kill()
	// Its containerd ends with it. Where nobody reaps orphans it stays a zombie, which the next dockerd would take for a
	// living one.
	pid, err := e.containerd()
	if err != nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if until(ctx, func() bool {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		return err != nil || strings.Contains(string(stat), ") Z ")
	}) {
		_ = os.Remove(e.containerdFile())
	}
}

func (e *Engine) containerdFile() string {
	return filepath.Join(e.dir, "x", "containerd", "containerd.pid")
}

func (e *Engine) containerd() (pid int, err error) {
	data, err := os.ReadFile(e.containerdFile())
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(data)))
}

// Close ends the engine, its containers and its containerd, and removes its data.
func (e *Engine) Close() error {
	if e.proc != nil {
		select {
		case <-e.proc.Ended(): // killed: only an engine ends what it left
			if err := e.Run(); err != nil {
				e.endContainerd()
			}
		default:
		}
		if out, err := Docker(e.Host, nil, "ps", "-aq"); err == nil && out != "" {
			_, _ = Docker(e.Host, nil, append([]string{"rm", "-f"}, strings.Fields(out)...)...)
		}
		if out, err := Docker(e.Host, nil, "network", "ls", "-q", "--filter", "type=custom"); err == nil && out != "" {
			_, _ = Docker(e.Host, nil, append([]string{"network", "rm"}, strings.Fields(out)...)...)
		}
		_ = e.proc.Stop(30 * time.Second)
		e.endContainerd()
	}
	unmount(e.dir)
	_, err := Run(nil, nil, "ip", "link", "del", e.bridge)
	return errors.Join(err, os.RemoveAll(e.dir))
}

// endContainerd ends the containerd that an engine started for itself, when it was left behind.
func (e *Engine) endContainerd() {
	if pid, err := e.containerd(); err == nil {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
}

// unmount takes away what is mounted at dir or below it, the last first.
func unmount(dir string) {
	data, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return
	}
	lines := strings.Split(string(data), "\n")
	for i := len(lines) - 1; i >= 0; i-- {
		fields := strings.Fields(lines[i])
		if len(fields) > 1 && (fields[1] == dir || strings.HasPrefix(fields[1], dir+"/")) {
			_ = syscall.Unmount(fields[1], syscall.MNT_DETACH)
		}
	}
}

// SmallDisk mounts a file system of the given size, in MiB, until the test ends, and returns its folder. The test is
// skipped where nothing can be mounted.
func SmallDisk(t testing.TB, size int) string {
	t.Helper()
	dir := t.TempDir()
	image, at := filepath.Join(dir, "disk"), filepath.Join(dir, "mnt")
	if err := os.Mkdir(at, 0o755); err != nil {
		t.Fatal(err)
	}
	_, err := Run(nil, nil, "sh", "-c", `truncate -s "$1"M "$2" && mkfs.ext4 -q -m 0 "$2" && mount -o loop "$2" "$3"`,
		"sh", strconv.Itoa(size), image, at)
	if err != nil { // no loop devices here
		if _, err2 := Run(nil, nil, "mount", "-t", "tmpfs", "-o", fmt.Sprintf("size=%dM", size), "none", at); err2 != nil {
			t.Skipf("no small disk: %v; %v", err, err2)
		}
	}
	t.Cleanup(func() { unmount(at) })
	return at
}
