// Package session keeps shells alive between requests.
//
// A Manager owns every Session of one sandbox. A Session is one shell; its commands run in that shell one after another, in the
// order they were given, and share its folder, variables, functions and descriptors. Each command has its own output: both streams as a
// journal that outlives the shell and ends with the session.
//
// A command's text goes to a file that the shell sources, with its output and input redirected to FIFOs that the daemon holds; the
// shell then reports the exit code on a socket that no command has. So completion is an event on a descriptor, and no helper process
// runs. What the shell is told shows in no trace and fires no trap of errors, $? is that of the command before, and in bash all descriptors below 900 are the
// script's. A report counts if the kernel says that the shell itself wrote it and it has the command's nonce (docs/decisions/0009). A caller waits for a short
// command in its own thread, which saves the way through the runtime.
//
// The order between the two streams is that in which their FIFOs became readable, which is that of writing as long as the daemon keeps up. Of
// what was written to both before either was read it cannot be known: the kernel keeps no time of it.
//
// What ends the shell (exit, exec, set -e, a signal, closing the descriptor it reads from) completes the running command with the shell's exit code
// and ends the session: it can still be read, and be replaced by a new one of the same id. A shell that reads on without having told of the
// command's end (set -n, a function named command) no longer answers: it is killed, the command ends with ErrDeaf, and so does the session. That
// is an event too, seen from 200 ms after the command's start on. What cannot be known: a shell that was stopped by SIGSTOP is as one whose
// command takes long, and goes on with SIGCONT. A command that could not be run, say for want of descriptors, has the shell's own message as its
// error output. A background process may hold a command's output open: the command
// is complete 100 ms after its exit code then, and what comes later is still added to its journal.
//
// The program that an image brings is the session "entrypoint" with one command, "entrypoint_command"; it is not in the list and cannot be
// written to, or deleted.
//
// Managers, Sessions and Commands are safe for concurrent use. Limits: 256 sessions; 1,000 commands waiting in one session, 10,000
// remembered, of which the oldest go first; 256 MiB of
// output per command, of which the oldest bytes go first; 64 KiB of input that a command has not read.
package session
