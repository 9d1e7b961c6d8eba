// Package journal keeps the output of processes for any number of readers.
//
//	j := journal.New(journal.Limits{}, nil)
//	j.Append(journal.Stdout, []byte("hello"))
//	for r := j.Follow(0); ; {
//		c, err := r.Next(ctx) // io.EOF after j.Close
//	}
//
// # What is kept
//
// A Journal is byte-exact and addressed by offset. The newest bytes are in memory, older ones in a Spool, and the
// oldest are dropped and counted: a reader that comes to them is told how many it missed.
//
// # Concurrency
//
// Journals and Spools are safe for concurrent use; a Reader is for one goroutine. Readers go at their own pace: none
// slows the writer or another reader.
//
// # Limits
//
//   - memory: 1 MiB for each journal by default, at least 128 KiB
//   - disk: 256 MiB for each journal, and 2 GiB for a spool, by default; its file has no name and ends with the program
//   - when the disk is full, a journal keeps what the file already has room for
package journal
