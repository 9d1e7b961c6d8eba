package docker

import (
	"context"
	"net/netip"
	"slices"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/client"

	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/runnerd/sandbox"
)

// engineNetworks are the engine's own networks. They are used as they are: whoever configures one knows what it does.
var engineNetworks = []string{"bridge", "none", "host"}

// separates is the option of a bridge that says whether its containers reach each other.
const separates = "com.docker.network.bridge.enable_icc"

// prepareNetwork checks the sandboxes' network, makes it if it is missing, and keeps its id.
func (e *Engine) prepareNetwork(ctx context.Context) error {
	if slices.Contains(engineNetworks, e.cfg.Network) {
		return nil
	}
	id, err := checkNetwork(ctx, e.api, e.cfg.Network)
	if errdefs.IsNotFound(err) {
		id, err = e.makeNetwork(ctx)
	}
	if err == nil {
		e.network.Store(&id)
	}
	return e.explain(err)
}

func (e *Engine) makeNetwork(ctx context.Context) (id string, err error) {
	made, err := e.api.NetworkCreate(ctx, e.cfg.Network, network.CreateOptions{
		Driver:  "bridge",
		Labels:  map[string]string{labelManaged: "true"},
		Options: map[string]string{separates: "false"},
	})
	if errdefs.IsConflict(err) { // somebody else made it since
		return checkNetwork(ctx, e.api, e.cfg.Network)
	}
	return made.ID, err
}

// CheckNetwork returns nil if the network of that name keeps its containers apart, an error for which
// errdefs.IsNotFound is true if there is no such network, and fault.Unavailable with the remedy for any other network.
func CheckNetwork(ctx context.Context, api *client.Client, name string) error {
	_, err := checkNetwork(ctx, api, name)
	return err
}

func checkNetwork(ctx context.Context, api *client.Client, name string) (id string, err error) {
	n, err := api.NetworkInspect(ctx, name, network.InspectOptions{})
	switch {
	case err != nil:
		return "", err
	case n.Driver != "bridge":
		return "", fault.Codef(fault.Unavailable, "NETWORK_UNSAFE",
			"the engine's network %q has the driver %s and not bridge; choose another name with the setting network",
			name, n.Driver)
	case n.Options[separates] != "false":
		return "", fault.Codef(fault.Unavailable, "NETWORK_UNSAFE",
			"containers reach each other on the engine's network %q, so sandboxes would too: "+
				"remove it (docker network rm %s) and it is made anew, or choose another name with the setting network",
			name, name)
	}
	return n.ID, nil
}

// Attach implements sandbox.Driver. The engine attaches a container when it makes it, and keeps the network's id in
// it once it has run. Such a container could not start again after its network was removed and made anew.
func (e *Engine) Attach(ctx context.Context, c sandbox.Container) error {
	if c.Attached {
		return nil
	}
	ctx, cancel := e.patient(ctx, 0)
	defer cancel()
	err := e.api.NetworkConnect(ctx, e.cfg.Network, c.Ref, nil)
	return e.explain(err)
}

// place reads the networks of a container: its address, and whether it is on the sandboxes' network as that is now.
func (e *Engine) place(networks map[string]*network.EndpointSettings) (addr netip.Addr, attached bool) {
	for _, n := range networks {
		if a, err := netip.ParseAddr(n.IPAddress); err == nil {
			addr = a
		}
	}
	current, own := e.network.Load(), networks[e.cfg.Network]
	return addr, current == nil || own != nil && (own.NetworkID == "" || own.NetworkID == *current)
}
