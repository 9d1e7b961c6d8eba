// Package proxy carries traffic from outside to the right sandbox.
//
// Two forms of address reach a sandbox: the path /toolbox/{sandboxId}/… its toolbox, and the host {port}-{sandboxId}.{domain} a
// port of it. A caller shows an API key of the sandbox's organisation, or the sandbox's preview token; a public sandbox needs
// neither, but for the reserved ports. Whatever credential let the caller in is taken off before the request goes on.
//
// Where a sandbox is and who may enter is asked of a Locator once and kept until Forget tells of a change, so that a request
// costs no look-up. Bodies, streams and websockets pass through unbuffered and for as long as they last; nothing is ever sent twice.
package proxy
