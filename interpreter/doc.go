// Package interpreter keeps programming languages' interpreters alive between requests.
//
//	m := interpreter.NewManager(interpreter.Config{Processes: processes})
//	c, err := m.Create(ctx, interpreter.Options{Language: "python"})
//	cell, err := c.Run(interpreter.Request{Code: "x = 1; x + 1"})
//	for r := cell.Follow(0); ; {
//		event, err := r.Next(ctx) // io.EOF when the cell has ended
//	}
//
// A Manager owns every Context of a sandbox. A Context has one worker, a process of its own that keeps variables,
// imports, folder and threads; what it is asked to run, a Cell, runs one after the other. Managers, Contexts and Cells
// are safe for concurrent use; a Reader is for one goroutine.
//
// # Lifetime
//
// A context lives until it is deleted. Its worker is started with it, and again for the next cell after it has died.
// The cell that was running then ends with the error Crashed. A sandbox that never ran a cell has no worker. Default
// contexts, one for each language, are made when they are first asked for.
//
// # How a worker is spoken to
//
// A worker has a socket for messages and pipes for its output (worker.go). Output is read by package process into the
// journal of the process, whatever wrote it: the interpreter, a C library, a child. Before a message is taken in, all
// that was written before it is read, so that results and displays stand in their place among the output. A cell's
// record is a part of that journal, and any number of readers may come to it, at any time.
//
// # How Python starts (forkserver.go)
//
// Contexts and programs of Python are forked from a process that has started already, where that makes no difference to
// them: docs/decisions/0015. There is one such process for what imports little and another for what imports much. Each
// starts after it was missed, and ends when nobody needs it for a minute.
//
// # Limits
//
//   - contexts: 256
//   - cells that wait in one context: 128
//   - records: 1 MiB in memory and 256 MiB on disk for each worker; the oldest go first, and readers are told
//   - a message of a worker: 32 MiB; one that sends more is ended. Of those above 256 KiB, one at a time is in memory,
//     of all contexts together; it may take 10 s to come
//   - cells that can be found by their id: the last 64 of a context
package interpreter
