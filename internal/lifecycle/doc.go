// Package lifecycle is the vocabulary that coordinator and runner share about a sandbox: its states and the steps
// between them, what it should be (Spec) and what was seen of it (Observed).
//
//	             ┌────────── start ───────────┐
//	             ▼                            │
//	creating ─▶ started ─▶ stopping ─▶ stopped ─▶ starting
//	   │           │           │          │          │
//	   └───────────┴── error ◀─┴──────────┴──────────┘
//
//	every state ─▶ destroying ─▶ destroyed
//
// The coordinator keeps two of them per sandbox: what is (State) and what is wanted (Desired: started, stopped or
// destroyed). Plan names the one step that brings the first nearer to the second; Shown is what clients are told, so
// that a request is visible before the runner acted on it.
package lifecycle
