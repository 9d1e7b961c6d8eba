package docker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/client"

	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/runnerd/sandbox"
)

var _ sandbox.Driver = (*Engine)(nil)

// Profiles of isolation.
const (
	ProfileHardened = "hardened" // few capabilities, no new privileges: sudo does not work
	ProfileCompat   = "compat"   // the engine's own capabilities; sudo works
)

// Config is what an Engine needs. Instance is required.
type Config struct {
	Host      string        // address of the engine; "" takes DOCKER_HOST or the usual socket
	Instance  string        // label value that separates installations on one engine
	Network   string        // name of the sandboxes' bridge; "" means "sandlot"
	Online    string        // folder on the engine's host, see onlineFile; "" leaves that file as it is
	Proc      string        // folder on the engine's host for links to lxcfs's files (procView); "" leaves /proc as it is
	Profile   string        // ProfileHardened or ProfileCompat; "" means hardened
	Runtime   string        // OCI runtime, such as runsc; "" takes the engine's default
	PidsLimit int64         // processes and threads of one sandbox; 0 means 1024
	Patience  time.Duration // time for the engine to answer a call, without what the call itself waits for; 0 means 60 s
}

// Engine drives one Docker engine. It is safe for concurrent use.
type Engine struct {
	cfg     Config
	api     *client.Client
	root    atomic.Pointer[string] // folder of the engine's data; nil until prepare
	network atomic.Pointer[string] // id of the network named Config.Network; nil until prepare
	proc    procView
}

// sharing lists the runtimes whose containers share the host's kernel, and with it the kernel's view of processors.
// Containers of other runtimes have a view of their own.
var sharing = []string{"", "runc", "crun"}

// New checks cfg and returns an Engine. It does not connect.
func New(cfg Config) (*Engine, error) {
	if cfg.Instance == "" {
		return nil, fault.New(fault.Invalid, "docker: Instance is required")
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

// Close closes the connections to the engine.
func (e *Engine) Close() error { return e.api.Close() }

// patient bounds one call of the engine. wait is how long the engine itself waits in it.
func (e *Engine) patient(ctx context.Context, wait time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, wait+e.cfg.Patience)
}

// prepare reads where the engine keeps its data, and makes the sandboxes' network if it is missing.
func (e *Engine) prepare(ctx context.Context) error {
	ctx, cancel := e.patient(ctx, 0)
	defer cancel()
	info, err := e.api.Info(ctx)
	if err != nil {
		return e.explain(err)
	}
	e.root.Store(&info.DockerRootDir)
	return e.prepareNetwork(ctx)
}

// FreeSpace implements sandbox.Driver. The engine's data has to be on this host, as runners require.
func (e *Engine) FreeSpace(context.Context) (uint64, error) {
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
		return fmt.Errorf("engine at %s: %w (%v)", e.api.DaemonHost(), sandbox.ErrEngineDown,
			err) //nolint:errorlint // for reading only
	case strings.Contains(err.Error(), "no space left on device"), strings.Contains(err.Error(), "disk quota exceeded"):
		return fault.Codef(fault.Full, "RUNNER_DISK_FULL",
			"the runner's disk is full; remove sandboxes or images there: %w", err)
	case errdefs.IsNotFound(err) && strings.Contains(err.Error(), "No such container"):
		return fmt.Errorf("%w (%v)", sandbox.ErrNotFound, err) //nolint:errorlint // for reading only
	case strings.Contains(err.Error(), "unable to find user"),
		strings.Contains(err.Error(), "no matching entries in passwd"):
		return fault.Newf(fault.Invalid, "the image has no such user: %w", err)
	}
	return fault.Newf(fault.Internal, "container engine: %w", err)
}
