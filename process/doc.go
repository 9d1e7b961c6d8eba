// Package process starts, watches and ends the processes of a sandbox.
//
// A Manager is the only owner of children: it starts all of them, waits for all of them and, as process 1 or child subreaper,
// reaps what they leave behind. Nothing else in the program may start a process by other means while Config.Reap is set.
//
// A process ends in four events that are told apart: its leader has exited, stdout is at its end, stderr is at its end, no
// descendant is left. Run waits for all that in the goroutine of its caller; of a process from Start a goroutine waits for the leader by its
// pidfd and one for each stream, told by the runtime's poller. They belong to the Process and end with what they wait for. Nothing polls
// and no timer ticks. A leader's exit decides the exit code. Output that
// is still on its way is waited for, but a background child that holds the pipe delays the result by at most Spec.Linger; its later
// output is read and dropped, so that it never blocks nor dies of SIGPIPE.
//
// Descendants are found by parentage, by session and process group, by a tag in a resource limit (see tag.go) and by the variable
// SANDLOT_PROCESS in the environment they inherit; that finds those that left by setsid or a double fork, wiped their environment or
// became another user. One that does all of that, sets its limits anew and outlives its parents is not found; it ends with the sandbox.
//
// A script is run as SHELL -c SCRIPT runs it, but is not in the shell's command line: see children.fork, and docs/decisions/0008.
//
// What ends with a process is all its descendants, or its own session alone (see Scope). They are asked by SIGTERM. SIGHUP, whose default ends a
// program that handles SIGTERM only, goes to interactive shells at once and a second later to what did not handle SIGTERM. What starts
// processes faster than they can be ended, or is very many, is ended while the whole sandbox stands still, which process 1 can bring about at one stroke.
//
// Code in the sandbox works against this program too: a crowd that wants all processors stands back (crowd.go), limits that were changed are set back or told (limits.go), and
// signals of faults that somebody sent are ignored (faults.go).
//
// Output goes to a Journal: byte-exact, addressed by offset, bounded in memory (1 MiB by default), then in an unlinked file
// (256 MiB by default), then the oldest bytes are dropped and counted. By default both streams share one pipe, and the journal
// has them in the exact order they were written in, as one stream. With Capture.Split they have a pipe each: what belongs to which
// stream is exact then, the order between the two is that of arrival.
//
//	m, err := process.NewManager(process.Config{Dir: "/home/user", Env: os.Environ()})
//	res, err := m.Run(ctx, process.Spec{Script: "make test", Timeout: time.Minute})
//	defer res.Discard()
package process
