package lifecycle

import "slices"

// State is a state of a sandbox, in the words of the wire (docs/wire.md, "States of a sandbox").
type State string

// The states of this release. The wire has more.
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

// next has the allowed steps. Every state but Destroyed may become Destroying. Started becomes Stopped when the sandbox
// ended by itself, and Stopped becomes Started when somebody started its container. Starting and Stopping follow each
// other when a step failed while the opposite was requested.
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

// Settled reports whether no step is under way in s.
func (s State) Settled() bool {
	return s == Started || s == Stopped || s == Error || s == Destroyed
}

// Action is what a runner is asked to do next.
type Action uint8

// The actions.
const (
	Nothing Action = iota // no step is needed, or none is possible
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

// plan has the step for every pair of observed state (outer key) and desired state (inner key). A missing pair needs
// no step. Every step may be repeated, so a step whose worker died is taken again. A sandbox in Error stays there
// until a request starts, stops or deletes it; the request first moves it out of Error. A sandbox that is being
// created is created and started before it is stopped.
//
// A new state (paused, archived, resizing, restoring, snapshotting) is a row here and in next. One that may be
// desired is also a column here and an entry of Wanted. A new action is also a line of the table acts in fleet.
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

// Plan returns the next step from the observed to the desired state, and the state of the sandbox during that step. If
// no step is needed, it returns Nothing and the observed state.
func Plan(is, desired State) (Action, State) {
	s, ok := plan[is][desired]
	if !ok {
		return Nothing, is
	}
	return s.do, s.during
}

// Shown returns the state that clients get. A request is visible in it at once, before a runner has acted on it.
func Shown(is, desired State) State {
	if _, during := Plan(is, desired); is.Settled() && is != Error || desired == Destroyed {
		return during
	}
	return is
}
