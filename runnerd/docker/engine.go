package docker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"
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
	Proc       string                 // folder on the engine's host for links to what sandboxes see in /proc, by way of lxcfs; "" leaves that as it is
	Env        map[string]string      // variables that every sandbox gets
	Profile    string                 // ProfileHardened or ProfileCompat; "" means hardened
	Runtime    string                 // OCI runtime, such as runsc; "" takes the engine's default
	PidsLimit  int64                  // processes and threads of one sandbox; 0 means 1024
	Patience   time.Duration          // in which the engine must answer a call, beside what the call has it wait for; 0 means 60 s
	SecretHash func(id string) string // hash of the secret of a sandbox's toolbox
}

// Engine drives one Docker engine. It is safe for concurrent use.
type Engine struct {
	cfg  Config
	api  *client.Client
	root atomic.Pointer[string] // where the engine keeps its data; nil until it was asked
	proc procView
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
	if cfg.Patience == 0 {
		cfg.Patience = time.Minute
	}
	api, err := NewClient(cfg.Host)
	if err != nil {
		return nil, err
	}
	e := &Engine{cfg: cfg, api: api, proc: procView{lxcfs: lxcfsFolder}}
	if slices.Contains(sharing, cfg.Runtime) {
		e.proc.links = cfg.Proc
	}
	return e, nil
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

// patient bounds one call of the engine that has it wait for something itself.
func (e *Engine) patient(ctx context.Context, wait time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, wait+e.cfg.Patience)
}

// Create implements sandbox.Driver.
func (e *Engine) Create(ctx context.Context, spec lifecycle.Spec) (made bool, err error) {
	ctx, cancel := e.patient(ctx, 0)
	defer cancel()
	img, err := e.api.ImageInspect(ctx, spec.Image)
	if errdefs.IsNotFound(err) {
		return false, fault.Newf(fault.Invalid, "image %s is not on this runner; build or load it there first", spec.Image)
	} else if err != nil {
		return false, e.explain(err)
	}
	cfg, host, net := e.containerConfig(spec, img)
	host.Mounts = append(host.Mounts, e.proc.mounts(ctx)...)
	_, err = e.api.ContainerCreate(ctx, cfg, host, net, nil, spec.ID)
	if errdefs.IsConflict(err) { // the name is taken: by an earlier try, or by a stranger
		_, err = e.own(ctx, spec.ID)
		return false, err
	}
	return err == nil, e.explain(err)
}

// own finds the container of a sandbox. Whatever is done to it is done by its own id, which no other container ever has, and not by its
// name. ErrNotFound, and ErrForeign where the name is that of a container without our labels.
func (e *Engine) own(ctx context.Context, id string) (container.InspectResponse, error) {
	ctx, cancel := e.patient(ctx, 0)
	defer cancel()
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

// Start implements sandbox.Driver.
func (e *Engine) Start(ctx context.Context, id string) (sandbox.Container, error) {
	ctx, cancel := e.patient(ctx, 0)
	defer cancel()
	c, err := e.own(ctx, id)
	if err != nil {
		return sandbox.Container{}, err
	}
	stale := e.proc.refresh(ctx) // matters if the start fails for it
	if err := e.api.ContainerStart(ctx, c.ID, container.StartOptions{}); err != nil {
		return sandbox.Container{}, errors.Join(e.explain(err), stale)
	}
	return e.Inspect(ctx, id)
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
			err = e.waitEnd(ctx, c.ID)
		}
	} else {
		err = e.api.ContainerStop(ctx, c.ID, container.StopOptions{Timeout: &seconds})
	}
	return e.explain(err)
}

func (e *Engine) waitEnd(ctx context.Context, containerID string) error {
	ended, failed := e.api.ContainerWait(ctx, containerID, container.WaitConditionNotRunning)
	select {
	case <-ended:
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
	if errors.Is(err, sandbox.ErrNotFound) || errors.Is(err, sandbox.ErrForeign) { // a stranger's is none of ours
		return nil
	} else if err != nil {
		return err
	}
	err = e.api.ContainerRemove(ctx, c.ID, container.RemoveOptions{Force: true, RemoveVolumes: true})
	switch {
	case errdefs.IsNotFound(err):
		return nil
	case errdefs.IsConflict(err): // another call is removing it: wait for that one
		gone, failed := e.api.ContainerWait(ctx, c.ID, container.WaitConditionRemoved)
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

// Inspect implements sandbox.Driver. For a Manager a stranger's container is none.
func (e *Engine) Inspect(ctx context.Context, id string) (sandbox.Container, error) {
	c, err := e.own(ctx, id)
	if errors.Is(err, sandbox.ErrForeign) {
		return sandbox.Container{}, fmt.Errorf("%w (%v)", sandbox.ErrNotFound, err) //nolint:errorlint // for reading only
	} else if err != nil {
		return sandbox.Container{}, err
	}
	return e.seen(c, func() (time.Time, error) { return e.began(ctx) })
}

// seen is what an inspect says. began is when the engine was started.
func (e *Engine) seen(c container.InspectResponse, began func() (time.Time, error)) (sandbox.Container, error) {
	s := sandbox.Container{
		ID: c.Config.Labels[labelSandbox], Running: c.State.Running, ExitCode: c.State.ExitCode, OutOfMemory: c.State.OOMKilled,
	}
	started, ended := engineTime(c.State.StartedAt), engineTime(c.State.FinishedAt)
	s.Started = !started.IsZero()
	if s.Since = started; !s.Running {
		s.Since = ended
	}
	for _, n := range c.NetworkSettings.Networks {
		if addr, err := netip.ParseAddr(n.IPAddress); err == nil {
			s.Addr = addr
		}
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

// endsWithHost are the exit codes that the engine gives to what did not end before it: 137 what it killed when it came back, 255 what was gone
// then. (Docker 20.10 and 28.)
var endsWithHost = []int{137, 255}

// began returns when the engine was started: it makes its own network "bridge" anew then, after it has seen to the containers that its
// last process left. Zero where it has no such network.
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
			seen := sandbox.Container{ID: c.Labels[labelSandbox], Running: true, Started: true}
			for _, n := range c.NetworkSettings.Networks {
				if addr, err := netip.ParseAddr(n.IPAddress); err == nil {
					seen.Addr = addr
				}
			}
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
	// The engine answers the request only with the first event, so its coming to be is not waited for; what happens until it is
	// there is replayed, by time. The time before is replayed too: a list shows a container as running for as long as the engine cleans up
	// behind it, after it has told of its end.
	since := time.Now().Add(-replay)
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
			changed(m.Actor.Attributes[labelSandbox], m.Action != events.ActionStart)
		case err := <-s.failed:
			return e.explain(err)
		}
	}
}

// replay is more than an engine takes to clean up behind a container.
const replay = 30 * time.Second

// prepare learns what the engine can, and makes our bridge if it is missing.
func (e *Engine) prepare(ctx context.Context) error {
	ctx, cancel := e.patient(ctx, 0)
	defer cancel()
	info, err := e.api.Info(ctx)
	if err != nil {
		return e.explain(err)
	}
	e.root.Store(&info.DockerRootDir)
	if slices.Contains(engineNetworks, e.cfg.Network) {
		return nil
	}
	err = CheckNetwork(ctx, e.api, e.cfg.Network)
	if !errdefs.IsNotFound(err) {
		return e.explain(err)
	}
	_, err = e.api.NetworkCreate(ctx, e.cfg.Network, network.CreateOptions{
		Driver:  "bridge",
		Labels:  map[string]string{labelManaged: "true"},
		Options: map[string]string{separates: "false"},
	})
	if errdefs.IsConflict(err) { // somebody else made it since
		err = CheckNetwork(ctx, e.api, e.cfg.Network)
	}
	return e.explain(err)
}

// engineNetworks are the engine's own: whoever chooses one knows what it is.
var engineNetworks = []string{"bridge", "none", "host"}

// separates is the option of a bridge that says whether its containers reach each other.
const separates = "com.docker.network.bridge.enable_icc"

// CheckNetwork returns nil if the network of that name keeps its containers apart, an error that errdefs.IsNotFound knows if there is none, and
// fault.Unavailable with the remedy for any other network.
func CheckNetwork(ctx context.Context, api *client.Client, name string) error {
	n, err := api.NetworkInspect(ctx, name, network.InspectOptions{})
	switch {
	case err != nil:
		return err
	case n.Driver != "bridge":
		return fault.Codef(fault.Unavailable, "NETWORK_UNSAFE",
			"the engine's network %q has the driver %s and not bridge; choose another name with the setting network", name, n.Driver)
	case n.Options[separates] != "false":
		return fault.Codef(fault.Unavailable, "NETWORK_UNSAFE",
			"containers reach each other on the engine's network %q, so sandboxes would too: remove it (docker network rm %s) and it is made anew, "+
				"or choose another name with the setting network", name, name)
	}
	return nil
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

// explain gives an error of the engine its kind.
func (e *Engine) explain(err error) error {
	switch {
	case err == nil, fault.KindOf(err) != fault.Unknown:
		return err
	case client.IsErrConnectionFailed(err), errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ECONNRESET),
		errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, context.DeadlineExceeded):
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
