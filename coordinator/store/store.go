package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"sync"

	"github.com/pressly/goose/v3"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/sqlitedialect"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/sandlot-dev/sandlot/coordinator/fleet"
	"github.com/sandlot-dev/sandlot/coordinator/tenancy"
	"github.com/sandlot-dev/sandlot/internal/fault"
)

var (
	_ fleet.Store   = (*DB)(nil)
	_ tenancy.Store = (*DB)(nil)
)

//go:embed migrations/*.sql
var migrations embed.FS

// DB holds the records. It is safe for concurrent use.
type DB struct {
	db      *bun.DB
	writing sync.Mutex // one writer at a time; SQLite itself would wait by polling
}

// Open opens the database file at path, makes it if it is missing, and brings its schema up to date.
func Open(ctx context.Context, path string) (*DB, error) {
	conn, err := connect(path, "rwc")
	if err != nil {
		return nil, fmt.Errorf("open database %s: %w", path, err)
	}
	if err := migrate(ctx, conn); err != nil {
		return nil, errors.Join(fmt.Errorf("open database %s: %w", path, explain(err)), conn.Close())
	}
	return &DB{db: bun.NewDB(conn, sqlitedialect.New())}, nil
}

// OpenAsIs opens an existing database file without changing its schema. A server may be using the file.
func OpenAsIs(path string) (*DB, error) {
	conn, err := connect(path, "rw")
	if err != nil {
		return nil, fmt.Errorf("open database %s: %w", path, err)
	}
	return &DB{db: bun.NewDB(conn, sqlitedialect.New())}, nil
}

func connect(path, mode string) (*sql.DB, error) {
	dsn := url.URL{Scheme: "file", Opaque: url.PathEscape(path), RawQuery: url.Values{
		"_pragma": {"journal_mode(WAL)", "synchronous(NORMAL)", "busy_timeout(5000)", "foreign_keys(1)"},
		"_txlock": {"immediate"},
		"mode":    {mode},
	}.Encode()}
	conn, err := sql.Open("sqlite", dsn.String())
	if err != nil {
		return nil, err
	}
	conn.SetMaxOpenConns(4)
	conn.SetMaxIdleConns(4)
	return conn, nil
}

func migrate(ctx context.Context, conn *sql.DB) error {
	p, err := provider(conn)
	if err != nil {
		return err
	}
	_, err = p.Up(ctx)
	return err
}

// provider applies the migrations.
func provider(conn *sql.DB) (*goose.Provider, error) {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	return goose.NewProvider(goose.DialectSQLite3, conn, files)
}

// Close closes the database.
func (d *DB) Close() error { return d.db.Close() }

// write runs do in a transaction. One write runs at a time.
func (d *DB) write(ctx context.Context, do func(tx bun.Tx) error) error {
	d.writing.Lock()
	defer d.writing.Unlock()
	return explain(d.db.RunInTx(ctx, nil, func(_ context.Context, tx bun.Tx) error { return do(tx) }))
}

// explain gives errors of the database their kind.
func explain(err error) error {
	var failed *sqlite.Error
	switch {
	case err == nil:
		return nil
	case errors.Is(err, sql.ErrNoRows):
		return fault.New(fault.NotFound, "no such record")
	case errors.As(err, &failed) && failed.Code()&0xff == sqlite3.SQLITE_FULL:
		return fault.Codef(fault.Full, "COORDINATOR_DISK_FULL", "the disk of Sandlot's data folder is full: %w", err)
	}
	return err
}

func unique(err error) bool {
	var failed *sqlite.Error
	return errors.As(err, &failed) && failed.Code() == sqlite3.SQLITE_CONSTRAINT_UNIQUE
}
