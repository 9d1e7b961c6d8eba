package sandbox

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/internal/lifecycle"
)

// make makes the container of a sandbox. It does not run yet.
func (m *Manager) make(ctx context.Context, spec lifecycle.Spec) (c Container, made bool, err error) {
	img, err := m.cfg.Driver.Image(ctx, spec.Image)
	if err != nil {
		return Container{}, false, err
	}
	return m.cfg.Driver.Make(ctx, m.containerSpec(spec, img))
}

// start attaches and starts a container and waits until its toolbox answers.
func (m *Manager) start(ctx context.Context, c Container) (lifecycle.Observed, error) {
	ended, forget := m.expectEnd(c.ID)
	defer forget()
	if err := m.cfg.Driver.Attach(ctx, c); err != nil {
		return lifecycle.Observed{}, err
	}
	c, err := m.cfg.Driver.Start(ctx, c)
	if err != nil {
		return lifecycle.Observed{}, err
	}
	version, err := m.ready(ctx, c, ended)
	if err != nil {
		return lifecycle.Observed{}, m.explain(ctx, c.ID, err)
	}
	o := lifecycle.Observed{ID: c.ID, State: lifecycle.Started, Since: c.Since, DaemonVersion: version}
	return m.found.record(o, c.Addr), nil
}

// ready waits until the toolbox answers or the container has ended.
func (m *Manager) ready(ctx context.Context, c Container, ended <-chan struct{}) (version string, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		version, err = m.cfg.Toolbox.Ready(ctx, m.at(c.ID, c.Addr))
	}()
	for {
		select {
		case <-answered:
			return version, err
		case <-ended:
			if c, err := m.cfg.Driver.Inspect(ctx, c.ID); err == nil && !c.Running || notHere(err) {
				cancel()
			}
		}
	}
}

// expectEnd returns a channel that receives a value when the container may have ended, until forget is called.
func (m *Manager) expectEnd(id string) (ended <-chan struct{}, forget func()) {
	c := make(chan struct{}, 1)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.starting[id] = c
	return c, func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.starting, id)
	}
}

// explain returns why a toolbox did not answer. Usually its container has ended.
func (m *Manager) explain(ctx context.Context, id string, err error) error {
	c, inspectErr := m.cfg.Driver.Inspect(context.WithoutCancel(ctx), id)
	if inspectErr == nil && !c.Running {
		return fault.Newf(fault.Internal, "the sandbox ended while it started: %s", exitReason(c))
	}
	if inspectErr == nil { // this call started it, so it did not start by itself
		m.found.record(lifecycle.Observed{ID: id, State: lifecycle.Started, Since: c.Since}, c.Addr)
	}
	return fmt.Errorf("its toolbox does not answer: %w", err)
}

func exitReason(c Container) string {
	switch {
	case c.OutOfMemory:
		return "it used more memory than it may"
	case c.ExitCode > 128:
		return fmt.Sprintf("its first process was ended by signal %d", c.ExitCode-128)
	}
	return fmt.Sprintf("its first process ended with code %d", c.ExitCode)
}

// notHere reports whether a sandbox has no container on this runner. A container of somebody else under its name is
// none.
func notHere(err error) bool { return errors.Is(err, ErrNotFound) || errors.Is(err, ErrForeign) }

// at returns how the toolbox of a sandbox is reached.
func (m *Manager) at(id string, addr netip.Addr) Address {
	return Address{Addr: addr, Secret: m.secret(id)}
}
