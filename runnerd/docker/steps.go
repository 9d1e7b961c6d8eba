package docker

import (
	"context"
	"errors"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"

	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/runnerd/sandbox"
)

// Image implements sandbox.Driver.
func (e *Engine) Image(ctx context.Context, ref string) (sandbox.Image, error) {
	ctx, cancel := e.patient(ctx, 0)
	defer cancel()
	img, err := e.api.ImageInspect(ctx, ref)
	switch {
	case errdefs.IsNotFound(err):
		return sandbox.Image{}, fault.Newf(fault.Invalid, "image %s is not on this runner; build or load it there first", ref)
	case err != nil:
		return sandbox.Image{}, e.explain(err)
	case img.Config == nil:
		return sandbox.Image{}, nil
	}
	c := img.Config
	return sandbox.Image{Env: c.Env, Entrypoint: c.Entrypoint, Cmd: c.Cmd, Dir: c.WorkingDir}, nil
}

// Make implements sandbox.Driver.
func (e *Engine) Make(ctx context.Context, spec sandbox.ContainerSpec) (c sandbox.Container, made bool, err error) {
	ctx, cancel := e.patient(ctx, 0)
	defer cancel()
	id := spec.Sandbox.ID
	cfg, host := e.containerConfig(spec)
	host.Mounts = append(host.Mounts, e.proc.mounts(ctx)...)
	res, err := e.api.ContainerCreate(ctx, cfg, host, nil, nil, id)
	if errdefs.IsConflict(err) { // the name is taken: by an earlier try, or by somebody else
		c, err = e.Inspect(ctx, id)
		return c, false, err
	}
	if err != nil {
		return sandbox.Container{}, false, e.explain(err)
	}
	return sandbox.Container{ID: id, Ref: res.ID, Attached: true}, true, nil
}

// Start implements sandbox.Driver.
func (e *Engine) Start(ctx context.Context, c sandbox.Container) (sandbox.Container, error) {
	ctx, cancel := e.patient(ctx, 0)
	defer cancel()
	stale := e.proc.refresh(ctx) // reported only if the start fails, which it may have caused
	if err := e.api.ContainerStart(ctx, c.Ref, container.StartOptions{}); err != nil {
		return sandbox.Container{}, errors.Join(e.explain(err), stale)
	}
	full, err := e.api.ContainerInspect(ctx, c.Ref)
	if err != nil {
		return sandbox.Container{}, e.explain(err)
	}
	return e.seen(full, func() (time.Time, error) { return e.began(ctx) })
}

// Stop implements sandbox.Driver.
func (e *Engine) Stop(ctx context.Context, id string, grace time.Duration) error {
	ctx, cancel := e.patient(ctx, grace)
	defer cancel()
	c, err := e.own(ctx, id)
	if err != nil {
		return err
	}
	seconds := int(grace.Round(time.Second) / time.Second)
	if seconds == 0 {
		if err = e.api.ContainerKill(ctx, c.ID, "KILL"); errdefs.IsConflict(err) { // it does not run
			return nil
		}
		if err == nil {
			err = e.wait(ctx, c.ID, container.WaitConditionNotRunning)
		}
	} else {
		err = e.api.ContainerStop(ctx, c.ID, container.StopOptions{Timeout: &seconds})
	}
	return e.explain(err)
}

// wait waits until a container is in a condition.
func (e *Engine) wait(ctx context.Context, ref string, until container.WaitCondition) error {
	reached, failed := e.api.ContainerWait(ctx, ref, until)
	select {
	case <-reached:
		return nil
	case err := <-failed:
		return err
	}
}

// Remove implements sandbox.Driver.
func (e *Engine) Remove(ctx context.Context, id string) error {
	ctx, cancel := e.patient(ctx, 0)
	defer cancel()
	c, err := e.own(ctx, id)
	// A container of somebody else is left alone.
	if errors.Is(err, sandbox.ErrNotFound) || errors.Is(err, sandbox.ErrForeign) {
		return nil
	} else if err != nil {
		return err
	}
	err = e.api.ContainerRemove(ctx, c.ID, container.RemoveOptions{Force: true, RemoveVolumes: true})
	if errdefs.IsConflict(err) { // another call is removing it
		err = e.wait(ctx, c.ID, container.WaitConditionRemoved)
	}
	if errdefs.IsNotFound(err) {
		return nil
	}
	return e.explain(err)
}
