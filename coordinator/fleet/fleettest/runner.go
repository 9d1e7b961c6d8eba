package fleettest

import (
	"context"
	"testing"

	"github.com/google/uuid"

	"github.com/sandlot-dev/sandlot/coordinator/fleet"
	"github.com/sandlot-dev/sandlot/internal/lifecycle"
)

// OpenRunner returns a Runner that is ready, which ends with the test, and an image that it has.
type OpenRunner func(t *testing.T) (r fleet.Runner, image string)

// Runner holds an implementation of fleet.Runner to its contract.
func Runner(t *testing.T, open OpenRunner) {
	for name, promise := range map[string]func(*testing.T, OpenRunner){
		"EveryStepMayBeRepeated":            everyStepMayBeRepeated,
		"FindingsOfAllSandboxesAreNumbered": findingsOfAllSandboxesAreNumbered,
		"WhatWasRemovedIsNotStarted":        whatWasRemovedIsNotStarted,
		"WhatWasRemovedCanBeMadeAgain":      whatWasRemovedCanBeMadeAgain,
		"WhatWasNeverMadeCanBeRemoved":      whatWasNeverMadeCanBeRemoved,
	} {
		t.Run(name, func(t *testing.T) { promise(t, open) })
	}
}

// rig takes steps of one sandbox.
type rig struct {
	t    *testing.T
	r    fleet.Runner
	spec lifecycle.Spec
	seq  *uint64 // the highest so far
}

func newRig(t *testing.T, r fleet.Runner, image string, seq *uint64) rig {
	id := uuid.NewString()
	spec := lifecycle.Spec{
		Identity:  lifecycle.Identity{ID: id, Name: id, Organization: "o", Region: "us", Snapshot: "s"},
		Resources: lifecycle.Resources{CPU: 1, Memory: 1, Disk: 1},
		Image:     image,
	}
	b := rig{t: t, r: r, spec: spec, seq: seq}
	t.Cleanup(b.remove)
	return b
}

// found checks the result of a step.
func (b rig) found(step string, want lifecycle.State, o lifecycle.Observed, err error) {
	b.t.Helper()
	if err != nil || o.ID != b.spec.ID || o.State != want || o.Seq <= *b.seq {
		b.t.Fatalf("%s = %+v, %v; want %s of %s under a number above %d", step, o, err, want, b.spec.ID, *b.seq)
	}
	*b.seq = o.Seq
}

func (b rig) create() {
	b.t.Helper()
	o, err := b.r.Create(b.t.Context(), b.spec)
	b.found("Create", lifecycle.Started, o, err)
	if o.DaemonVersion == "" {
		b.t.Error("Create tells no version of the toolbox")
	}
}

func (b rig) start() {
	b.t.Helper()
	o, err := b.r.Start(b.t.Context(), b.spec.ID)
	b.found("Start", lifecycle.Started, o, err)
}

func (b rig) stop(force bool) {
	b.t.Helper()
	o, err := b.r.Stop(b.t.Context(), b.spec.ID, force)
	b.found("Stop", lifecycle.Stopped, o, err)
}

func (b rig) remove() {
	b.t.Helper()
	if err := b.r.Remove(context.WithoutCancel(b.t.Context()), b.spec.ID); err != nil {
		b.t.Errorf("Remove: %v", err)
	}
}

func everyStepMayBeRepeated(t *testing.T, open OpenRunner) {
	r, image := open(t)
	if err := r.Ready(); err != nil {
		t.Fatal(err)
	}
	b := newRig(t, r, image, new(uint64))
	for _, step := range []func(){
		b.create, b.start, func() { b.stop(true) }, b.start, func() { b.stop(false) }, b.create, b.remove,
	} {
		step()
		step()
	}
}

func findingsOfAllSandboxesAreNumbered(t *testing.T, open OpenRunner) {
	r, image := open(t)
	var seq uint64
	one, other := newRig(t, r, image, &seq), newRig(t, r, image, &seq)
	one.create()
	other.create()
	one.stop(true)
	other.stop(true)
	other.start()
	one.start()
}

func whatWasRemovedIsNotStarted(t *testing.T, open OpenRunner) {
	r, image := open(t)
	b := newRig(t, r, image, new(uint64))
	b.create()
	b.remove()
	if o, err := r.Start(t.Context(), b.spec.ID); err == nil {
		t.Errorf("Start of a removed sandbox = %+v, want an error", o)
	}
}

func whatWasRemovedCanBeMadeAgain(t *testing.T, open OpenRunner) {
	r, image := open(t)
	b := newRig(t, r, image, new(uint64))
	b.create()
	b.remove()
	b.create()
}

func whatWasNeverMadeCanBeRemoved(t *testing.T, open OpenRunner) {
	r, image := open(t)
	newRig(t, r, image, new(uint64)).remove()
}
