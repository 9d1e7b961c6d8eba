package fleet

import (
	"context"
	"time"
)

// Store keeps the records of an installation, each noun by itself. fleettest.Store holds an implementation to it.
type Store interface {
	Sandboxes
	Deadlines
	Activities
	Links
	Doors
	Snapshots
}

// Sandboxes keeps the records of sandboxes. Names are unique among those of an organisation that are not wanted
// destroyed.
type Sandboxes interface {
	InsertSandbox(ctx context.Context, s Sandbox) error // ErrNameTaken
	// Sandbox finds by id, else by name. ErrNotFound.
	Sandbox(ctx context.Context, organization, idOrName string) (Sandbox, error)
	SandboxByID(ctx context.Context, id string) (Sandbox, error) // ErrNotFound
	// ChangeSandbox reads, changes, counts the change and writes in one transaction; an error of change writes nothing
	// and is returned.
	// ErrNotFound, ErrNameTaken
	ChangeSandbox(ctx context.Context, id string, change func(*Sandbox) error) (Sandbox, error)
	// DeleteSandbox removes the record and keeps for a week that there was one.
	DeleteSandbox(ctx context.Context, id string) error
	Deleted(ctx context.Context, ids []string) ([]string, error)        // those of ids that DeleteSandbox was called for
	LastSeen(ctx context.Context, runner string) (uint64, error)        // the highest Seen on a runner
	ListSandboxes(ctx context.Context, q Query) ([]Sandbox, int, error) // with the number of all that match
	SandboxesOn(ctx context.Context, runner string) ([]Sandbox, error)
}

// Deadlines finds sandboxes by the time at which something may be due. Every write of a record sets that time to
// Sandbox.Due, and Postpone moves it. An index answers: the cost does not grow with the number of sandboxes.
type Deadlines interface {
	Due(ctx context.Context, runner string, by time.Time, limit int) ([]Sandbox, error) // the earliest first
	NextDue(ctx context.Context, runner string) (time.Time, error)                      // zero for none
	// ignores records of another version
	Postpone(ctx context.Context, list []Postponed) error
}

// Postponed is a sandbox that is not due yet.
type Postponed struct {
	ID      string
	Version int64     // of the record that DueAt was computed from
	DueAt   time.Time // zero for never
}

// Activities keeps when sandboxes were active last, which is a part of their records.
type Activities interface {
	// PutActivity writes in one transaction what is later than what was written, by sandbox. Sandboxes without a record
	// are ignored.
	PutActivity(ctx context.Context, last map[string]time.Time) error
}

// Links keeps signed preview links.
type Links interface {
	// and forgets those that are over; ErrNotFound when the sandbox is gone
	PutLink(ctx context.Context, l Link) error
	LinkByHash(ctx context.Context, hash string) (Link, error) // ErrNoLink
	DeleteLink(ctx context.Context, l Link) error              // if all but Until is the same
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
