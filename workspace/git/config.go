package git

import (
	"cmp"
	"context"
	"regexp"
	"strings"

	"github.com/sandlot-dev/sandlot/internal/fault"
)

// Config returns the value of a key, nil when it is not set. scope is global ("" too), local (path required) or system.
func (m *Manager) Config(ctx context.Context, scope, path, key string) (*string, error) {
	scope = cmp.Or(scope, "global")
	if err := checkScope(scope, path); err != nil {
		return nil, err
	}
	return m.backend().getConfig(ctx, scope, path, key)
}

func checkScope(scope, path string) error {
	switch scope {
	case "global", "system":
		return nil
	case "local":
		if path == "" {
			return fault.New(fault.Invalid, "scope local needs the path of a repository")
		}
		return nil
	}
	return fault.Newf(fault.Invalid, "scope %q is not one of global, local, system", scope)
}

// outside is the path whose lock is held for changes of settings that are no repository's.
const outside = "/"

// SetConfig sets keys one after the other; a key with several values gets the one.
func (m *Manager) SetConfig(ctx context.Context, scope, path string, pairs ...[2]string) error {
	scope = cmp.Or(scope, "global")
	if err := checkScope(scope, path); err != nil {
		return err
	}
	changed := outside
	if scope == "local" {
		changed = path
	}
	return m.change(ctx, changed, func(b backend) error { return b.setConfig(ctx, scope, path, pairs) })
}

var protocolName = regexp.MustCompile(`^[a-z][a-z0-9+.-]*$`)

// StoreCredentials keeps credentials for a host in git's own store, in plain text under the user's home, and makes git
// use that store. host "" is github.com, protocol "" https.
func (m *Manager) StoreCredentials(ctx context.Context, protocol, host string, c Credentials) error {
	host, protocol = cmp.Or(host, "github.com"), cmp.Or(protocol, "https")
	if !c.given() || strings.ContainsAny(protocol+host+c.Username+c.Password, "\n\r\x00") {
		return fault.New(fault.Invalid, "username and password must be there, and nothing may hold line ends or NUL")
	}
	if !protocolName.MatchString(protocol) || strings.ContainsAny(host, "/@ \t") {
		return fault.Newf(fault.Invalid, "credentials are stored for a protocol such as https and a host such as github.com "+
			"or localhost:8080, not for %q and %q", protocol, host)
	}
	return m.change(ctx, outside, func(b backend) error { return b.storeCredentials(ctx, protocol, host, c) })
}
