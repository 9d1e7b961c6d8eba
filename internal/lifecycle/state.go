package lifecycle

import "slices"

// State is a state of a sandbox, in the words of the wire (api.md 1.4.1).
type State string

// The states this release uses. Clients know more of them; a client older than a state fails on it, so no others are
// sent.
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

// next holds the allowed steps. Destroying may be entered from every state but Destroyed. Started may become Stopped
// without Stopping when the sandbox ended by itself, and Stopped Started when the engine brought it back. Starting
// and Stopping follow each other when a step failed during which the opposite was asked for.
var next = map[State][]State{
	Creating:   {Started, Stopped, Error, Destroying},
	Starting:   {Started, Stopping, Stopped, Error, Destroying},
	Started:    {Stopping, Stopped, Error, Destroying},
	Stopping:   {Stopped, Starting, Started, Error, Destroying},
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

// step is an action and the state that the sandbox is in while the action lasts.
type step struct {
	do     Action
	during State
}

// plan holds the step for every pair of what is (outer key) and what is wanted (inner key). A pair that is missing
// needs no step. Every step may be repeated: a transient state whose worker died is simply entered again. A sandbox
// in Error stays there until it is started, stopped or deleted by request, which first moves it out of Error. One
// that is being created is created whole before it is stopped.
//
// A new state (paused, archived, resizing, restoring, snapshotting) is a row here and in next; one that may be wanted
// is also a column, and stands in Wanted. A new action is also a line of fleet's table of actions.
var plan = map[State]map[State]step{
	Creating:   {Started: {Create, Creating}, Stopped: {Create, Creating}, Destroyed: {Remove, Destroying}},
	Starting:   {Started: {Start, Starting}, Stopped: {Stop, Stopping}, Destroyed: {Remove, Destroying}},
	Started:    {Stopped: {Stop, Stopping}, Destroyed: {Remove, Destroying}},
	Stopping:   {Started: {Start, Starting}, Stopped: {Stop, Stopping}, Destroyed: {Remove, Destroying}},
	Stopped:    {Started: {Start, Starting}, Destroyed: {Remove, Destroying}},
	Error:      {Destroyed: {Remove, Destroying}},
	Destroying: {Destroyed: {Remove, Destroying}},
	Destroyed:  {},
}

// Plan returns the step from what is to what is wanted, and the state the sandbox is in while it lasts: Nothing and
// the same state where there is none.
func Plan(is, desired State) (Action, State) {
	s, ok := plan[is][desired]
	if !ok {
		return Nothing, is
	}
	return s.do, s.during
}

// Shown is the state that clients are told: a request is visible at once, before anything acted on it (api.md 1.4.2).
func Shown(is, desired State) State {
	if _, during := Plan(is, desired); is.Settled() && is != Error || desired == Destroyed {
		return during
	}
	return is
}
