// Package proxy carries traffic from outside to the right sandbox.
//
// The path /toolbox/{sandboxId}/… leads to a sandbox's toolbox, and a door leads to a port of the sandbox. A door is
// an address: by host ({port}-{ref}.{domain}), by path (/p/{ref}/{port}/), or a loopback address that Open gave the
// sandbox. ref is the sandbox's id, or the token of a signed link, which needs no other credential. A caller shows an
// API key of the sandbox's organisation or the token of the port. A public sandbox needs neither, except for the
// reserved ports. The proxy removes every credential of ours before it forwards a request, whichever of them admitted
// the caller.
//
// An app sees itself at http://localhost:PORT: disguise.go rewrites requests to that address, and answers back.
//
// # Lifetime
//
// The proxy asks a Locator once where a sandbox is and who may enter, and keeps the answer until Forget reports a
// change, so that a request costs no look-up. Forget carries no new state: Run asks the Locator again. When a sandbox
// has left the run that its open requests were sent to, Run ends them within a second. A request without an answer
// yet is answered with 409 SANDBOX_NOT_STARTED, state and reason; a websocket gets a close frame (1001) that says the
// same; an answer that has begun is cut off. Bodies, streams and websockets are not buffered and last as long as
// their sandbox runs.
//
// # Transport
//
// Requests go to the sandbox's own address through internal/upstream. An app whose port refuses there may listen on
// the sandbox's loopback only. The proxy then connects through the toolbox, which forwards the bytes of that
// connection (GET /proxy/{port}, upgraded to sandlot-tcp), so that both ways carry the same HTTP. Ports of toolboxd
// itself are never reached that way.
//
// A request that may change something is never sent twice.
//
// # Hostile apps
//
// Everything in a sandbox is hostile. The header of an answer is limited to 64 KiB and 16 interim answers. An error
// that quotes an app gives 200 bytes of it to answer and log. Nobody is told the addresses of sandboxes. A caller
// without a credential for a sandbox gets the same answer whether or not the sandbox exists, and no reasons.
package proxy
