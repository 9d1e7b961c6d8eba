package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/sandlot-dev/sandlot/api"
	"github.com/sandlot-dev/sandlot/coordinator"
	"github.com/sandlot-dev/sandlot/coordinator/fleet"
	"github.com/sandlot-dev/sandlot/internal/doctor"
	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/internal/logkey"
	"github.com/sandlot-dev/sandlot/proxy"
)

// The ways in which ports of sandboxes are met.
const (
	previewAuto     = "auto"
	previewHost     = "host"
	previewLoopback = "loopback"
	previewPath     = "path"
)

// previewMode is how visitors reach ports of sandboxes, and the limits of that.
type previewMode struct{ mode, limits string }

// String returns both.
func (m previewMode) String() string {
	if m.limits == "" {
		return m.mode
	}
	return m.mode + " (" + m.limits + ")"
}

// resolvePreviews returns the mode that is set, or the best one that works here.
func resolvePreviews(ctx context.Context, cfg config) previewMode {
	host, _, _ := net.SplitHostPort(cfg.ProxyListen)
	ip, err := netip.ParseAddr(host)
	here := runtime.GOOS == "linux" && (err == nil && ip.IsLoopback() || host == "localhost")
	mode := cfg.PreviewMode
	if mode == previewAuto {
		switch {
		case cfg.OwnDomain || namesResolve(ctx, cfg.PreviewURL):
			mode = previewHost
		case here:
			mode = previewLoopback
		default:
			mode = previewPath
		}
	}
	switch mode {
	case previewHost:
		if !cfg.OwnDomain && !namesResolve(ctx, cfg.PreviewURL) {
			return previewMode{mode, "browsers resolve *.localhost, but most programs on this machine do not"}
		}
		return previewMode{mode, ""}
	case previewLoopback:
		if os.Geteuid() != 0 {
			return previewMode{mode, "reachable from this machine alone; ports below 1024 need root"}
		}
		return previewMode{mode, "reachable from this machine alone"}
	}
	return previewMode{mode, "browsers do not keep the pages of different sandboxes apart; " +
		"apps that name websockets by absolute paths work one at a time"}
}

// checkPreviews finds out which mode is chosen and what it cannot do.
func checkPreviews(ctx context.Context, cfg config) doctor.Finding {
	found := doctor.Finding{Check: "previews", Result: doctor.OK}
	m := resolvePreviews(ctx, cfg)
	switch {
	case m.mode == previewHost && m.limits == "":
		found.Detail = "host: " + cfg.PreviewURL
	case m.mode == previewHost:
		found.Result, found.Detail = doctor.Warning, "host: "+m.limits
		found.Fix = "set preview_mode to loopback, or preview_url to a domain whose names resolve to this machine"
	case m.mode == previewLoopback:
		found.Detail = "loopback: each sandbox has an address of its own in 127.64.0.0/10; " + m.limits
	default:
		found.Result, found.Detail = doctor.Warning, "path: "+m.limits
		found.Fix = "set preview_url to a domain whose names resolve to this machine"
	}
	return found
}

// namesResolve reports whether programs on this machine resolve the names of previews to it.
func namesResolve(ctx context.Context, template string) bool {
	domain, err := previewDomain(template)
	if err != nil {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	name := "3000-preview." + domain
	var addrs []string
	// getent asks as programs that use the C library do.
	if out, err := exec.CommandContext(ctx, "getent", "ahosts", name).Output(); err == nil {
		addrs = strings.Fields(string(out))[:1]
	} else if errors.Is(err, exec.ErrNotFound) {
		addrs, _ = net.DefaultResolver.LookupHost(ctx, name)
	}
	return len(addrs) > 0
}

// previews returns the addresses of ports, and opens those that are loopback addresses.
type previews struct {
	mode  string
	host  string // template of addresses by host
	base  string // of the proxy, as clients see it
	proxy *proxy.Proxy
	store interface {
		PutDoor(ctx context.Context, d fleet.Door) error
	}
	logger *slog.Logger
}

// Address implements coordinator.Previews.
func (p *previews) Address(ctx context.Context, sandbox string, port int, link string) (string, error) {
	ref := sandbox
	if link != "" {
		ref = link
	}
	toolbox := api.PreviewPort(port) == api.ToolboxPort
	switch {
	case toolbox && link == "":
		return p.base + "/toolbox/" + sandbox, nil
	case p.mode == previewHost:
		return strings.NewReplacer("{{PORT}}", strconv.Itoa(port), "{{sandboxId}}", ref).Replace(p.host), nil
	case p.mode == previewLoopback && !toolbox:
		at, opened, err := p.proxy.Open(ctx, sandbox, port)
		if opened {
			err = p.keep(ctx, fleet.Door{Sandbox: sandbox, Port: port})
		}
		if err == nil {
			address := "http://" + at.String()
			if link != "" {
				address += "/?" + proxy.TokenQuery + "=" + link
			}
			return address, nil
		}
		if fault.KindOf(err) == fault.NotFound { // it was deleted in between
			p.proxy.Forget(sandbox)
		}
		if fault.KindOf(err) != fault.Conflict {
			return "", err
		}
	}
	return p.base + "/p/" + ref + "/" + strconv.Itoa(port), nil
}

// keep stores a door, to be opened again after a restart. If that fails, as on a full disk, the door is opened when
// somebody asks for its address again. Error: fleet.ErrNotFound if the sandbox was deleted in between.
func (p *previews) keep(ctx context.Context, d fleet.Door) error {
	err := p.store.PutDoor(ctx, d)
	if err != nil && !errors.Is(err, fleet.ErrNotFound) {
		p.logger.Warn("address of a preview not kept for the next start",
			logkey.Sandbox, d.Sandbox, "port", d.Port, logkey.Err, err)
		return nil
	}
	return err
}

// reopen opens the doors that were open before a restart.
func (in *installation) reopen(ctx context.Context) {
	doors, err := in.db.Doors(ctx)
	if err != nil {
		in.logger.Warn("addresses of previews not opened again", logkey.Err, err)
	}
	for _, d := range doors {
		if _, _, err := in.proxy.Open(ctx, d.Sandbox, d.Port); err != nil {
			in.logger.Warn("address of a preview not opened again", logkey.Sandbox, d.Sandbox, "port", d.Port, logkey.Err, err)
		}
	}
}

var _ coordinator.Previews = (*previews)(nil)
