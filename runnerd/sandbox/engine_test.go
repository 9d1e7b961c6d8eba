package sandbox_test

import (
	"context"
	"net/netip"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/internal/lifecycle"
	"github.com/sandlot-dev/sandlot/runnerd/sandbox"
	"github.com/sandlot-dev/sandlot/runnerd/sandbox/sandboxtest"
)

// TestEngine holds the Driver of these tests to the contract of all Drivers.
func TestEngine(t *testing.T) {
	sandboxtest.Driver(t, func(*testing.T) sandboxtest.Engine {
		e := newEngine()
		return sandboxtest.Engine{Driver: e, Image: "image", Stranger: e.stranger}
	})
}

// engine is a Driver on a map.
type engine struct {
	mu      sync.Mutex
	has     map[string]*box
	foreign map[string]bool
	images  map[string]sandbox.Image
	down    bool
	free    uint64
	refuse  error // of the next start
	lost    chan struct{}
	watcher func(id string, ended bool)
	refs    int
	addrs   byte
}

// box is a container of an engine.
type box struct {
	sandbox.Container

	spec sandbox.ContainerSpec
}

func newEngine() *engine {
	return &engine{
		has: map[string]*box{}, foreign: map[string]bool{}, images: map[string]sandbox.Image{"image": {}},
		free: 1 << 40, lost: make(chan struct{}),
	}
}

func (e *engine) stranger(_ *testing.T, name string) (is func() bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.foreign[name] = true
	return func() bool {
		e.mu.Lock()
		defer e.mu.Unlock()
		return e.foreign[name]
	}
}

func (e *engine) do(f func() error) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.down {
		return sandbox.ErrEngineDown
	}
	return f()
}

// find calls f with the container of a sandbox.
func (e *engine) find(id string, f func(*box) error) error {
	return e.do(func() error {
		switch b := e.has[id]; {
		case e.foreign[id]:
			return sandbox.ErrForeign
		case b == nil:
			return sandbox.ErrNotFound
		default:
			return f(b)
		}
	})
}

// changed tells the watcher.
func (e *engine) changed(id string, ended bool) {
	e.mu.Lock()
	watcher := e.watcher
	e.mu.Unlock()
	if watcher != nil {
		watcher(id, ended)
	}
}

func (e *engine) Image(_ context.Context, ref string) (img sandbox.Image, err error) {
	err = e.do(func() error {
		found, ok := e.images[ref]
		if !ok {
			return fault.New(fault.Invalid, "no such image")
		}
		img = found
		return nil
	})
	return img, err
}

func (e *engine) Make(_ context.Context, spec sandbox.ContainerSpec) (c sandbox.Container, made bool, err error) {
	id := spec.Sandbox.ID
	err = e.do(func() error {
		if e.foreign[id] {
			return sandbox.ErrForeign
		}
		if e.has[id] == nil {
			e.refs++
			e.has[id] = &box{sandbox.Container{ID: id, Ref: strconv.Itoa(e.refs)}, spec}
			made = true
		}
		c = e.has[id].Container
		return nil
	})
	return c, made, err
}

func (e *engine) Attach(_ context.Context, c sandbox.Container) error {
	return e.find(c.ID, func(b *box) error {
		if b.Ref != c.Ref {
			return sandbox.ErrNotFound
		}
		b.Attached = true
		return nil
	})
}

func (e *engine) Start(_ context.Context, c sandbox.Container) (started sandbox.Container, err error) {
	changed := false
	err = e.find(c.ID, func(b *box) error {
		switch {
		case e.refuse != nil:
			refused := e.refuse
			e.refuse = nil
			return refused
		case b.Ref != c.Ref:
			return sandbox.ErrNotFound
		case !b.Attached:
			return fault.New(fault.Internal, "it was started before it was attached")
		}
		if !b.Running {
			e.addrs++
			b.Addr = netip.AddrFrom4([4]byte{10, 0, 0, e.addrs})
			b.Running, b.Started, b.Since, b.ExitCode = true, true, time.Now(), 0
			changed = true
		}
		started = b.Container
		return nil
	})
	if changed {
		e.changed(c.ID, false)
	}
	return started, err
}

func (e *engine) Stop(_ context.Context, id string, _ time.Duration) error {
	changed := false
	err := e.find(id, func(b *box) error {
		changed = b.Running
		b.Running, b.Addr = false, netip.Addr{}
		return nil
	})
	if changed {
		e.changed(id, true)
	}
	return err
}

func (e *engine) Remove(_ context.Context, id string) error {
	changed := false
	err := e.do(func() error {
		changed = e.has[id] != nil
		delete(e.has, id)
		return nil
	})
	if changed {
		e.changed(id, true)
	}
	return err
}

func (e *engine) Inspect(_ context.Context, id string) (c sandbox.Container, err error) {
	err = e.find(id, func(b *box) error {
		c = b.Container
		return nil
	})
	return c, err
}

func (e *engine) List(context.Context) (all []sandbox.Container, err error) {
	err = e.do(func() error {
		for _, b := range e.has {
			all = append(all, b.Container)
		}
		return nil
	})
	return all, err
}

func (e *engine) Watch(ctx context.Context, ready func(), changed func(id string, ended bool)) error {
	e.mu.Lock()
	down, lost := e.down, e.lost
	e.watcher = changed
	e.mu.Unlock()
	if down {
		return sandbox.ErrEngineDown
	}
	ready()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-lost:
		return sandbox.ErrEngineDown
	}
}

func (e *engine) FreeSpace(context.Context) (uint64, error) { return e.free, nil }

// crash takes the engine away; its containers end.
func (e *engine) crash() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.down = true
	for _, b := range e.has {
		b.Running, b.ExitCode, b.Addr, b.WithHost = false, 137, netip.Addr{}, true
	}
	close(e.lost)
	e.lost = make(chan struct{})
}

func (e *engine) back() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.down = false
}

// end ends a container as the kernel would.
func (e *engine) end(id string, how func(*sandbox.Container)) {
	e.mu.Lock()
	b := e.has[id]
	b.Running, b.Addr = false, netip.Addr{}
	how(&b.Container)
	e.mu.Unlock()
	e.changed(id, true)
}

// made makes a container as an earlier process of the runner would have.
func (e *engine) made(t *testing.T, id string) {
	t.Helper()
	spec := sandbox.ContainerSpec{Sandbox: lifecycle.Spec{Identity: lifecycle.Identity{ID: id}}}
	if _, _, err := e.Make(t.Context(), spec); err != nil {
		t.Fatal(err)
	}
}
