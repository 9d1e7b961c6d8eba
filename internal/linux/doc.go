// Package linux has what each user of Linux system calls would write again: calls repeated after a signal (Retry,
// RetryValue), a file in memory (MemoryFile), and a file or folder in the first place that takes one (ScratchFile,
// ScratchFolder).
package linux
