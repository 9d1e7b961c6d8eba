package docker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/client"

	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/internal/lifecycle"
	"github.com/sandlot-dev/sandlot/runnerd/sandbox"
)

var _ sandbox.Driver = (*Engine)(nil)

// Profiles of isolation.
const (
	ProfileHardened = "hardened" // few capabilities, no new privileges: sudo does not work
	ProfileCompat   = "compat"   // the engine's own capabilities; sudo works
)

// Config is what an Engine needs. Instance, Inject and SecretHash are required.
type Config struct {
	Host       string                 // address of the engine; "" takes DOCKER_HOST or the usual socket
	Instance   string                 // label value that separates installations on one engine
	Network    string                 // name of our bridge; "" means "sandlot"
	Inject     string                 // folder on the engine's host with toolboxd and OnlineFolder, never changed
	CA         bool                   // Inject has ca-certificates.crt too
	Env        map[string]string      // variables that every sandbox gets
	Profile    string                 // ProfileHardened or ProfileCompat; "" means hardened
	Runtime    string                 // OCI runtime, such as runsc; "" takes the engine's default
	PidsLimit  int64                  // processes and threads of one sandbox; 0 means 1024
	SecretHash func(id string) string // hash of the secret of a sandbox's toolbox
}

// Engine drives one Docker engine. It is safe for concurrent use.
type Engine struct {
	cfg  Config
	api  *client.Client
	root atomic.Pointer[string] // where the engine keeps its data; nil until it was asked
}

// New checks cfg and returns an Engine. It does not connect.
func New(cfg Config) (*Engine, error) {
	if cfg.Instance == "" || cfg.Inject == "" || cfg.SecretHash == nil {
		return nil, fault.New(fault.Invalid, "docker: Instance, Inject and SecretHash are required")
	}
	if cfg.Network == "" {
		cfg.Network = "sandlot"
	}
	if cfg.PidsLimit == 0 {
		cfg.PidsLimit = 1024
	}
	api, err := NewClient(cfg.Host)
	if err != nil {
		return nil, err
	}
	return &Engine{cfg: cfg, api: api}, nil
}

// NewClient returns a client of the engine at host; "" takes DOCKER_HOST or the usual socket.
func NewClient(host string) (*client.Client, error) {
	opts := []client.Opt{client.FromEnv, client.WithAPIVersionNegotiation()}
	if host != "" {
		opts = append(opts, client.WithHost(host))
	}
	api, err := client.NewClientWithOpts(opts...)
	if err != nil {
		return nil, fault.Newf(fault.Invalid, "engine address %q: %w", host, err)
	}
	return api, nil
}

// Close gives up the connections to the engine.
func (e *Engine) Close() error { return e.api.Close() }

// Create implements sandbox.Driver.
func (e *Engine) Create(ctx context.Context, spec lifecycle.Spec) error {
	img, err := e.api.ImageInspect(ctx, spec.Image)
	if errdefs.IsNotFound(err) {
		return fault.Newf(fault.Invalid, "image %s is not on this runner; build or load it there first", spec.Image)
	} else if err != nil {
		return e.explain(err)
	}
	cfg, host, net := e.containerConfig(spec, img)
	_, err = e.api.ContainerCreate(ctx, cfg, host, net, nil, spec.ID)
	if errdefs.IsConflict(err) { // the name is an id that nobody else has: an earlier try made it
		_, err = e.Inspect(ctx, spec.ID)
		return err
	}
	return e.explain(err)
}

// Start implements sandbox.Driver.
func (e *Engine) Start(ctx context.Context, id string) (sandbox.Container, error) {
	if err := e.api.ContainerStart(ctx, id, container.StartOptions{}); err != nil {
		return sandbox.Container{}, e.explain(err)
	}
	return e.Inspect(ctx, id)
}

// Stop implements sandbox.Driver.
func (e *Engine) Stop(ctx context.Context, id string, grace time.Duration) error {
	seconds := int(grace.Round(time.Second) / time.Second)
	var err error
	if seconds == 0 {
		if err = e.api.ContainerKill(ctx, id, "KILL"); errdefs.IsConflict(err) { // it does not run
			return nil
		}
		if err == nil {
			err = e.waitEnd(ctx, id)
		}
	} else {
		err = e.api.ContainerStop(ctx, id, container.StopOptions{Timeout: &seconds})
	}
	return e.explain(err)
}

func (e *Engine) waitEnd(ctx context.Context, id string) error {
	ended, failed := e.api.ContainerWait(ctx, id, container.WaitConditionNotRunning)
	select {
	case <-ended:
		return nil
	case err := <-failed:
		return err
	}
}

// Remove implements sandbox.Driver.
func (e *Engine) Remove(ctx context.Context, id string) error {
	err := e.api.ContainerRemove(ctx, id, container.RemoveOptions{Force: true, RemoveVolumes: true})
	switch {
	case errdefs.IsNotFound(err):
		return nil
	case errdefs.IsConflict(err): // another call is removing it: wait for that one
		gone, failed := e.api.ContainerWait(ctx, id, container.WaitConditionRemoved)
		select {
		case <-gone:
			return nil
		case err = <-failed:
			if errdefs.IsNotFound(err) {
				return nil
			}
		}
	}
	return e.explain(err)
}

// Inspect implements sandbox.Driver.
func (e *Engine) Inspect(ctx context.Context, id string) (sandbox.Container, error) {
	c, err := e.api.ContainerInspect(ctx, id)
	if err != nil {
		return sandbox.Container{}, e.explain(err)
	}
	if c.Config.Labels[labelInstance] != e.cfg.Instance {
		return sandbox.Container{}, fmt.Errorf("container %s belongs to another installation: %w", id, sandbox.ErrNotFound)
	}
	seen := sandbox.Container{
		ID: c.Config.Labels[labelSandbox], Running: c.State.Running, ExitCode: c.State.ExitCode, OutOfMemory: c.State.OOMKilled,
		Started: c.State.StartedAt != "" && !strings.HasPrefix(c.State.StartedAt, "0001"),
	}
	for _, n := range c.NetworkSettings.Networks {
		if addr, err := netip.ParseAddr(n.IPAddress); err == nil {
			seen.Addr = addr
		}
	}
	return seen, nil
}

// List implements sandbox.Driver.
func (e *Engine) List(ctx context.Context) ([]sandbox.Container, error) {
	list, err := e.api.ContainerList(ctx, container.ListOptions{All: true, Filters: e.ours()})
	if err != nil {
		return nil, e.explain(err)
	}
	var all []sandbox.Container
	for _, c := range list {
		id := c.Labels[labelSandbox]
		if c.State == "running" {
			seen := sandbox.Container{ID: id, Running: true, Started: true}
			for _, n := range c.NetworkSettings.Networks {
				if addr, err := netip.ParseAddr(n.IPAddress); err == nil {
					seen.Addr = addr
				}
			}
			all = append(all, seen)
			continue
		}
		seen, err := e.Inspect(ctx, id) // for how it ended
		if errors.Is(err, sandbox.ErrNotFound) {
			continue
		} else if err != nil {
			return nil, err
		}
		all = append(all, seen)
	}
	return all, nil
}

// Watch implements sandbox.Driver.
func (e *Engine) Watch(ctx context.Context, ready func(), changed func(id string)) error {
	if err := e.prepare(ctx); err != nil {
		return err
	}
	f := e.ours()
	f.Add("type", string(events.ContainerEventType))
	for _, action := range []events.Action{events.ActionStart, events.ActionDie, events.ActionDestroy} {
		f.Add("event", string(action))
	}
	// The engine answers the request only with the first event, so its coming to be is not waited for; what happens until it is
	// there is replayed, by time.
	since := time.Now()
	type stream struct {
		messages <-chan events.Message
		failed   <-chan error
	}
	opened := make(chan stream, 1)
	go func() { // ends with ctx, at the latest
		messages, failed := e.api.Events(ctx, events.ListOptions{Filters: f, Since: fmt.Sprintf("%d.%09d", since.Unix(), since.Nanosecond())})
		opened <- stream{messages, failed}
	}()
	ready()
	s := <-opened
	for {
		select {
		case m := <-s.messages:
			changed(m.Actor.Attributes[labelSandbox])
		case err := <-s.failed:
			return e.explain(err)
		}
	}
}

// prepare learns what the engine can and makes our bridge if it is missing.
func (e *Engine) prepare(ctx context.Context) error {
	info, err := e.api.Info(ctx)
	if err != nil {
		return e.explain(err)
	}
	e.root.Store(&info.DockerRootDir)
	if e.cfg.Network == "bridge" || e.cfg.Network == "none" || e.cfg.Network == "host" {
		return nil
	}
	_, err = e.api.NetworkInspect(ctx, e.cfg.Network, network.InspectOptions{})
	if !errdefs.IsNotFound(err) {
		return e.explain(err)
	}
	_, err = e.api.NetworkCreate(ctx, e.cfg.Network, network.CreateOptions{
		Driver:  "bridge",
		Labels:  map[string]string{labelManaged: "true"},
		Options: map[string]string{"com.docker.network.bridge.enable_icc": "false"},
	})
	if errdefs.IsConflict(err) {
		return nil
	}
	return e.explain(err)
}

// Room implements sandbox.Driver. It is right where the engine's data is on this host, as runners require.
func (e *Engine) Room(context.Context) (uint64, error) {
	root := e.root.Load()
	if root == nil {
		return 0, sandbox.ErrEngineDown
	}
	var fs syscall.Statfs_t
	if err := syscall.Statfs(*root, &fs); err != nil {
		return 0, fmt.Errorf("free space of %s: %w", *root, err)
	}
	return fs.Bavail * uint64(fs.Bsize), nil
}

func (e *Engine) ours() filters.Args {
	return filters.NewArgs(filters.Arg("label", labelManaged+"=true"), filters.Arg("label", labelInstance+"="+e.cfg.Instance))
}

// explain gives an error of the engine its kind.
func (e *Engine) explain(err error) error {
	switch {
	case err == nil:
		return nil
	case client.IsErrConnectionFailed(err), errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ECONNRESET),
		errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("engine at %s: %w (%v)", e.api.DaemonHost(), sandbox.ErrEngineDown, err) //nolint:errorlint // for reading only
	case strings.Contains(err.Error(), "no space left on device"), strings.Contains(err.Error(), "disk quota exceeded"):
		return fault.Codef(fault.Full, "RUNNER_DISK_FULL", "the runner's disk is full; remove sandboxes or images there: %w", err)
	case errdefs.IsNotFound(err) && strings.Contains(err.Error(), "No such container"):
		return fmt.Errorf("%w (%v)", sandbox.ErrNotFound, err) //nolint:errorlint // for reading only
	case strings.Contains(err.Error(), "unable to find user"), strings.Contains(err.Error(), "no matching entries in passwd"):
		return fault.Newf(fault.Invalid, "the image has no such user: %w", err)
	}
	return fault.Newf(fault.Internal, "container engine: %w", err)
}
