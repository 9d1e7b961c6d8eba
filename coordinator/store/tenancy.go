package store

import (
	"context"
	"time"

	"github.com/uptrace/bun"

	"github.com/sandlot-dev/sandlot/coordinator/tenancy"
)

type userRow struct {
	bun.BaseModel `bun:"table:users"`

	ID, Name, Email string
	CreatedAt       time.Time
}

type organizationRow struct {
	bun.BaseModel `bun:"table:organizations"`

	ID, Name, CreatedBy  string
	Personal             bool
	CreatedAt, UpdatedAt time.Time
}

type keyRow struct {
	bun.BaseModel `bun:"table:api_keys"`

	Hash           string `bun:",pk"`
	Prefix, Suffix string
	Name           string
	OrganizationID string
	UserID         string
	Permissions    []tenancy.Permission `bun:"type:json"`
	CreatedAt      time.Time
	LastUsedAt     time.Time `bun:",nullzero"`
	ExpiresAt      time.Time `bun:",nullzero"`
	First          bool
}

func toKeyRow(k tenancy.Key) *keyRow {
	return &keyRow{
		Hash: k.Hash, Prefix: k.Prefix, Suffix: k.Suffix, Name: k.Name, OrganizationID: k.Organization, UserID: k.User,
		Permissions: k.Permissions, CreatedAt: k.CreatedAt, LastUsedAt: k.LastUsedAt, ExpiresAt: k.ExpiresAt, First: k.First,
	}
}

func (r *keyRow) key() tenancy.Key {
	return tenancy.Key{
		Hash: r.Hash, Prefix: r.Prefix, Suffix: r.Suffix, Name: r.Name, Organization: r.OrganizationID, User: r.UserID,
		Permissions: r.Permissions, CreatedAt: r.CreatedAt, LastUsedAt: r.LastUsedAt, ExpiresAt: r.ExpiresAt, First: r.First,
	}
}

// PutUser implements tenancy.Store.
func (d *DB) PutUser(ctx context.Context, u tenancy.User) error {
	return d.insert(ctx, &userRow{ID: u.ID, Name: u.Name, Email: u.Email, CreatedAt: u.CreatedAt})
}

// PutOrganization implements tenancy.Store.
func (d *DB) PutOrganization(ctx context.Context, o tenancy.Organization) error {
	return d.insert(ctx, &organizationRow{
		ID: o.ID, Name: o.Name, CreatedBy: o.CreatedBy, Personal: o.Personal, CreatedAt: o.CreatedAt, UpdatedAt: o.UpdatedAt,
	})
}

// PutKey implements tenancy.Store.
func (d *DB) PutKey(ctx context.Context, k tenancy.Key) error {
	err := d.write(ctx, func(tx bun.Tx) error {
		_, err := tx.NewInsert().Model(toKeyRow(k)).Exec(ctx)
		return err
	})
	if unique(err) {
		return tenancy.ErrKeyExists
	}
	return err
}

// ReplaceFirstKey implements tenancy.Store.
func (d *DB) ReplaceFirstKey(ctx context.Context, k tenancy.Key) error {
	return d.write(ctx, func(tx bun.Tx) error {
		if _, err := tx.NewDelete().Model((*keyRow)(nil)).Where("first AND hash <> ?", k.Hash).Exec(ctx); err != nil {
			return err
		}
		_, err := tx.NewInsert().Model(toKeyRow(k)).On("CONFLICT (hash) DO UPDATE").
			Set("first = EXCLUDED.first, permissions = EXCLUDED.permissions, expires_at = EXCLUDED.expires_at").Exec(ctx)
		return err
	})
}

// Keys implements tenancy.Store.
func (d *DB) Keys(ctx context.Context, organization string) ([]tenancy.Key, error) {
	var rows []keyRow
	err := d.db.NewSelect().Model(&rows).Where("organization_id = ?", organization).
		OrderExpr("last_used_at IS NULL, last_used_at DESC, created_at DESC, name").Scan(ctx)
	keys := make([]tenancy.Key, len(rows))
	for i := range rows {
		keys[i] = rows[i].key()
	}
	return keys, explain(err)
}

// DeleteKey implements tenancy.Store.
func (d *DB) DeleteKey(ctx context.Context, hash string) error {
	return d.write(ctx, func(tx bun.Tx) error {
		_, err := tx.NewDelete().Model((*keyRow)(nil)).Where("hash = ?", hash).Exec(ctx)
		return err
	})
}

func (d *DB) insert(ctx context.Context, row any) error {
	return d.write(ctx, func(tx bun.Tx) error {
		_, err := tx.NewInsert().Model(row).On("CONFLICT DO NOTHING").Exec(ctx)
		return err
	})
}

// KeyByHash implements tenancy.Store.
func (d *DB) KeyByHash(ctx context.Context, hash string) (tenancy.Key, error) {
	var r keyRow
	if err := d.db.NewSelect().Model(&r).Where("hash = ?", hash).Scan(ctx); err != nil {
		return tenancy.Key{}, explain(err)
	}
	return r.key(), nil
}

// KeyUsed implements tenancy.Store.
func (d *DB) KeyUsed(ctx context.Context, hash string, at time.Time) error {
	return d.write(ctx, func(tx bun.Tx) error {
		_, err := tx.NewUpdate().Model((*keyRow)(nil)).Set("last_used_at = ?", at).Where("hash = ?", hash).Exec(ctx)
		return err
	})
}

// Organization implements tenancy.Store.
func (d *DB) Organization(ctx context.Context, id string) (tenancy.Organization, error) {
	return d.organization(ctx, "id = ?", id)
}

// PersonalOrganization implements tenancy.Store.
func (d *DB) PersonalOrganization(ctx context.Context, user string) (tenancy.Organization, error) {
	return d.organization(ctx, "personal AND created_by = ?", user)
}

func (d *DB) organization(ctx context.Context, where string, arg any) (tenancy.Organization, error) {
	var r organizationRow
	if err := d.db.NewSelect().Model(&r).Where(where, arg).Limit(1).Scan(ctx); err != nil {
		return tenancy.Organization{}, explain(err)
	}
	return tenancy.Organization{
		ID: r.ID, Name: r.Name, CreatedBy: r.CreatedBy, Personal: r.Personal, CreatedAt: r.CreatedAt, UpdatedAt: r.UpdatedAt,
	}, nil
}

// User implements tenancy.Store.
func (d *DB) User(ctx context.Context, id string) (tenancy.User, error) {
	var r userRow
	if err := d.db.NewSelect().Model(&r).Where("id = ?", id).Scan(ctx); err != nil {
		return tenancy.User{}, explain(err)
	}
	return tenancy.User{ID: r.ID, Name: r.Name, Email: r.Email, CreatedAt: r.CreatedAt}, nil
}
