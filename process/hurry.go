package process

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// shortSlice is the time that a hurrying thread runs before another one's turn, in nanoseconds. The kernel's own is
// 1 to 3 ms.
const shortSlice = 100_000

// hurry lets the calling thread run as soon as it wakes up, until done is called. Without it, on a busy machine, a
// thread that has started a program gets no processor before the program first waits, which for a shell is 1 ms.
// A child that is started meanwhile inherits this, and needs changeSlice. Kernels before 6.12 know no such thing.
func hurry() (done func()) {
	runtime.LockOSThread()
	_ = changeSlice(0, shortSlice) // where it is refused, it takes longer
	return func() {
		_ = changeSlice(0, 0)
		runtime.UnlockOSThread()
	}
}

// changeSlice sets how long a thread of the ordinary scheduling policy runs before another one's turn; 0 is the
// kernel's own time. Thread 0 is the calling one.
func changeSlice(tid int, slice uint64) error {
	attr, err := unix.SchedGetAttr(tid, 0)
	if err != nil || attr.Policy != unix.SCHED_NORMAL || attr.Runtime == slice {
		return err
	}
	attr.Runtime = slice
	return unix.SchedSetAttr(tid, attr, 0)
}
