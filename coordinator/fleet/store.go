package fleet

import (
	"context"
	"time"
)

// Store keeps the records of an installation, with one interface per noun. fleettest.Store holds an implementation to
// this contract.
type Store interface {
	Sandboxes
	Deadlines
	Activities
	Links
	Doors
	Snapshots
}

// Sandboxes keeps the records of sandboxes. Names are unique within an organisation; the name of a sandbox that is
// being deleted is free.
type Sandboxes interface {
	InsertSandbox(ctx context.Context, s Sandbox) error // ErrNameTaken
	// Sandbox finds by id, else by name. ErrNotFound.
	Sandbox(ctx context.Context, organization, idOrName string) (Sandbox, error)
	SandboxByID(ctx context.Context, id string) (Sandbox, error) // ErrNotFound
	// ChangeSandbox reads the record, calls change, increments Version and writes, in one transaction. If change returns
	// an error, nothing is written and that error is returned. ErrNotFound, ErrNameTaken.
	ChangeSandbox(ctx context.Context, id string, change func(*Sandbox) error) (Sandbox, error)
	// DeleteSandbox removes the record and remembers the deletion for a week.
	DeleteSandbox(ctx context.Context, id string) error
	Deleted(ctx context.Context, ids []string) ([]string, error)        // those of ids whose deletion is remembered
	LastSeen(ctx context.Context, runner string) (uint64, error)        // the highest Seen on a runner
	ListSandboxes(ctx context.Context, q Query) ([]Sandbox, int, error) // and the number of all that match
	SandboxesOn(ctx context.Context, runner string) ([]Sandbox, error)
}

// Deadlines finds sandboxes by the time at which they may expire. Every write of a record sets that time to
// Sandbox.Due; Postpone changes it. The look-up uses an index, so its cost does not grow with the number of
// sandboxes.
type Deadlines interface {
	Due(ctx context.Context, runner string, by time.Time, limit int) ([]Sandbox, error) // the earliest first
	NextDue(ctx context.Context, runner string) (time.Time, error)                      // zero for none
	// Postpone ignores records that have another version by now.
	Postpone(ctx context.Context, list []Postponed) error
}

// Postponed is a sandbox that is not due yet.
type Postponed struct {
	ID      string
	Version int64     // of the record that DueAt was computed from
	DueAt   time.Time // zero for never
}

// Activities keeps when sandboxes were last active. It is a part of their records.
type Activities interface {
	// PutActivity writes the latest activity by sandbox, in one transaction. Times that are not later than the written
	// one, and sandboxes without a record, are ignored.
	PutActivity(ctx context.Context, last map[string]time.Time) error
}

// Links keeps signed preview links.
type Links interface {
	// PutLink writes a link and deletes those that have expired. ErrNotFound if the sandbox is gone.
	PutLink(ctx context.Context, l Link) error
	LinkByHash(ctx context.Context, hash string) (Link, error) // ErrNoLink
	DeleteLink(ctx context.Context, l Link) error              // if hash, sandbox and port are the same
}

// Doors keeps the ports that were opened at addresses of their own.
type Doors interface {
	PutDoor(ctx context.Context, d Door) error // ErrNotFound when the sandbox is gone
	Doors(ctx context.Context) ([]Door, error)
}

// Snapshots keeps what sandboxes are made from.
type Snapshots interface {
	Snapshot(ctx context.Context, idOrName string) (Snapshot, error) // fault.NotFound
	PutSnapshot(ctx context.Context, s Snapshot) error               // by name
}
