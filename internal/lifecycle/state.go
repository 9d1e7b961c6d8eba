package lifecycle

import "slices"

// State is a state of a sandbox, in the words of the wire (api.md 1.4.1).
type State string

// The states this release uses. Clients know more of them; a client older than a state fails on it, so no others are sent.
const (
	Creating   State = "creating"
	Starting   State = "starting"
	Started    State = "started"
	Stopping   State = "stopping"
	Stopped    State = "stopped"
	Error      State = "error"
	Destroying State = "destroying"
	Destroyed  State = "destroyed"
)

// States lists all states.
var States = []State{Creating, Starting, Started, Stopping, Stopped, Error, Destroying, Destroyed}

// Wanted lists the states that may be desired.
var Wanted = []State{Started, Stopped, Destroyed}

// next holds the allowed steps. Destroying may be entered from every state but Destroyed. Started may become Stopped without
// Stopping when the sandbox ended by itself, and Stopped Started when the engine brought it back.
var next = map[State][]State{
	Creating:   {Started, Stopped, Error, Destroying},
	Starting:   {Started, Stopped, Error, Destroying},
	Started:    {Stopping, Stopped, Error, Destroying},
	Stopping:   {Stopped, Started, Error, Destroying},
	Stopped:    {Starting, Started, Error, Destroying},
	Error:      {Starting, Stopping, Started, Stopped, Destroying},
	Destroying: {Destroyed, Error},
	Destroyed:  nil,
}

// CanStep reports whether a sandbox may go from one state to another. Staying is always allowed.
func CanStep(from, to State) bool { return from == to || slices.Contains(next[from], to) }

// Settled reports whether nothing is under way in s.
func (s State) Settled() bool {
	return s == Started || s == Stopped || s == Error || s == Destroyed
}

// Action is what a runner is asked to do next.
type Action uint8

// The actions.
const (
	Nothing Action = iota // is what should be, or cannot become so
	Create                // make it and start it
	Start
	Stop
	Remove
)

// Plan returns the step from what is to what should be, and the state the sandbox is in while it lasts. Every step may be
// repeated, so a transient state whose worker died is simply entered again. A sandbox in Error stays there until it is
// started, stopped or deleted by request (which first moves it out of Error).
func Plan(is, desired State) (Action, State) {
	if is == Destroyed {
		return Nothing, Destroyed
	}
	if desired == Destroyed {
		return Remove, Destroying
	}
	if is == Error || is == Destroying {
		return Nothing, is
	}
	if is == Creating { // also when it should be stopped: it has to be there first
		return Create, Creating
	}
	switch {
	case desired == Started && is != Started:
		return Start, Starting
	case desired == Stopped && is != Stopped:
		return Stop, Stopping
	}
	return Nothing, is
}

// Shown is the state that clients are told: a request is visible at once, before anything acted on it (api.md 1.4.2).
func Shown(is, desired State) State {
	if _, during := Plan(is, desired); is.Settled() && is != Error || desired == Destroyed {
		return during
	}
	return is
}
