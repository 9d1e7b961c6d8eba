// Package sandbox is the life of the sandboxes on one Docker host.
//
// A Manager makes, starts, stops and removes sandboxes through a Driver, keeps what it last saw of each, and tells a
// Reporter of every change, and of everything when it begins, after the engine came back and with each heartbeat. The
// engine is the truth: a Manager has no state of its own to lose, and after a crash of any part it lists and goes on.
//
// All operations may be repeated and are one at a time per sandbox. A Manager is safe for concurrent use; Run owns
// its goroutines.
package sandbox
