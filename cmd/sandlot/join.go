package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sandlot-dev/sandlot/coordinator"
	"github.com/sandlot-dev/sandlot/coordinator/fleet"
	"github.com/sandlot-dev/sandlot/coordinator/store"
	"github.com/sandlot-dev/sandlot/coordinator/tenancy"
	"github.com/sandlot-dev/sandlot/internal/lifecycle"
	"github.com/sandlot-dev/sandlot/internal/logkey"
	"github.com/sandlot-dev/sandlot/internal/serve"
	"github.com/sandlot-dev/sandlot/internal/version"
	"github.com/sandlot-dev/sandlot/proxy"
	"github.com/sandlot-dev/sandlot/runnerd"
)

// installation is coordinator, runner and proxy in one process.
type installation struct {
	cfg         config
	logger      *slog.Logger
	db          *store.DB
	runner      *runnerd.Runner
	fleet       *fleet.Manager
	proxy       *proxy.Proxy
	coordinator *coordinator.Server
	previews    previewMode
}

// join makes all parts and starts none.
func join(ctx context.Context, cfg config, keys keys, logger *slog.Logger) (_ *installation, err error) {
	in := &installation{cfg: cfg, logger: logger}
	if in.db, err = store.Open(ctx, filepath.Join(cfg.Data, databaseFile)); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, in.db.Close())
		}
	}()
	tenants := tenancy.New(in.db, func() { in.proxy.Forget("") })
	if err := tenants.Begin(ctx, keys.API); err != nil {
		return nil, err
	}
	if err := putSnapshots(ctx, in.db, cfg); err != nil {
		return nil, err
	}
	after, err := in.db.LastSeen(ctx, keys.Runner)
	if err != nil {
		return nil, err
	}
	runner := runnerConfig(cfg)
	runner.ID, runner.After, runner.Key = keys.Runner, after, []byte(keys.Secret)
	runner.Logger = logger.With("part", "runner")
	in.runner, err = runnerd.New(runner)
	if err != nil {
		return nil, err
	}
	domain, err := previewDomain(cfg.PreviewURL)
	if err != nil {
		return nil, err
	}
	where := &locator{runner: in.runner, tenants: tenants}
	in.previews = resolvePreviews(ctx, cfg)
	mode := in.previews.mode
	in.proxy, err = proxy.New(proxy.Config{
		Locator: where, Domain: domain, Key: keys.API, Paths: mode != previewHost, Drain: cfg.Drain,
		Logger: logger.With("part", "proxy"),
	})
	if err != nil {
		return nil, err
	}
	seen := &previews{
		mode: mode, host: cfg.PreviewURL, base: strings.TrimSuffix(cfg.ToolboxURL, "/toolbox"),
		proxy: in.proxy, store: in.db, logger: logger,
	}
	template := cfg.PreviewURL
	if mode != previewHost {
		template = seen.base + "/p/{{sandboxId}}/{{PORT}}"
	}
	in.fleet, err = fleet.New(fleet.Config{
		Store: in.db, Runners: fleet.SoleRunner{ID: keys.Runner, Region: cfg.Region, Runner: in.runner},
		Region: cfg.Region, DefaultSnapshot: cfg.DefaultSnapshot,
		MaxCPU: cfg.MaxCPU, MaxMemory: cfg.MaxMemory, MaxDisk: cfg.MaxDisk, Logger: logger.With("part", "coordinator"),
		Changed: func(id string) { in.proxy.Forget(id) },
	})
	if err != nil {
		return nil, err
	}
	where.fleet = in.fleet
	in.coordinator, err = coordinator.New(coordinator.Config{
		Fleet: in.fleet, Tenancy: tenants, Ready: in.runner.Ready, Toolboxes: in.proxy,
		Version: version.Version, Revision: version.Revision,
		Region: cfg.Region, Runner: keys.Runner, DefaultSnapshot: cfg.DefaultSnapshot, ToolboxURL: cfg.ToolboxURL,
		PreviewURL: template, Previews: seen, DashboardURL: dashboardURL(cfg), MaxCPU: cfg.MaxCPU, MaxMemory: cfg.MaxMemory,
		MaxDisk: cfg.MaxDisk, Began: keys.Began, Logger: logger.With("part", "coordinator"),
	})
	return in, err
}

// runnerConfig returns the runner's part of the settings, without what an installation makes at its first start.
func runnerConfig(cfg config) runnerd.Config {
	return runnerd.Config{
		Data: cfg.Data, Instance: cfg.Instance, Host: cfg.DockerHost, Network: cfg.Network, Profile: cfg.Profile,
		Runtime: cfg.Runtime, Pids: cfg.Pids, Env: cfg.SandboxEnv, CABundle: cfg.CABundle,
		MinRoom: uint64(cfg.MinFreeDisk) << 20,
	}
}

// run serves until ctx ends. ready is called when all listeners are open.
func (in *installation) run(ctx context.Context, ready func() error) (err error) {
	defer func() { err = errors.Join(err, in.db.Close()) }()
	// The servers end first, and the workers that they use after them.
	behind, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	var work errgroup.Group
	work.Go(func() error { return in.runner.Run(behind, in.fleet) })
	work.Go(func() error { return in.fleet.Run(behind) })
	work.Go(func() error { return in.proxy.Run(behind) })
	in.reopen(ctx)
	defer func() {
		end()
		err = errors.Join(err, work.Wait())
	}()
	select { // the first request should find the engine, if there is one
	case <-in.runner.Begun():
	case <-time.After(engineWithin):
	case <-ctx.Done():
		return nil
	}
	apiListener, err := serve.Listen(ctx, in.cfg.APIListen, peerSilence)
	if err != nil {
		return fmt.Errorf("api_listen: %w; choose another address with --api-listen", err)
	}
	proxyListener, err := serve.Listen(ctx, in.cfg.ProxyListen, peerSilence)
	if err != nil {
		err = fmt.Errorf("proxy_listen: %w; choose another address with --proxy-listen", err)
		return errors.Join(err, apiListener.Close())
	}
	servers, ctx := errgroup.WithContext(ctx)
	servers.Go(func() error { return serve.Until(ctx, apiListener, in.coordinator.Handler(), in.cfg.Drain) })
	servers.Go(func() error { return serve.Until(ctx, proxyListener, in.proxy, in.cfg.Drain) })
	in.logger.Info("sandlot is up", "version", version.String(), "api", in.cfg.APIURL, "toolboxes", in.cfg.ToolboxURL,
		"previews", in.previews.mode, "data", in.cfg.Data)
	servers.Go(ready)
	err = servers.Wait()
	in.logger.Info("sandlot is down", logkey.Err, err)
	return err
}

// databaseFile is the name of the database in the data folder.
const databaseFile = "sandlot.db"

// engineWithin bounds how long a start waits for the engine before it serves without one.
const engineWithin = 3 * time.Second

// peerSilence is how long a client may acknowledge nothing before its connection is closed.
const peerSilence = 5 * time.Minute

// locator answers the proxy's questions from the coordinator and runner of this process.
type locator struct {
	fleet   *fleet.Manager
	tenants *tenancy.Manager
	runner  *runnerd.Runner
}

// Locate implements proxy.Locator.
func (l *locator) Locate(ctx context.Context, id string) (proxy.Target, error) {
	s, err := l.fleet.ByID(ctx, id)
	if err != nil {
		return proxy.Target{}, err
	}
	t := proxy.Target{
		ID: s.ID, State: string(s.Shown()), Reason: s.Reason, Since: s.StateAt,
		Public: s.Public, PreviewToken: s.PreviewToken, SigningKey: s.SigningKey,
	}
	if s.Shown() != lifecycle.Started {
		return t, nil
	}
	at, err := l.runner.Address(id)
	if err != nil {
		return t, nil //nolint:nilerr // the runner has just lost it: its report follows; without an address, it does not run
	}
	t.Addr, t.Secret = at.Addr, at.Secret
	return t, nil
}

// Admit implements proxy.Locator.
func (l *locator) Admit(ctx context.Context, key, id string) (time.Time, error) {
	k, err := l.tenants.Authenticate(ctx, key)
	if err != nil {
		return time.Time{}, err
	}
	_, err = l.fleet.Get(ctx, k.Organization, id)
	return k.ExpiresAt, err
}

// Link implements proxy.Locator.
func (l *locator) Link(ctx context.Context, token string) (proxy.Link, error) {
	link, err := l.fleet.LinkOf(ctx, token)
	return proxy.Link{Sandbox: link.Sandbox, Port: link.Port, Until: link.Until}, err
}

// Touch implements proxy.Locator.
func (l *locator) Touch(id string, opened int) { l.fleet.Touch(id, opened) }

var _ proxy.Locator = (*locator)(nil)
