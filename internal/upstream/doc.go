// Package upstream carries HTTP/1.1 requests to servers whose every byte may be hostile, by an httputil.ReverseProxy.
//
//	x := &upstream.Exchange{Pool: pool, Port: 3000, W: w, Body: r.Body}
//	err := x.Forward(r, httputil.ReverseProxy{Rewrite: …}, explain) // FlushInterval stays 0
//
// It does what http.Transport does not:
//
//   - An answer always arrives, even if the server sends it before the request's body has ended and then closes the
//     connection: when a write fails, the answer is read first.
//   - Expect: 100-continue works from end to end: the client may continue when the server says so, or after a second
//     of its silence. When the server refuses, the body is neither requested nor sent.
//   - Interim answers are forwarded, at most 16 of them.
//   - Bodies of known length are forwarded as they come, in both directions.
//   - The body of an answer of known length, 256 KiB or more, goes from socket to socket without a copy in user
//     space, if the platform and the client's connection allow it.
//
// # Lifetime
//
// A Pool keeps the connections to one host, by port: at most 64 idle ones per port, for at most a minute. No
// goroutine belongs to an idle connection. An Exchange is for one request. Its one goroutine sends the body, and has
// ended when Forward returns.
//
// # Repeating
//
// A request without a body whose method is GET, HEAD, OPTIONS or TRACE, or that has an Idempotency-Key, is sent again
// if a kept connection turns out to be closed before any answer. Nothing else is sent twice.
//
// # Concurrency
//
// A Pool is safe for concurrent use. An Exchange is for one goroutine.
package upstream
