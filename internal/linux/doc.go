// Package linux has what each user of Linux system calls would write again: calls repeated after a signal (Retry,
// RetryValue), a file in memory (MemoryFile), and a file on the first file system that takes one (ScratchFile).
package linux
