package git

import (
	"context"
	"regexp"
	"strings"

	"github.com/sandlot-dev/sandlot/internal/fault"
)

// Config returns the value of a key, nil when it is not set. scope is global ("" too), local (path required) or system.
func (m *Manager) Config(ctx context.Context, scope, path, key string) (*string, error) {
	if scope == "" {
		scope = "global"
	}
	if err := checkScope(scope, path); err != nil {
		return nil, err
	}
	return m.get(ctx, scope, path, key)
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

// configure is a git config call in a scope; a path counts for local alone.
func configure(scope, path string, args ...string) command {
	if scope != "local" {
		path = ""
	}
	return command{dir: path, args: append([]string{"config", "--" + scope}, args...)}
}

func (m *Manager) get(ctx context.Context, scope, path, key string) (*string, error) {
	if l, ok := m.library(); ok {
		return l.getConfig(scope, path, key)
	}
	c := configure(scope, path, "-z", "--get", "--", key)
	r, err := m.run(ctx, c)
	switch {
	case err != nil:
		return nil, err
	case r.code == 1 && len(r.stderr) == 0:
		return nil, nil
	}
	if err := c.failure(r); err != nil {
		return nil, err
	}
	value := strings.TrimSuffix(string(r.stdout), "\x00")
	return &value, nil
}

// SetConfig sets keys one after the other; a key with several values gets the one.
func (m *Manager) SetConfig(ctx context.Context, scope, path string, pairs ...[2]string) error {
	if scope == "" {
		scope = "global"
	}
	if err := checkScope(scope, path); err != nil {
		return err
	}
	place := path
	if scope != "local" {
		place = "/" // one lock for all that is not a repository's
	}
	unlock, err := m.lock(ctx, place)
	if err != nil {
		return err
	}
	defer unlock()
	if l, ok := m.library(); ok {
		return l.setConfig(scope, path, pairs)
	}
	for _, p := range pairs {
		if _, err := m.do(ctx, configure(scope, path, "--replace-all", "--", p[0], p[1])); err != nil {
			return err
		}
	}
	return nil
}

var protocolName = regexp.MustCompile(`^[a-z][a-z0-9+.-]*$`)

// StoreCredentials keeps credentials for a host in git's own store, in plain text under the user's home, and makes git use that store.
// host "" is github.com, protocol "" https.
func (m *Manager) StoreCredentials(ctx context.Context, protocol, host string, c Credentials) error {
	if host == "" {
		host = "github.com"
	}
	if protocol == "" {
		protocol = "https"
	}
	if !c.given() || strings.ContainsAny(protocol+host+c.Username+c.Password, "\n\r\x00") {
		return fault.New(fault.Invalid, "username and password must be there, and nothing may hold line ends or NUL")
	}
	if !protocolName.MatchString(protocol) || strings.ContainsAny(host, "/@ \t") {
		return fault.Newf(fault.Invalid, "credentials are stored for a protocol such as https and a host such as github.com or localhost:8080, not for %q and %q", protocol, host)
	}
	unlock, err := m.lock(ctx, "/")
	if err != nil {
		return err
	}
	defer unlock()
	if _, err := m.do(ctx, configure("global", "", "--replace-all", "credential.helper", "store", "^store( |$)")); err != nil {
		return err
	}
	entry := "protocol=" + protocol + "\nhost=" + host + "\nusername=" + c.Username + "\npassword=" + c.Password + "\n\n"
	_, err = m.do(ctx, command{
		args: []string{"-c", "credential.helper=", "-c", "credential.helper=store", "credential", "approve"}, input: []byte(entry),
		creds: c, // kept out of errors
	})
	return err
}
