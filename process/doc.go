// Package process starts, watches and ends the processes of a sandbox.
//
//	m, err := process.NewManager(process.Config{Dir: "/home/user", Env: os.Environ()})
//	res, err := m.Run(ctx, process.Spec{Script: "make test", Timeout: time.Minute})
//	defer res.Discard()
//
// A Manager is the only owner of children: it starts all of them, waits for all of them and, as process 1 or child
// subreaper, reaps what they leave behind. While Config.Reap is set, nothing else in the program may start a process by
// other means. Managers and Processes are safe for concurrent use.
//
// # Three ways to start
//
//   - Run starts a command and waits for its Result.
//   - Start starts one and returns a Process; Spec.Streams says whether its output is kept, or where it goes instead.
//   - StartPiped starts one that its caller talks to: an input to write, two outputs to read, and more descriptors on
//     request. Everything that speaks a protocol with a child uses it.
//
// # How a start works (start.go)
//
// A script is run as SHELL -c SCRIPT runs it, but the script is not in the shell's command line: see program.go, and
// docs/decisions/0008. environment.go holds the variables, shell.go finds shells and programs, streams.go makes the
// pipes.
//
// # How an end is noticed (waiting.go)
//
// A process ends in four events that are told apart: its leader has exited, stdout is at its end, stderr is at its
// end, no descendant is left. The leader's exit decides the exit code. Output that is still on its way is waited for,
// but a background child that holds the pipe delays the Result by at most Spec.Linger. Its later output is read and
// dropped, so that it neither blocks nor dies of SIGPIPE. Run waits on its caller's goroutine; a Process of Start has
// one goroutine for its leader and one for each output. They end with what they wait for. Nothing polls. reaper.go
// owns all waits.
//
// An end by SIGKILL that the kernel brought about because memory was full is told from others by the count that the
// kernel keeps (memory.go). It is read at each start and whenever the sandbox is observed, which costs about 2 µs.
//
// # How descendants are found (descendants.go)
//
// They are found by parentage, by session and process group, by a tag in a resource limit (tag.go) and by the
// variable SANDLOT_PROCESS in the environment that they inherit. That finds those that left by setsid or a double
// fork, wiped their environment or became another user. One that does all of that, sets its limits anew and outlives
// its parents is not found; it ends with the sandbox.
//
// # How processes are ended (ends.go)
//
// All descendants of a process end with it, or those of its own session alone (see Scope). They are asked by SIGTERM.
// Interactive shells get SIGHUP at once. What did not handle SIGTERM gets SIGHUP a second later; what handles SIGTERM
// would die of SIGHUP in the middle of its work. What starts processes faster than they can be ended, or is very
// many, is ended while the whole sandbox stands still: process 1 can stop everything at one stroke.
//
// # What code in the sandbox does to this program
//
//   - A crowd that wants all processors stands behind everything else (crowd.go).
//   - Limits of this program that were changed are set back or reported (limits.go).
//   - Signals of faults that somebody sent are ignored (faults.go).
//   - This program is the last that the kernel kills for memory (shield.go).
//
// # Output
//
// Output goes to a journal.Journal. By default both streams share one pipe, and the journal has them in the exact order
// they were written in, as one stream. With Capture.Split they have a pipe each: which bytes belong to which stream is
// exact then, and the order between the two is that of arrival.
package process
