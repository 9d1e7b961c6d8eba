package tenancy

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/sandlot-dev/sandlot/internal/auth"
	"github.com/sandlot-dev/sandlot/internal/fault"
)

// Permission guards a group of operations, in the words of the wire.
type Permission string

// The permissions that this release checks.
const (
	WriteSandboxes  Permission = "write:sandboxes"
	DeleteSandboxes Permission = "delete:sandboxes"
)

// ManageKeys lets a key make and delete others. The first key needs no permission for that.
const ManageKeys Permission = "manage:api_keys"

// Permissions are those that every client knows. The first key has all of them.
var Permissions = []Permission{
	"write:registries", "delete:registries", "write:snapshots", "delete:snapshots", WriteSandboxes, DeleteSandboxes,
	"read:volumes", "write:volumes", "delete:volumes", "write:regions", "delete:regions", "read:runners", "write:runners",
	"delete:runners", "read:audit_logs",
}

// Organization owns sandboxes and keys.
type Organization struct {
	ID, Name, CreatedBy  string
	Personal             bool
	CreatedAt, UpdatedAt time.Time
}

// User is a person or a program.
type User struct {
	ID, Name, Email string
	CreatedAt       time.Time
}

// Key is an API key without its secret.
type Key struct {
	Hash           string // hex SHA-256 of the key
	Prefix, Suffix string // its first and last three characters
	Name           string // unique per organisation and user
	Organization   string
	User           string
	Permissions    []Permission
	CreatedAt      time.Time
	LastUsedAt     time.Time // zero: never
	ExpiresAt      time.Time // zero: never
	First          bool      // the installation's own, which its settings name
}

// ErrUnauthenticated is returned for a key that is missing, unknown or expired.
var ErrUnauthenticated = fault.New(fault.Unauthenticated,
	"the API key is missing, unknown or expired; `sandlot env` prints a valid one")

// Store keeps the records. The finders return fault.NotFound.
type Store interface {
	PutUser(ctx context.Context, u User) error
	PutOrganization(ctx context.Context, o Organization) error
	// PutKey writes a key by its hash. ErrKeyExists if another key of the user has the name.
	PutKey(ctx context.Context, k Key) error
	// ReplaceFirstKey writes k as the first key and removes the first keys of before.
	ReplaceFirstKey(ctx context.Context, k Key) error
	// Keys lists the latest used first and unused ones last, and among those the youngest first.
	Keys(ctx context.Context, organization string) ([]Key, error)
	DeleteKey(ctx context.Context, hash string) error
	KeyByHash(ctx context.Context, hash string) (Key, error)
	KeyUsed(ctx context.Context, hash string, at time.Time) error
	Organization(ctx context.Context, id string) (Organization, error)
	PersonalOrganization(ctx context.Context, user string) (Organization, error)
	User(ctx context.Context, id string) (User, error)
}

// Manager answers who a caller is. It is safe for concurrent use.
type Manager struct {
	store   Store
	revoked func()

	managing sync.Mutex // held while keys are made or deleted, so that a deleted key makes no other

	mu   sync.Mutex
	used map[string]time.Time // hash → when its use was last written
}

// New returns a Manager on a Store. revoked is called after a key was deleted, so that others can drop what they cached
// of it; it may be nil.
func New(store Store, revoked func()) *Manager {
	if revoked == nil {
		revoked = func() {}
	}
	return &Manager{store: store, revoked: revoked, used: map[string]time.Time{}}
}

// Administrator is the id of the first user.
const Administrator = "admin"

// firstName begins the names of first keys, and of no other.
const firstName = "first key "

// Begin makes the first user and its organisation if they are missing, and makes key the only first key, with all
// permissions. It may be repeated.
func (m *Manager) Begin(ctx context.Context, key string) error {
	now := time.Now().UTC()
	org, err := m.store.PersonalOrganization(ctx, Administrator)
	if fault.KindOf(err) == fault.NotFound {
		org = Organization{
			ID: uuid.NewString(), Name: "Personal", CreatedBy: Administrator, Personal: true, CreatedAt: now, UpdatedAt: now,
		}
		if err = m.store.PutUser(ctx, User{
			ID: Administrator, Name: "Administrator", Email: "admin@localhost", CreatedAt: now,
		}); err == nil {
			err = m.store.PutOrganization(ctx, org)
		}
	}
	if err != nil {
		return fmt.Errorf("first user and organisation: %w", err)
	}
	hash := auth.Hash(key)
	first, err := m.store.KeyByHash(ctx, hash)
	if fault.KindOf(err) == fault.NotFound {
		first, err = newKey(key), nil
		first.Name, first.Organization, first.User, first.CreatedAt = firstName+hash[:8], org.ID, Administrator, now
	}
	if err != nil {
		return err
	}
	first.First, first.Permissions, first.ExpiresAt = true, Permissions, time.Time{}
	return m.store.ReplaceFirstKey(ctx, first)
}

// useStep is how often the use of a key is written.
const useStep = 10 * time.Second

// Authenticate returns the key that a caller presents. ErrUnauthenticated.
func (m *Manager) Authenticate(ctx context.Context, key string) (Key, error) {
	if key == "" {
		return Key{}, ErrUnauthenticated
	}
	k, err := m.store.KeyByHash(ctx, auth.Hash(key))
	now := time.Now().UTC()
	switch {
	case fault.KindOf(err) == fault.NotFound, err == nil && k.expired(now):
		return Key{}, ErrUnauthenticated
	case err != nil:
		return Key{}, fault.Newf(fault.Unavailable, "the key could not be checked: %w", err)
	}
	m.mu.Lock()
	write := now.Sub(m.used[k.Hash]) >= useStep
	if write {
		m.used[k.Hash] = now
	}
	m.mu.Unlock()
	if write && m.store.KeyUsed(ctx, k.Hash, now) == nil { // if it cannot be written, the caller is admitted all the same
		k.LastUsedAt = now
	}
	return k, nil
}

func (k Key) expired(now time.Time) bool { return !k.ExpiresAt.IsZero() && now.After(k.ExpiresAt) }

// Need returns fault.Forbidden unless k has a permission.
func (k Key) Need(p Permission) error {
	if slices.Contains(k.Permissions, p) {
		return nil
	}
	return fault.Newf(fault.Forbidden, "the API key %q lacks the permission %s", k.Name, p)
}

// Organization returns the organisation of a key.
func (m *Manager) Organization(ctx context.Context, k Key) (Organization, error) {
	return m.store.Organization(ctx, k.Organization)
}

// User returns the user of a key.
func (m *Manager) User(ctx context.Context, k Key) (User, error) { return m.store.User(ctx, k.User) }
