package fleet

import (
	"context"
	"time"

	"github.com/sandlot-dev/sandlot/internal/auth"
	"github.com/sandlot-dev/sandlot/internal/fault"
)

// Link is a signed preview link. Its token opens one port of one sandbox until Until. It stays valid over restarts of
// the sandbox and ends with the sandbox.
type Link struct {
	Hash    string // auth.Hash of its token
	Sandbox string // id
	Port    int
	Until   time.Time
}

// Door is a port of a sandbox that was opened at an address of its own.
type Door struct {
	Sandbox string // id
	Port    int
}

// The times that a link may last.
const (
	DefaultLinkTime = time.Minute
	MaxLinkTime     = 24 * time.Hour
)

// ErrNoLink is returned for a link that is unknown, revoked or over.
var ErrNoLink = fault.Codef(fault.NotFound, "LINK_NOT_FOUND", "this link is unknown, revoked or over")

// NewLink makes a link to a port of a sandbox, and returns its token. Errors: fault.Invalid, ErrNotFound.
func (m *Manager) NewLink(
	ctx context.Context, organization, idOrName string, port int, lasts time.Duration,
) (token string, l Link, err error) {
	if lasts < time.Second || lasts > MaxLinkTime {
		return "", Link{}, fault.Newf(fault.Invalid, "expiresInSeconds must be from 1 to %d", int(MaxLinkTime.Seconds()))
	}
	s, err := m.Get(ctx, organization, idOrName)
	if err != nil {
		return "", Link{}, err
	}
	token = auth.NewLink()
	l = Link{Hash: auth.Hash(token), Sandbox: s.ID, Port: port, Until: time.Now().Add(lasts).UTC()}
	return token, l, m.cfg.Store.PutLink(ctx, l)
}

// ExpireLink ends a link at once. A link that does not exist is no error.
func (m *Manager) ExpireLink(ctx context.Context, organization, idOrName string, port int, token string) error {
	s, err := m.Get(ctx, organization, idOrName)
	if err != nil {
		return err
	}
	err = m.cfg.Store.DeleteLink(ctx, Link{Hash: auth.Hash(token), Sandbox: s.ID, Port: port})
	m.cfg.Changed(s.ID) // the proxy closes the connections that it opened
	return err
}

// LinkOf finds a link by its token. ErrNoLink.
func (m *Manager) LinkOf(ctx context.Context, token string) (Link, error) {
	l, err := m.cfg.Store.LinkByHash(ctx, auth.Hash(token))
	if err == nil && !time.Now().Before(l.Until) {
		err = ErrNoLink
	}
	return l, err
}
