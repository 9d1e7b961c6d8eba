package process

import (
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// program is what a child runs.
type program struct {
	argv []string

	// hidden is one more argument, before argv[at], which is not in /proc/PID/cmdline: a script that looks for
	// processes by their command lines must not find the shell that runs it. "" means none. At most 128 KiB.
	hidden string
	at     int
	other  func() other // what is run in its place where no argument can be hidden
	forker Forker       // nil for none
}

// other is a program of the same effect.
type other struct{ argv, env []string }

// plainProgram is the program argv, of which one argument is hidden unless its index is 0.
func plainProgram(argv []string, hidden int) program {
	if hidden == 0 || argv[hidden] == "" {
		return program{argv: argv}
	}
	return program{
		argv: slices.Delete(slices.Clone(argv), hidden, hidden+1), hidden: argv[hidden], at: hidden,
		other: func() other { return other{argv: argv} },
	}
}

// fork starts the program at path in a child that has the tag, 0 for none. Nothing of the child has been waited for
// when it returns.
//
// A hidden argument is handed over as the child's first environment variable, whose text the kernel does not count as
// part of the command line. The child is traced by this thread, so it stops when its program is loaded, before the
// first instruction. Its lists of arguments and of variables lie side by side in its memory then: the text is moved
// from one to the other, and the child is let go.
func (c *children) fork(path string, p program, attr *syscall.ProcAttr, t tag) (pid int, err error) {
	if p.forker != nil {
		if pid, err := c.forkOther(p.forker, attr, t); err == nil {
			return pid, nil
		}
	}
	if p.hidden == "" {
		return c.forkPlain(path, p.argv, attr, t)
	}
	refused := c.untraceable.Load()
	if !refused {
		pid, err = c.forkTraced(path, p, attr, t)
		refused = errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENOSYS) // as far as can be told
		if !refused && !errors.Is(err, errNotHidden) {
			return pid, err
		}
	}
	plain, other := *attr, p.other()
	plain.Env = append(slices.Clip(attr.Env), other.env...)
	if pid, err = c.forkPlain(path, other.argv, &plain, t); err == nil && refused {
		c.untraceable.Store(true)
	}
	return pid, err
}

func (c *children) forkPlain(path string, argv []string, attr *syscall.ProcAttr, t tag) (pid int, err error) {
	giveBack := t.lend()
	defer giveBack()
	return syscall.ForkExec(path, argv, attr)
}

// errNotHidden is returned for a child that stopped but could not be given its argument; it is gone.
var errNotHidden = errors.New("the argument cannot be hidden")

// startTries is how often a program is started that is killed before its first instruction.
const startTries = 3

func (c *children) forkTraced(path string, p program, attr *syscall.ProcAttr, t tag) (pid int, err error) {
	traced, sys := *attr, *attr.Sys
	traced.Env, traced.Sys, sys.Ptrace = append([]string{p.hidden}, attr.Env...), &sys, true
	runtime.LockOSThread() // the tracer is a thread
	defer runtime.UnlockOSThread()
	mask, err := shutOut()
	if err != nil {
		return 0, err
	}
	defer func() { _ = unix.PthreadSigmask(unix.SIG_SETMASK, &mask, nil) }() // it was that
	c.tracing(1)
	defer c.tracing(-1)
	for try := 1; ; try++ {
		giveBack := t.lend()
		pid, err = syscall.ForkExec(path, p.argv, &traced)
		giveBack()
		if err != nil {
			return 0, err
		}
		err = p.handOver(pid, &mask)
		killed := errors.Is(err, unix.ESRCH)
		if err == nil || killed && try == startTries {
			return pid, nil // somebody kills it, as may happen to any process
		}
		c.discard(pid, *sys.PidFD)
		if !killed {
			return 0, fmt.Errorf("%w: %w", errNotHidden, err)
		}
	}
}

// discard kills a child that is not in live, and waits for it.
func (c *children) discard(pid, pidfd int) {
	if pidfd < 0 {
		_ = syscall.Kill(pid, unix.SIGKILL) // it stands still, or sweep has not heard of its end
		_, _, _ = waitid(unix.P_PID, pid, unix.WEXITED)
		return
	}
	_ = unix.PidfdSendSignal(pidfd, unix.SIGKILL, nil, 0) // it may have ended
	_, _, _ = waitid(unix.P_PIDFD, pidfd, unix.WEXITED)   // sweep may have been first
	_ = unix.Close(pidfd)
}

// stackRegister is the index of the stack pointer among a thread's registers, which are 8 bytes each here.
var stackRegister = map[string]uintptr{"amd64": 19, "arm64": 31}

// shutOut blocks all signals in this thread, and so in the child that it starts, except the one that reports the
// child's stop. Any other signal could stop the traced child before its program is loaded. This thread would then be
// waiting in the start, and could not let the child go on.
func shutOut() (was unix.Sigset_t, err error) {
	var all unix.Sigset_t
	for i := range all.Val {
		all.Val[i] = ^all.Val[i]
	}
	all.Val[0] &^= 1 << (unix.SIGTRAP - 1)
	return was, unix.PthreadSigmask(unix.SIG_SETMASK, &all, &was)
}

// handOver gives the child its hidden argument and the signal mask that it is to have, and lets it go. It is called
// by the thread that started it. Errors: ESRCH when the child was killed; after any other error the child is still
// stopped or has ended by itself.
func (p program) handOver(pid int, mask *unix.Sigset_t) error {
	_, e, err := waitid(unix.P_PID, pid, unix.WSTOPPED|unix.WEXITED|unix.WNOWAIT)
	switch {
	case errors.Is(err, unix.ECHILD), err == nil && !e.stopped && e.signal != 0:
		return unix.ESRCH
	case err != nil:
		return err
	case e.signal != unix.SIGTRAP: // the first of all signals that are not blocked
		return errors.New("it did not stop when its program was loaded")
	}
	if err := p.insert(pid); err != nil {
		return err
	}
	const maskSize = 8
	_, _, errno := unix.Syscall6(unix.SYS_PTRACE, unix.PTRACE_SETSIGMASK, uintptr(pid), maskSize,
		uintptr(unsafe.Pointer(mask)), 0, 0)
	if errno != 0 {
		return errno
	}
	return unix.PtraceDetach(pid)
}

// maxInterpreter is the most arguments that the kernel puts before those of a program that begins with #!: one for
// each of up to five interpreters, and one of its own.
const maxInterpreter = 10

// insert makes the first variable of a stopped child the argument before argv[at]. Where its stack begins, the kernel
// has put: the number of arguments, a pointer to each, 0, a pointer to each variable, 0.
func (p program) insert(pid int) error {
	const word = 8
	index, known := stackRegister[runtime.GOARCH]
	if !known {
		return unix.ENOTSUP
	}
	var regs unix.PtraceRegs
	if err := unix.PtraceGetRegs(pid, &regs); err != nil {
		return err
	}
	base := *(*uintptr)(unsafe.Add(unsafe.Pointer(&regs), index*word))
	list := make([]uint64, 1+len(p.argv)+maxInterpreter+2) // as long as it can be
	if err := readWords(pid, base, list); err != nil {
		return err
	}
	argc := list[0]
	more := int(argc) - len(p.argv)
	if more < 0 || more > maxInterpreter {
		return fmt.Errorf("it has %d arguments, not %d", argc, len(p.argv))
	}
	end := 1 + len(p.argv) + more // of the list of arguments
	zero, text := list[end], list[end+1]
	var first [1]uint64
	if err := readWords(pid, uintptr(text), first[:]); err != nil {
		return err
	}
	var start [word]byte
	binary.NativeEndian.PutUint64(start[:], first[0])
	if zero != 0 || !strings.HasPrefix(p.hidden, string(start[:min(len(p.hidden), word)])) {
		return errors.New("its first variable is not where it should be")
	}
	copy(list[1+p.at+more+1:end+1], list[1+p.at+more:end])
	list[1+p.at+more], list[end+1], list[0] = text, 0, argc+1
	return writeWords(pid, base, list[:end+2])
}

// readWords reads words of a stopped child. One call reads all of them where that is permitted. It may not be for a
// child of another user; then it reads word by word, which a tracer always may.
func readWords(pid int, from uintptr, words []uint64) error {
	local, remote := vectors(from, words)
	if n, err := unix.ProcessVMReadv(pid, local, remote, 0); err == nil && n == 8*len(words) {
		return nil
	}
	for i := range words {
		var w [8]byte
		if _, err := unix.PtracePeekData(pid, from+uintptr(i*len(w)), w[:]); err != nil {
			return err
		}
		words[i] = binary.NativeEndian.Uint64(w[:])
	}
	return nil
}

// writeWords writes words of a stopped child, as readWords reads them.
func writeWords(pid int, to uintptr, words []uint64) error {
	local, remote := vectors(to, words)
	if n, err := unix.ProcessVMWritev(pid, local, remote, 0); err == nil && n == 8*len(words) {
		return nil
	}
	for i, word := range words {
		var w [8]byte
		binary.NativeEndian.PutUint64(w[:], word)
		if _, err := unix.PtracePokeData(pid, to+uintptr(i*len(w)), w[:]); err != nil {
			return err
		}
	}
	return nil
}

func vectors(at uintptr, words []uint64) ([]unix.Iovec, []unix.RemoteIovec) {
	size := 8 * len(words)
	local := unix.Iovec{Base: (*byte)(unsafe.Pointer(&words[0]))}
	local.SetLen(size)
	return []unix.Iovec{local}, []unix.RemoteIovec{{Base: at, Len: size}}
}
