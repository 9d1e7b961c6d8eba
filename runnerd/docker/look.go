package docker

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"

	"github.com/sandlot-dev/sandlot/runnerd/sandbox"
)

// ours selects the containers of this instance.
func (e *Engine) ours() filters.Args {
	return filters.NewArgs(filters.Arg("label", labelManaged+"=true"),
		filters.Arg("label", labelInstance+"="+e.cfg.Instance))
}

// own finds the container of a sandbox by its name. Every act on it then goes by the container's own id. ErrNotFound;
// ErrForeign if a container without our labels has the name.
func (e *Engine) own(ctx context.Context, id string) (container.InspectResponse, error) {
	c, err := e.api.ContainerInspect(ctx, id)
	switch {
	case err != nil:
		return c, e.explain(err)
	case !e.labelled(c.Config.Labels) || c.Config.Labels[labelSandbox] != id:
		return c, fmt.Errorf("container %s: %w", id, sandbox.ErrForeign)
	}
	return c, nil
}

// labelled reports whether labels are those of a container of this instance.
func (e *Engine) labelled(labels map[string]string) bool {
	return labels[labelManaged] == "true" && labels[labelInstance] == e.cfg.Instance
}

// Inspect implements sandbox.Driver.
func (e *Engine) Inspect(ctx context.Context, id string) (sandbox.Container, error) {
	ctx, cancel := e.patient(ctx, 0)
	defer cancel()
	c, err := e.own(ctx, id)
	if err != nil {
		return sandbox.Container{}, err
	}
	return e.seen(c, func() (time.Time, error) { return e.began(ctx) })
}

// seen converts an inspection. began returns when the engine was started.
func (e *Engine) seen(c container.InspectResponse, began func() (time.Time, error)) (sandbox.Container, error) {
	s := sandbox.Container{
		ID: c.Config.Labels[labelSandbox], Ref: c.ID, Running: c.State.Running, ExitCode: c.State.ExitCode,
		OutOfMemory: c.State.OOMKilled,
	}
	s.Addr, s.Attached = e.place(c.NetworkSettings.Networks)
	if !s.Running {
		s.Addr = netip.Addr{}
	}
	started, ended := engineTime(c.State.StartedAt), engineTime(c.State.FinishedAt)
	s.Started = !started.IsZero()
	if s.Since = started; !s.Running {
		s.Since = ended
	}
	if !s.Running && s.Started && !s.OutOfMemory && slices.Contains(endsWithHost, s.ExitCode) {
		at, err := began()
		if err != nil {
			return sandbox.Container{}, err
		}
		s.WithHost = ended.Before(at)
	}
	return s, nil
}

// endsWithHost are the exit codes that the engine gives to containers that ended with it: 137 if the engine killed it
// when it came back, 255 if it was gone by then. (Docker 20.10 and 28.)
var endsWithHost = []int{137, 255}

// began returns when the engine was started. The engine makes its network "bridge" anew at each start, after it has
// cleaned up the containers that its last process left. Zero where the engine has no such network.
func (e *Engine) began(ctx context.Context) (time.Time, error) {
	n, err := e.api.NetworkInspect(ctx, "bridge", network.InspectOptions{})
	if errdefs.IsNotFound(err) {
		return time.Time{}, nil
	}
	return n.Created, e.explain(err)
}

// engineTime reads a time of the engine, which writes the year 1 for none.
func engineTime(text string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil || t.Year() < 2000 {
		return time.Time{}
	}
	return t
}

// List implements sandbox.Driver.
func (e *Engine) List(ctx context.Context) ([]sandbox.Container, error) {
	ctx, cancel := e.patient(ctx, 0)
	defer cancel()
	list, err := e.api.ContainerList(ctx, container.ListOptions{All: true, Filters: e.ours()})
	if err != nil {
		return nil, e.explain(err)
	}
	began := sync.OnceValues(func() (time.Time, error) { return e.began(ctx) })
	var all []sandbox.Container
	for _, c := range list {
		if c.State == "running" {
			seen := sandbox.Container{ID: c.Labels[labelSandbox], Ref: c.ID, Running: true, Started: true}
			seen.Addr, seen.Attached = e.place(c.NetworkSettings.Networks)
			all = append(all, seen)
			continue
		}
		full, err := e.api.ContainerInspect(ctx, c.ID) // for how it ended
		if errdefs.IsNotFound(err) {
			continue
		} else if err != nil {
			return nil, e.explain(err)
		}
		seen, err := e.seen(full, began)
		if err != nil {
			return nil, err
		}
		all = append(all, seen)
	}
	return all, nil
}

// Watch implements sandbox.Driver.
func (e *Engine) Watch(ctx context.Context, ready func(), changed func(id string, ended bool)) error {
	if err := e.prepare(ctx); err != nil {
		return err
	}
	f := e.ours()
	f.Add("type", string(events.ContainerEventType))
	for _, action := range []events.Action{events.ActionStart, events.ActionDie, events.ActionDestroy} {
		f.Add("event", string(action))
	}
	// The engine answers this request only with the first event, so Watch does not wait for the answer. Since replays what
	// happens before the stream is there. It also replays the time before the call, because a list shows a container as
	// running while the engine still cleans up behind it, after the event of its end.
	since := time.Now().Add(-replay)
	type stream struct {
		messages <-chan events.Message
		failed   <-chan error
	}
	opened := make(chan stream, 1)
	go func() { // ends with ctx at the latest
		messages, failed := e.api.Events(ctx, events.ListOptions{
			Filters: f, Since: fmt.Sprintf("%d.%09d", since.Unix(), since.Nanosecond()),
		})
		opened <- stream{messages, failed}
	}()
	ready()
	s := <-opened
	for {
		select {
		case m := <-s.messages:
			changed(m.Actor.Attributes[labelSandbox], m.Action != events.ActionStart)
		case err := <-s.failed:
			return e.explain(err)
		}
	}
}

// replay is longer than an engine takes to clean up behind a container.
const replay = 30 * time.Second
