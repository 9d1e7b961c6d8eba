// Package upstream carries HTTP/1.1 requests to servers whose every byte may be hostile, by an httputil.ReverseProxy.
//
//	x := &upstream.Exchange{Pool: pool, Port: 3000, W: w, Body: r.Body}
//	err := x.Forward(r, httputil.ReverseProxy{Rewrite: …}, explain) // FlushInterval stays 0
//
// It does what http.Transport does not:
//
//   - An answer that comes before the request's body has ended, from a server that then closes the connection, always arrives: a write that fails
//     is no end, what the server said before is read first.
//   - Expect: 100-continue goes from end to end: the client is told to go on when the server says so, or after a second of its silence. When
//     the server refuses, the body is neither asked for nor sent.
//   - Interim answers are passed on, at most 16 of them.
//   - Bodies of known length go on as they come, in both directions.
//   - The body of an answer of 256 KiB or more whose length is known goes from socket to socket without a copy in user space, where the platform
//     and the client's connection allow it.
//
// # Lifetime
//
// A Pool keeps the connections to one host, by port: 64 idle ones per port for at most a minute. No goroutine belongs to an idle connection.
// An Exchange is for one request. Its one goroutine sends the body, and has ended when Forward returns.
//
// # Repeating
//
// A request without a body whose method is GET, HEAD, OPTIONS or TRACE, or that carries an Idempotency-Key, is sent again when a kept
// connection turns out to be closed before any answer. Nothing else is sent twice.
//
// Concurrency: a Pool is safe for concurrent use, an Exchange is for one goroutine.
package upstream
