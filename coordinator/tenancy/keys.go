package tenancy

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sandlot-dev/sandlot/internal/auth"
	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/internal/naming"
)

// maxKeys bounds the keys of an organisation.
const maxKeys = 1000

// further are permissions that only newer clients know.
var further = []Permission{ManageKeys, "manage:secrets", "read:limits", "manage:sso", "read:billing", "manage:billing"}

// The errors that callers branch on.
var (
	ErrKeyExists = fault.Codef(fault.Conflict, "API_KEY_EXISTS",
		"an API key of this name exists; choose another name or delete that one")
	ErrKeyNotFound = fault.Codef(fault.NotFound, "API_KEY_NOT_FOUND", "API key not found")
)

// newKey returns the record of a key.
func newKey(key string) Key {
	return Key{Hash: auth.Hash(key), Prefix: key[:min(3, len(key))], Suffix: key[max(0, len(key)-3):]}
}

// CreateKey makes a key for the user and organisation of by, and returns it with its secret, which is not stored. Zero
// expiresAt means never. Errors: fault.Forbidden if by may not make keys or lacks one of the permissions; fault.Invalid
// for a name, permission or time that is not allowed; ErrKeyExists; fault.Limited at 1,000 keys; ErrUnauthenticated if
// by was deleted or has expired meanwhile.
func (m *Manager) CreateKey(
	ctx context.Context, by Key, name string, permissions []Permission, expiresAt time.Time,
) (k Key, secret string, err error) {
	if err := by.mayManage(); err != nil {
		return Key{}, "", err
	}
	if err := naming.Check(name, "current"); err != nil {
		return Key{}, "", err
	}
	if strings.HasPrefix(name, firstName) {
		return Key{}, "", fault.Newf(fault.Invalid, "name must not begin with %q: the key of the settings is called so",
			firstName)
	}
	var lacking []string
	for _, p := range permissions {
		if !slices.Contains(Permissions, p) && !slices.Contains(further, p) {
			return Key{}, "", fault.Newf(fault.Invalid, "permissions: there is no %q; there are %v", p,
				slices.Concat(Permissions, further))
		}
		if !by.First && !slices.Contains(by.Permissions, p) {
			lacking = append(lacking, string(p))
		}
	}
	if len(lacking) > 0 {
		return Key{}, "", fault.Newf(fault.Forbidden, "the API key %q cannot give permissions that it lacks: %s", by.Name,
			strings.Join(lacking, ", "))
	}
	now := time.Now().UTC()
	if expiresAt = expiresAt.UTC(); !expiresAt.IsZero() && (expiresAt.Before(now) || expiresAt.Year() > 9999) {
		return Key{}, "", fault.New(fault.Invalid, "expiresAt must be a time to come, before the year 10000")
	}
	m.managing.Lock()
	defer m.managing.Unlock()
	all, err := m.store.Keys(ctx, by.Organization)
	if err != nil {
		return Key{}, "", err
	}
	// The key may have been deleted since it was admitted, because a body may take long to arrive.
	if !slices.ContainsFunc(all, func(k Key) bool { return k.Hash == by.Hash && !k.expired(now) }) {
		return Key{}, "", ErrUnauthenticated
	}
	if len(all) >= maxKeys {
		return Key{}, "", fault.Newf(fault.Limited, "the organisation has %d API keys, which is the limit; delete some",
			len(all))
	}
	secret = auth.NewKey()
	k = newKey(secret)
	k.Name, k.Organization, k.User, k.CreatedAt, k.ExpiresAt = name, by.Organization, by.User, now, expiresAt
	k.Permissions = slices.Compact(slices.Sorted(slices.Values(permissions)))
	if err := m.store.PutKey(ctx, k); err != nil {
		return Key{}, "", fmt.Errorf("API key %q: %w", name, err)
	}
	return k, secret, nil
}

// Keys lists the keys of the organisation of by: all of them for the first key, those of the same user for others.
func (m *Manager) Keys(ctx context.Context, by Key) ([]Key, error) {
	if err := by.mayManage(); err != nil {
		return nil, err
	}
	all, err := m.store.Keys(ctx, by.Organization)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(k Key) bool { return !by.First && k.User != by.User }), nil
}

// Key finds a key by user and name. An empty user means the user of by. ErrKeyNotFound.
func (m *Manager) Key(ctx context.Context, by Key, user, name string) (Key, error) {
	all, err := m.Keys(ctx, by)
	if err != nil {
		return Key{}, err
	}
	if user == "" {
		user = by.User
	}
	i := slices.IndexFunc(all, func(k Key) bool { return k.User == user && k.Name == name })
	if i < 0 {
		return Key{}, fmt.Errorf("API key %q: %w", name, ErrKeyNotFound)
	}
	return all[i], nil
}

// DeleteKey deletes a key by user and name, so that it is not accepted any more. An empty user means the user of by.
// Errors: ErrKeyNotFound; fault.Conflict for the first key.
func (m *Manager) DeleteKey(ctx context.Context, by Key, user, name string) error {
	k, err := m.Key(ctx, by, user, name)
	if err != nil {
		return err
	}
	if k.First {
		return fault.Newf(fault.Conflict,
			"API key %q is the installation's own: change the setting api_key and start again, which voids it", name)
	}
	m.managing.Lock()
	err = m.store.DeleteKey(ctx, k.Hash)
	m.managing.Unlock()
	if err != nil {
		return err
	}
	m.mu.Lock()
	delete(m.used, k.Hash)
	m.mu.Unlock()
	m.revoked()
	return nil
}

func (k Key) mayManage() error {
	if k.First {
		return nil
	}
	return k.Need(ManageKeys)
}
