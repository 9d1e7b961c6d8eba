package git

import (
	"context"
	"strings"
)

// configure is a git config call in a scope; a path counts for local alone.
func configure(scope, path string, args ...string) command {
	if scope != "local" {
		path = ""
	}
	return command{dir: path, args: append([]string{"config", "--" + scope}, args...)}
}

func (p program) getConfig(ctx context.Context, scope, path, key string) (*string, error) {
	c := configure(scope, path, "-z", "--get", "--", key)
	r, err := p.run(ctx, c)
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

func (p program) setConfig(ctx context.Context, scope, path string, pairs [][2]string) error {
	for _, pair := range pairs {
		if _, err := p.do(ctx, configure(scope, path, "--replace-all", "--", pair[0], pair[1])); err != nil {
			return err
		}
	}
	return nil
}

func (p program) storeCredentials(ctx context.Context, protocol, host string, c Credentials) error {
	_, err := p.do(ctx, configure("global", "", "--replace-all", "credential.helper", "store", "^store( |$)"))
	if err != nil {
		return err
	}
	entry := "protocol=" + protocol + "\nhost=" + host + "\nusername=" + c.Username + "\npassword=" + c.Password + "\n\n"
	_, err = p.do(ctx, command{
		args:  []string{"-c", "credential.helper=", "-c", "credential.helper=store", "credential", "approve"},
		input: []byte(entry),
		creds: c, // kept out of errors
	})
	return err
}
