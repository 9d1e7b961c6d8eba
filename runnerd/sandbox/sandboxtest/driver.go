package sandboxtest

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/internal/lifecycle"
	"github.com/sandlot-dev/sandlot/runnerd/sandbox"
)

// Engine is a Driver under test and what its tests need of the engine behind it.
type Engine struct {
	Driver sandbox.Driver
	Image  string // an image that the engine has, with /bin/sleep
	// Stranger makes a container of somebody else under a name, which is removed with the test. is reports whether it is
	// still there.
	Stranger func(t *testing.T, name string) (is func() bool)
}

// Open returns an Engine without containers of its own, which ends with the test.
type Open func(t *testing.T) Engine

// Driver holds an implementation of sandbox.Driver to its contract.
func Driver(t *testing.T, open Open) {
	for name, promise := range map[string]func(rig){
		"EveryStepMayBeRepeated":             everyStepMayBeRepeated,
		"NothingRunsBeforeItsStart":          nothingRunsBeforeItsStart,
		"AStepActsOnThatContainerOnly":       aStepActsOnThatContainerOnly,
		"WhatIsNotThereIsNotFound":           whatIsNotThereIsNotFound,
		"ListHasAllContainers":               listHasAllContainers,
		"ChangesAreWatched":                  changesAreWatched,
		"AContainerOfSomebodyElseIsLeft":     aContainerOfSomebodyElseIsLeft,
		"AnImageThatIsNotThereIsInvalid":     anImageThatIsNotThereIsInvalid,
		"StartsOfManyContainersDoNotCollide": startsOfManyContainersDoNotCollide,
	} {
		t.Run(name, func(t *testing.T) { promise(newRig(t, open)) })
	}
}

// rig is an Engine that is being watched.
type rig struct {
	Engine

	t *testing.T
	w *watch
}

// watch keeps the changes of each sandbox in their order.
type watch struct {
	mu      sync.Mutex
	changes map[string][]bool // by sandbox: ended
	more    chan struct{}     // closed and replaced at every change
}

func (w *watch) changed(id string, ended bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.changes[id] = append(w.changes[id], ended)
	close(w.more)
	w.more = make(chan struct{})
}

// until waits for changes of a sandbox that satisfy ok.
func (w *watch) until(t *testing.T, id string, ok func(changes []bool) bool) {
	t.Helper()
	timeout := time.After(30 * time.Second)
	for {
		w.mu.Lock()
		changes, more := w.changes[id], w.more
		w.mu.Unlock()
		if ok(changes) {
			return
		}
		select {
		case <-more:
		case <-timeout:
			t.Fatalf("changes of %s: %v", id, changes)
		}
	}
}

func newRig(t *testing.T, open Open) rig {
	t.Helper()
	r := rig{open(t), t, &watch{changes: map[string][]bool{}, more: make(chan struct{})}}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- r.Driver.Watch(ctx, func() { close(ready) }, r.w.changed) }()
	select {
	case <-ready:
	case err := <-ended:
		cancel()
		t.Fatalf("Watch: %v", err)
	}
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err == nil {
			t.Error("Watch ended with its context and without an error")
		}
	})
	return r
}

// spec describes a sandbox of a new id, which is removed with the test.
func (r rig) spec() sandbox.ContainerSpec {
	id := uuid.NewString()
	r.t.Cleanup(func() {
		if err := r.Driver.Remove(context.WithoutCancel(r.t.Context()), id); err != nil {
			r.t.Errorf("Remove: %v", err)
		}
	})
	return sandbox.ContainerSpec{
		Sandbox: lifecycle.Spec{
			Identity:  lifecycle.Identity{ID: id, Organization: "o"},
			Resources: lifecycle.Resources{CPU: 1, Memory: 1},
			Image:     r.Image,
		},
		Command: []string{"/bin/sleep", "100000"},
		Env:     map[string]string{"A": "1"},
	}
}

func (r rig) make(spec sandbox.ContainerSpec, wantMade bool) sandbox.Container {
	r.t.Helper()
	c, made, err := r.Driver.Make(r.t.Context(), spec)
	if err != nil || made != wantMade || c.ID != spec.Sandbox.ID || c.Ref == "" {
		r.t.Fatalf("Make = %+v, %v, %v; want a container of %s, made: %v", c, made, err, spec.Sandbox.ID, wantMade)
	}
	return c
}

func (r rig) attach(c sandbox.Container) {
	r.t.Helper()
	if err := r.Driver.Attach(r.t.Context(), c); err != nil {
		r.t.Fatalf("Attach: %v", err)
	}
}

func (r rig) start(c sandbox.Container) sandbox.Container {
	r.t.Helper()
	s, err := r.Driver.Start(r.t.Context(), c)
	if err != nil || s.ID != c.ID || s.Ref != c.Ref || !s.Running || !s.Started || !s.Attached || !s.Addr.IsValid() ||
		s.Since.IsZero() {
		r.t.Fatalf("Start = %+v, %v; want %s to run and to have an address", s, err, c.Ref)
	}
	return s
}

func (r rig) stop(id string, grace time.Duration) {
	r.t.Helper()
	if err := r.Driver.Stop(r.t.Context(), id, grace); err != nil {
		r.t.Fatalf("Stop: %v", err)
	}
	if c := r.inspect(id); c.Running || !c.Started || c.Addr.IsValid() || c.WithHost {
		r.t.Errorf("after its stop: %+v", c)
	}
}

func (r rig) remove(id string) {
	r.t.Helper()
	if err := r.Driver.Remove(r.t.Context(), id); err != nil {
		r.t.Fatalf("Remove: %v", err)
	}
}

func (r rig) inspect(id string) sandbox.Container {
	r.t.Helper()
	c, err := r.Driver.Inspect(r.t.Context(), id)
	if err != nil || c.ID != id {
		r.t.Fatalf("Inspect = %+v, %v; want the container of %s", c, err, id)
	}
	return c
}

func everyStepMayBeRepeated(r rig) {
	spec := r.spec()
	id := spec.Sandbox.ID
	c := r.make(spec, true)
	if again := r.make(spec, false); again.Ref != c.Ref || again.Running {
		r.t.Errorf("the second Make = %+v; want %+v", again, c)
	}
	for range 2 {
		r.attach(c)
	}
	first := r.start(c)
	if second := r.start(c); second != first {
		r.t.Errorf("the second Start = %+v; want %+v", second, first)
	}
	if again := r.make(spec, false); again != first {
		r.t.Errorf("Make of a container that runs = %+v; want %+v", again, first)
	}
	r.attach(first)
	for _, grace := range []time.Duration{0, 0, time.Second} {
		r.stop(id, grace)
	}
	r.attach(r.inspect(id))
	r.start(r.inspect(id))
	for range 2 {
		r.stop(id, time.Second)
	}
	for range 2 {
		r.remove(id)
	}
}

func nothingRunsBeforeItsStart(r rig) {
	spec := r.spec()
	r.attach(r.make(spec, true))
	c := r.inspect(spec.Sandbox.ID)
	if c.Running || c.Started || c.Addr.IsValid() || !c.Since.IsZero() || !c.Attached {
		r.t.Errorf("attached and not started: %+v", c)
	}
}

// aStepActsOnThatContainerOnly has a container removed, and another one made for the same sandbox.
func aStepActsOnThatContainerOnly(r rig) {
	spec := r.spec()
	old := r.make(spec, true)
	r.remove(spec.Sandbox.ID)
	if c := r.make(spec, true); c.Ref == old.Ref {
		r.t.Errorf("two containers have the id %s", c.Ref)
	}
	if c, err := r.Driver.Start(r.t.Context(), old); !errors.Is(err, sandbox.ErrNotFound) {
		r.t.Errorf("Start of the removed container = %+v, %v; want ErrNotFound", c, err)
	}
	old.Attached = false
	if err := r.Driver.Attach(r.t.Context(), old); !errors.Is(err, sandbox.ErrNotFound) {
		r.t.Errorf("Attach of the removed container: %v; want ErrNotFound", err)
	}
	if c := r.inspect(spec.Sandbox.ID); c.Running {
		r.t.Error("the new container was started in place of the old one")
	}
}

func whatIsNotThereIsNotFound(r rig) {
	id := r.spec().Sandbox.ID
	if c, err := r.Driver.Inspect(r.t.Context(), id); !errors.Is(err, sandbox.ErrNotFound) {
		r.t.Errorf("Inspect = %+v, %v; want ErrNotFound", c, err)
	}
	for _, grace := range []time.Duration{0, time.Second} {
		if err := r.Driver.Stop(r.t.Context(), id, grace); !errors.Is(err, sandbox.ErrNotFound) {
			r.t.Errorf("Stop: %v; want ErrNotFound", err)
		}
	}
	r.remove(id)
}

func listHasAllContainers(r rig) {
	ids := map[string]sandbox.Container{}
	for i := range 3 {
		spec := r.spec()
		c := r.make(spec, true)
		if i > 0 {
			r.attach(c)
			c = r.start(c)
		}
		if i > 1 {
			r.stop(c.ID, 0)
			c = r.inspect(c.ID)
		}
		ids[c.ID] = c
	}
	list, err := r.Driver.List(r.t.Context())
	if err != nil || len(list) != len(ids) {
		r.t.Fatalf("List = %+v, %v; want %d", list, err, len(ids))
	}
	for _, c := range list {
		want := ids[c.ID]
		if c.Ref != want.Ref || c.Running != want.Running || c.Started != want.Started || c.Addr != want.Addr ||
			c.ExitCode != want.ExitCode {
			r.t.Errorf("List has %+v; want %+v", c, want)
		}
	}
	if free, err := r.Driver.FreeSpace(r.t.Context()); err != nil || free == 0 {
		r.t.Errorf("FreeSpace = %d, %v", free, err)
	}
}

func changesAreWatched(r rig) {
	spec := r.spec()
	id := spec.Sandbox.ID
	started, ended := false, true
	last := func(want bool, after int) func([]bool) bool {
		return func(changes []bool) bool { return len(changes) > after && changes[len(changes)-1] == want }
	}
	c := r.make(spec, true)
	r.attach(c)
	r.start(c)
	r.w.until(r.t, id, last(started, 0))
	r.stop(id, 0)
	r.w.until(r.t, id, last(ended, 1))
	r.start(r.inspect(id))
	r.w.until(r.t, id, last(started, 2))
	r.remove(id)
	r.w.until(r.t, id, last(ended, 3))
}

func aContainerOfSomebodyElseIsLeft(r rig) {
	spec := r.spec()
	id := spec.Sandbox.ID
	is := r.Stranger(r.t, id)
	if c, made, err := r.Driver.Make(r.t.Context(), spec); !errors.Is(err, sandbox.ErrForeign) || made {
		r.t.Errorf("Make = %+v, %v, %v; want ErrForeign", c, made, err)
	}
	if c, err := r.Driver.Inspect(r.t.Context(), id); !errors.Is(err, sandbox.ErrForeign) {
		r.t.Errorf("Inspect = %+v, %v; want ErrForeign", c, err)
	}
	if err := r.Driver.Stop(r.t.Context(), id, 0); !errors.Is(err, sandbox.ErrForeign) {
		r.t.Errorf("Stop: %v; want ErrForeign", err)
	}
	r.remove(id)
	if list, err := r.Driver.List(r.t.Context()); err != nil || len(list) != 0 {
		r.t.Errorf("List = %+v, %v; want none", list, err)
	}
	if !is() {
		r.t.Error("it is gone")
	}
}

func anImageThatIsNotThereIsInvalid(r rig) {
	if _, err := r.Driver.Image(r.t.Context(), r.Image); err != nil {
		r.t.Errorf("Image: %v", err)
	}
	const none = "sandlot-test/none:none"
	if img, err := r.Driver.Image(r.t.Context(), none); fault.KindOf(err) != fault.Invalid {
		r.t.Errorf("Image = %+v, %v; want fault.Invalid", img, err)
	}
}

func startsOfManyContainersDoNotCollide(r rig) {
	const many = 4
	specs := make([]sandbox.ContainerSpec, many)
	for i := range specs {
		specs[i] = r.spec()
	}
	found := make([]sandbox.Container, many)
	var all sync.WaitGroup
	for i, spec := range specs {
		all.Go(func() {
			c, _, err := r.Driver.Make(r.t.Context(), spec)
			err = errors.Join(err, r.Driver.Attach(r.t.Context(), c))
			if err == nil {
				found[i], err = r.Driver.Start(r.t.Context(), c)
			}
			if err != nil {
				r.t.Errorf("%s: %v", spec.Sandbox.ID, err)
			}
		})
	}
	all.Wait()
	addrs := map[string]bool{}
	for _, c := range found {
		addrs[c.Addr.String()] = true
	}
	if len(addrs) != many {
		r.t.Errorf("%d containers have the addresses %v", many, addrs)
	}
}
