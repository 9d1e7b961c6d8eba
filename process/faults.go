package process

import (
	"os"
	"os/signal"
	"unsafe"

	"golang.org/x/sys/unix"
)

// IgnoreFaults makes this program ignore the signals that others send it and that would end it: those of faults,
// which any process of the sandbox may send, and SIGQUIT, SIGABRT and SIGPIPE. A fault in this program's own code is
// still a panic. Children do not inherit any of this.
func IgnoreFaults() {
	sent := make(chan os.Signal, 1) // nobody reads it: signals are dropped
	signal.Notify(sent, unix.SIGQUIT, unix.SIGABRT, unix.SIGPIPE, unix.SIGSEGV, unix.SIGBUS, unix.SIGFPE)
	for _, sig := range []unix.Signal{unix.SIGILL, unix.SIGTRAP, unix.SIGSTKFLT, unix.SIGSYS} { // the runtime would die
		var act sigaction
		if action(sig, nil, &act) == nil {
			act.handler = sigIgn
			_ = action(sig, &act, nil) // the runtime's own stays
		}
	}
	filterFaults()
}

// sigIgn is SIG_IGN.
const sigIgn = 1

// sigaction is the kernel's struct sigaction, as 64-bit machines with a restorer have it.
type sigaction struct {
	handler  uintptr
	flags    uint64
	restorer uintptr
	mask     uint64
}

// action is rt_sigaction(2).
func action(sig unix.Signal, set, was *sigaction) error {
	const maskSize = 8
	_, _, errno := unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(sig),
		uintptr(unsafe.Pointer(set)), uintptr(unsafe.Pointer(was)), maskSize, 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}
