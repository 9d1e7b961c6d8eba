//go:build amd64 || arm64

package process

import "golang.org/x/sys/unix"

// faultNext is the runtime's own handler of faults.
var faultNext uintptr

// faultFilter returns the address of a signal handler that drops what was sent by a process, also by sigqueue, which
// the runtime takes for a fault of its own, and leaves all else to faultNext. Written in assembly, since a handler
// has no Go stack.
func faultFilter() uintptr

// filterFaults puts the filter before the runtime's handler.
func filterFaults() {
	for _, sig := range []unix.Signal{unix.SIGSEGV, unix.SIGBUS, unix.SIGFPE} {
		var act sigaction
		if action(sig, nil, &act) != nil || act.handler <= sigIgn || act.handler == faultFilter() {
			continue
		}
		if faultNext == 0 {
			faultNext = act.handler
		}
		if act.handler == faultNext { // the runtime has one for all
			act.handler = faultFilter()
			_ = action(sig, &act, nil) // the runtime's own stays
		}
	}
}
