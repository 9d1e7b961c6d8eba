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
// The coordinator keeps two states per sandbox: the observed one and the desired one (started, stopped or destroyed).
// Plan returns the next step from the observed to the desired state. Shown returns the state that clients get, in which
// a request is visible before the runner has acted on it.
package lifecycle
