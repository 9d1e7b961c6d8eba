// Package lsp gives callers what an editor knows of code: completions, symbols, definitions, diagnostics.
//
//	m, err := lsp.NewManager(lsp.Config{Processes: processes, Dir: "/home/user"})
//	defer m.Close()
//	key := lsp.Key{Language: "python", Project: "app"}
//	err = m.Start(ctx, key)
//	server, err := m.Server(key)
//	list, err := server.Completions(ctx, "file:///home/user/app/main.py", lsp.Position{Line: 3, Character: 8}, lsp.CompletionContext{})
//
// # Lifetime
//
// A Manager owns the servers of a sandbox, one for each language and project (Key). Start brings one up; Stop and Close
// end it with all its descendants. A server that ends by itself is noticed at once, and is started again by the next
// call, or by the call that it ended in, once in each call. Documents that callers have opened are opened again then.
// Managers and Servers are safe for concurrent use.
//
// # Languages
//
// Languages are a table (languages.go): names, extensions, servers, how to install one. The first server that PATH has
// is used. Where servers differ from the protocol or leave out what callers expect, the table says so: pylsp counts
// characters by code points and has no search for symbols; typescript-language-server searches only what is opened and
// publishes diagnostics in pieces.
//
// # Documents
//
// A caller need not open anything. Each request looks at its document's file, whose size, times and node tell whether
// it has changed, and sends the whole text if so. ChangeDocument puts a text in the place of the file's until the file
// changes. Positions are those of the protocol: lines and UTF-16 code units, from 0, for every server.
//
// # Limits
//
//   - 32 servers; 30 s for a start or a request, unless Config or the context say less; 256 unanswered requests of a
//     server; a server that leaves 3 in a row unanswered is ended.
//   - 4 MiB for a document; 256 open ones and 64 MiB of text for a server, where the least recently used is closed.
//   - 16 MiB for a message from a server, of which one above 1 MiB is decoded at a time; 64 MiB that wait for it.
//   - 10,000 symbols or places and 5,000 completions in an answer; a search goes through 5,000 files. What was cut is
//     marked so.
//   - Diagnostics of 1,024 documents and 16 MiB are kept for a server.
//
// # Source
//
// Language Server Protocol 3.17, over the standard streams of a child. Requests of servers are answered; edits that they
// ask for are refused, because files belong to the callers.
package lsp
