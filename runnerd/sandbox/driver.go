package sandbox

import (
	"context"
	"net/netip"
	"time"

	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/internal/lifecycle"
)

// ErrNotFound is returned for a sandbox that is not on this runner.
var ErrNotFound = fault.New(fault.NotFound, "no such sandbox on this runner")

// ErrForeign is returned where a container that is not of this instance has the name that a sandbox's must have.
var ErrForeign = fault.New(fault.Conflict,
	"a container that is not this installation's has the sandbox's name; it was left alone")

// ErrEngineDown is returned while the container engine does not answer.
var ErrEngineDown = fault.New(fault.Unavailable,
	"the container engine does not answer; `sandlot doctor` says how to mend it")

// Driver is what a Manager asks of a container engine. A sandbox is created in three steps: Make, Attach, Start.
// A container has its place on the network after Attach, and runs its first instruction in Start.
//
// Every method may be repeated safely. All fail with ErrEngineDown (wrapped) while the engine does not answer, and see
// containers of this instance only: a container of somebody else that has a sandbox's name is ErrForeign.
// sandboxtest.Driver holds an implementation to this contract.
type Driver interface {
	// Image returns what an image says of its containers. fault.Invalid if the engine does not have it.
	Image(ctx context.Context, ref string) (Image, error)
	// Make makes a container that does not run yet. If the sandbox has a container, Make returns that one and made is
	// false. fault.Invalid for what the engine refuses.
	Make(ctx context.Context, spec ContainerSpec) (c Container, made bool, err error)
	// Attach gives a container its place on the network of sandboxes, and does nothing if it has one. ErrNotFound.
	Attach(ctx context.Context, c Container) error
	// Start starts an attached container and returns it as it runs. It does nothing to one that runs. ErrNotFound.
	Start(ctx context.Context, c Container) (Container, error)
	// Stop ends the processes of a container: at once if grace is 0. nil if it does not run. ErrNotFound.
	Stop(ctx context.Context, id string, grace time.Duration) error
	// Remove kills and removes a container with its files. nil if it is gone already.
	Remove(ctx context.Context, id string) error
	// Inspect returns the container of a sandbox. ErrNotFound.
	Inspect(ctx context.Context, id string) (Container, error)
	// List returns the containers of all sandboxes. Since and Attached may be unset in those that run.
	List(ctx context.Context) ([]Container, error)
	// Watch calls ready when it follows changes. It calls changed with the sandbox of every later change; ended is true
	// if the container has ended or was removed. Watch returns when ctx or the connection to the engine ends.
	Watch(ctx context.Context, ready func(), changed func(id string, ended bool)) error
	// FreeSpace returns the bytes free where the engine keeps its containers.
	FreeSpace(ctx context.Context) (uint64, error)
}

// Image is what an image says of the containers that are made of it.
type Image struct {
	Env        []string // NAME=value
	Entrypoint []string
	Cmd        []string
	Dir        string // working folder; "" if the image names none
}

// ContainerSpec is what a Driver makes a container of.
type ContainerSpec struct {
	// Sandbox has identity, limits, image and user. The container carries all of it, for the case that the record is lost.
	Sandbox lifecycle.Spec
	Command []string          // first process; not empty
	Env     map[string]string // whole environment beside the image's own; Sandbox.Env is part of it
	Mounts  []Mount
}

// Mount shows a file or folder of the host in a container.
type Mount struct {
	Source   string // path on the host
	Target   string // path in the container
	ReadOnly bool
}

// Container is what a Driver sees of one sandbox.
type Container struct {
	ID          string // of the sandbox
	Ref         string // the engine's own id of the container; no other container ever has it
	Attached    bool   // it has its place on the network
	Running     bool
	Started     bool       // it ran at some time
	Addr        netip.Addr // its address while it runs
	Since       time.Time  // when it was started, or ended if it does not run; zero if it never ran
	ExitCode    int        // of its process 1, once it has ended
	OutOfMemory bool       // it was ended for lack of memory
	WithHost    bool       // it was ended by the end of the engine or the host
}
