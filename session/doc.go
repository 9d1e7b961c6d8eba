// Package session keeps shells alive between requests.
//
//	s, err := sessions.Create("build", "/work")
//	c, err := s.Exec(session.Spec{Script: "make test"})
//	<-c.Done()
//	code, _ := c.ExitCode()
//
// A Manager owns every Session of one sandbox. A Session is one shell. Its commands run in that shell one after the
// other, in the order in which they were given, and share its folder, variables, functions and descriptors. Each
// Command has its own output: both streams as a journal, which outlives the shell and ends with the session.
//
// The Manager also owns the Entrypoint, the program that an image brings. It reads like a session "entrypoint" with one
// command "entrypoint_command", but it is not in the list, takes no input and cannot be deleted.
//
// # How a command runs
//
// The session writes the command's text to a file, which the shell sources with input and output redirected to FIFOs.
// The shell then reports the exit code on a socket that no command has. So a command's end is an event on a descriptor,
// and no helper process runs. Scripts see nothing of it: our lines show in no trace, fire no trap of errors and keep
// $?, and in bash all descriptors below 900 are the script's. A report counts if the kernel says that the shell itself
// wrote it, and if it has the command's nonce (docs/decisions/0009).
//
// The order between the two streams is that in which their FIFOs became readable. That is the order of writing while
// the daemon keeps up. What was written to both before either was read has no known order: the kernel keeps no time.
//
// A command that could not be run, for example because there are no descriptors left, has the shell's own message as
// its error output.
//
// # Lifetime
//
// A background process may hold a command's output open. The command is then complete 100 ms after its exit code, and
// later output is still added to its journal.
//
// Whatever ends the shell (exit, exec, set -e, a signal, closing the descriptor that it reads from) completes the
// running command with the shell's exit code and ends the session. The session can still be read, and be replaced by a
// new one of the same id.
//
// A shell that reads on without having reported the command's end (set -n, a function named command) does not answer
// any more. The session notices that by an event, from 200 ms after the command's start on. It kills the shell, and the
// command ends with ErrUnresponsive. A shell that was stopped by SIGSTOP looks like one whose command takes long, and
// goes on with SIGCONT.
//
// Manager.Close ends all sessions and the entrypoint, and waits for their goroutines.
//
// # Concurrency
//
// Managers, Sessions, Commands and the Entrypoint are safe for concurrent use.
//
// # Limits
//
//   - 256 sessions
//   - 1,000 commands waiting in one session
//   - 10,000 commands remembered in one session; the oldest go first
//   - 256 MiB of output per command; the oldest bytes go first
//   - 64 KiB of input that a command has not read
package session
