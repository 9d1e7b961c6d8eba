// Package pty keeps terminals: a login shell on a pseudo-terminal each, which clients attach to and leave as they like.
//
// A Manager owns the Terminals of one sandbox. A Terminal ends with its shell, and is then no longer found; its clients get all output
// before the end. Any number of clients may be attached: all see all output, all may type, the last one to resize sets the size.
//
// The last 512 KiB of output are kept. A client that attaches gets them first, from a place where the terminal is at the start of a line, preceded
// by what restores the modes that the terminal was in there: alternate screen, colours, cursor, mouse, title. A client that is slow holds
// the program back, as a slow terminal does, until it has taken nothing for half a second; from then on it misses what it is too late for,
// and goes on as if it had attached anew.
//
// Managers, Terminals and Clients (by one goroutine each) are safe for concurrent use. Limits: 256 terminals, 1 to 1,000 columns and rows,
// 1 MiB of input that the program has not read. The wire is toolbox.md 5.
package pty
