package process

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/sandlot-dev/sandlot/internal/fault"
)

// Forker starts processes by other means than a program's: by the fork of a process that has loaded what they need.
type Forker interface {
	// Fork makes a process with a session of its own, and with the folder, environment and descriptors given, that has
	// become this program's child because its parent ended. It calls known with its id before the process runs on, and
	// ends the process when that fails. An error means that the program is to be started instead.
	Fork(dir string, env []string, fds []uintptr, known func(pid int) error) error
}

// forkOther starts a process by a Forker. It makes sure that the process is a child of this program, whatever the
// forker says, and that nobody knows it yet.
func (c *children) forkOther(f Forker, attr *syscall.ProcAttr, t tag) (pid int, err error) {
	if !c.sweeps {
		return 0, fault.New(fault.Internal, "orphans do not become children of this program")
	}
	if !enterable(attr.Dir) {
		return 0, fault.New(fault.Internal, "a start says what is wrong with the folder")
	}
	err = f.Fork(attr.Dir, attr.Env, attr.Files, func(forked int) error {
		if p, _ := stat(forked); p.parent != os.Getpid() || c.has(forked) {
			return fault.Newf(fault.Internal, "process %d is not a new child of this program", forked)
		}
		t.give(forked)
		*attr.Sys.PidFD = -1
		if fd, err := unix.PidfdOpen(forked, 0); err == nil {
			*attr.Sys.PidFD = fd
		}
		pid = forked
		return nil
	})
	if err != nil && pid != 0 && *attr.Sys.PidFD >= 0 {
		_ = unix.Close(*attr.Sys.PidFD)
		*attr.Sys.PidFD = -1
	}
	return pid, err
}
