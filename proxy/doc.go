// Package proxy carries traffic from outside to the right sandbox.
//
// The path /toolbox/{sandboxId}/… reaches a sandbox's toolbox, and a door a port of it: by host ({port}-{ref}.{domain}), by path
// (/p/{ref}/{port}/) or at a loopback address that Open gave the sandbox. ref is the sandbox's id, or the token of a signed link, which needs nothing
// else. A caller shows an API key of the sandbox's organisation or the token of the port; a public sandbox needs neither, but for the reserved
// ports. Every credential of ours is taken off before a request goes on, whatever let it in.
//
// An app is told that it is at http://localhost:PORT; disguise.go makes it so for requests, and the reverse for answers.
//
// # Lifetime
//
// Where a sandbox is and who may enter is asked of a Locator once and kept until Forget tells of a change, so that a request
// costs no look-up. Forget carries no news: Run asks the Locator again, and ends within a second all open requests to a sandbox that has left
// the run they were sent to. Those that were not answered yet are answered with 409 SANDBOX_NOT_STARTED, state and reason; a
// websocket gets a close frame (1001) that says the same; an answer that has begun is broken off. Bodies, streams and websockets pass through
// unbuffered, and for as long as their sandbox runs.
//
// # The way
//
// Requests go to the sandbox's own address by internal/upstream. A port that refuses there may listen on the sandbox's loopback: then the
// connection is made through its toolbox, which passes on the bytes of a connection of its own (GET /proxy/{port}, upgraded to sandlot-tcp), so
// that both ways carry the same HTTP. Ports of toolboxd itself are never reached that way.
//
// What may change something is never sent twice.
//
// # What apps say
//
// All in a sandbox is hostile. The header of an answer has 64 KiB at most, with 16 interim answers; of an error that
// names an app's words 200 bytes go into answer and log; addresses of sandboxes go to nobody. Who shows no credential for a sandbox is
// answered the same whether there is one or not, and is told no reasons.
package proxy
