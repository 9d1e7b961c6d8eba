// Package sandbox owns the sandboxes of one Docker host.
//
// A Manager creates, starts, stops and removes sandboxes through a Driver and keeps the newest finding of each. It
// reports every change to a Reporter. It reports all sandboxes when it begins, after the engine came back, and at each
// heartbeat. The engine is the only source of truth: a Manager stores nothing, and after a crash of any part it lists
// the containers and goes on.
//
// Operations may be repeated. One operation runs at a time per sandbox. A Manager is safe for concurrent use; Run owns
// its goroutines.
package sandbox
