// Package cli is the verbs of the sandlot command that talk to a server as any client does.
//
// Commands returns them; where the server is and with which key is asked of the caller only when a verb runs. Output
// is for people, or JSON with --json; errors go to the caller.
package cli
