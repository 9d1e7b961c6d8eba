// Package logkey names the keys of structured log lines, so that one thing has one name in all rooms.
package logkey

// The keys: lower case, one word.
const (
	Addr    = "addr"
	Code    = "code"
	Err     = "err"
	Image   = "image"
	Method  = "method"
	Path    = "path"
	PID     = "pid"
	Runner  = "runner"
	Sandbox = "sandbox"
	Session = "session"
	Signal  = "signal"
	State   = "state"
	Status  = "status"
	Took    = "took"
)
