package runnerd

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"time"

	"github.com/sandlot-dev/sandlot/api"
	"github.com/sandlot-dev/sandlot/api/client"
	"github.com/sandlot-dev/sandlot/internal/serve"
	"github.com/sandlot-dev/sandlot/runnerd/sandbox"
)

// prober asks toolboxes whether they are there.
type prober struct{}

// Ready implements sandbox.Toolbox. The daemon usually listens before the engine answers that its container has
// started, so the first attempt succeeds. Otherwise Ready tries again after 1 ms, then after twice as long each time,
// 50 ms at most.
func (prober) Ready(ctx context.Context, at sandbox.Address) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	for wait := time.Millisecond; ; wait = min(2*wait, 50*time.Millisecond) {
		version, err := ask(ctx, at)
		if err == nil || !errors.Is(err, syscall.ECONNREFUSED) && !errors.Is(err, syscall.EHOSTUNREACH) {
			return version, err
		}
		select {
		case <-ctx.Done():
			return "", fmt.Errorf("after %v: %w", readyWithin, err)
		case <-time.After(wait):
		}
	}
}

// ask asks a toolbox for its version. Errors have no kind, and quote little of what may be hostile: whoever asked for the
// sandbox is not to blame for what its toolbox answers the runner.
func ask(ctx context.Context, at sandbox.Address) (version string, err error) {
	toolbox := client.NewToolbox("http://"+netip.AddrPortFrom(at.Addr, api.ToolboxPort).String(), http.Header{
		api.SecretHeader: {at.Secret},
	}, &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: (&net.Dialer{}).DialContext}})
	version, state, err := toolbox.Version(ctx)
	if refused, ok := errors.AsType[*client.Error](err); ok {
		return "", fmt.Errorf("toolbox answered %d %s to /version", refused.StatusCode, http.StatusText(refused.StatusCode))
	}
	if err == nil && state != "" {
		err = fmt.Errorf("toolbox is %s", serve.Cut(state, serve.MaxWords))
	}
	return version, err
}
