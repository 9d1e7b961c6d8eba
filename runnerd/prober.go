package runnerd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"time"

	"github.com/sandlot-dev/sandlot/runnerd/sandbox"
)

// toolboxPort is where toolboxd listens.
const toolboxPort = 2280

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

func ask(ctx context.Context, at sandbox.Address) (version string, err error) {
	url := "http://" + netip.AddrPortFrom(at.Addr, toolboxPort).String() + "/version"
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	req.Header.Set("X-Sandlot-Secret", at.Secret)
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: (&net.Dialer{}).DialContext}}
	res, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, res.Body.Close()) }()
	if res.StatusCode != http.StatusOK {
		return "", fmt.Errorf("toolbox answered %s to /version", res.Status)
	}
	var body struct{ Version, State string }
	if err = json.NewDecoder(io.LimitReader(res.Body, 4096)).Decode(&body); err == nil && body.State != "" {
		err = fmt.Errorf("toolbox is %s", body.State)
	}
	return body.Version, err
}
