// Package pty keeps terminals. Each is a login shell on a pseudo-terminal, which clients attach to and leave as they
// like.
//
//	t, err := terminals.Create(pty.Spec{ID: "a"})
//	c, err := t.Attach()
//	err = t.Input([]byte("ls\n"))
//	data, err := c.Next(ctx)
//
// # Lifetime
//
// A Manager owns the Terminals of one sandbox. A Terminal ends with its shell, and Manager.Get does not find it any
// more; its clients get all output before the end. Manager.Close kills all terminals and waits for their goroutines.
//
// # Clients
//
// Any number of clients may be attached. All see all output, all may type, and the last one to resize sets the size.
//
// The last 512 KiB of output are kept. A client that attaches gets them first, from an offset at which the terminal was
// at the start of a line. Before them it gets what restores the terminal's modes at that offset: alternate screen,
// colours, cursor, mouse, title.
//
// A slow client holds the program back, as a slow terminal does, until it has read nothing for half a second. From then
// on it misses the output that is not kept any more, and goes on as if it had attached anew.
//
// # Concurrency
//
// Managers and Terminals are safe for concurrent use. A Client is used by one goroutine.
//
// # Limits
//
//   - 256 terminals
//   - 1 to 1,000 columns and rows
//   - 1 MiB of input that the program has not read
package pty
