package fleet

import (
	"strconv"
	"time"

	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/internal/lifecycle"
)

// Sandbox is the record of one sandbox. Sizes are cores and GiB, intervals minutes.
type Sandbox struct {
	ID, Organization, Name string
	Region, Runner         string
	Snapshot, Image        string
	User                   string // OS user asked for; "" takes the image's
	Env, Labels            map[string]string
	Public                 bool
	CPU, Memory, Disk      int
	AutoStop               int // 0 is never
	AutoArchive            int // recorded for clients; containers are not archived in this release
	AutoDelete             int // negative is never, 0 as soon as it is stopped
	State, Desired         lifecycle.State
	Reason                 string // why it is in error, or ended by itself
	DaemonVersion          string
	PreviewToken           string    // new on every start
	SigningKey             string    // of signed file addresses; "" until somebody asks for it
	CreatedAt, UpdatedAt   time.Time // UTC
	LastActivityAt         time.Time
	StateAt                time.Time // of the last change of State
	DestroyAt              time.Time // zero: no end set
	Forced                 bool      // the stop that is wanted kills at once
	Seen                   uint64    // lifecycle.Observed.Seq of the newest finding in this record
	Version                int64     // counts the changes of this record, from 0 at its insertion; the Store's
}

// Shown is the state that clients are told.
func (s *Sandbox) Shown() lifecycle.State { return lifecycle.Shown(s.State, s.Desired) }

func (s *Sandbox) spec() lifecycle.Spec {
	return lifecycle.Spec{
		Identity: lifecycle.Identity{
			ID: s.ID, Name: s.Name, Organization: s.Organization, Region: s.Region, Snapshot: s.Snapshot, Labels: s.Labels,
		},
		Resources: lifecycle.Resources{CPU: s.CPU, Memory: s.Memory, Disk: s.Disk},
		Image:     s.Image,
		User:      s.User,
		Env:       s.Env,
	}
}

// Snapshot is what sandboxes are made from.
type Snapshot struct {
	ID, Name, Image   string
	CPU, Memory, Disk int
	CreatedAt         time.Time
}

// The errors that callers branch on.
var (
	ErrNotFound  = fault.Codef(fault.NotFound, "SANDBOX_NOT_FOUND", "sandbox not found")
	ErrNameTaken = fault.Codef(fault.Conflict, "SANDBOX_NAME_TAKEN",
		"a sandbox of this name exists; choose another or delete that one")
)

// Query selects sandboxes of one organisation.
type Query struct {
	Organization             string
	IDPrefix, NamePrefix     string // case does not matter
	NamePart                 string
	Labels                   map[string]string // all must match
	States                   []lifecycle.State // as shown; none means all
	Snapshots, Regions       []string
	MinCPU, MaxCPU           int // 0 is no bound, also in the next two lines
	MinMemory, MaxMemory     int
	MinDisk, MaxDisk         int
	Public                   *bool
	CreatedFrom, CreatedTo   time.Time
	ActivityFrom, ActivityTo time.Time
	DestroyFrom, DestroyTo   time.Time
	Sort                     Sort
	Descending               bool
	After                    *Cursor // the page begins after this row; nil means the first page
	Offset                   int     // rows to skip, for lists with page numbers
	Limit                    int
}

// Sort names the column of a list's order. Ties are broken by id in the same direction.
type Sort string

// The orders.
const (
	SortName     Sort = "name"
	SortCPU      Sort = "cpu"
	SortMemory   Sort = "memory"
	SortDisk     Sort = "disk"
	SortActivity Sort = "last_activity_at"
	SortCreated  Sort = "created_at"
	SortUpdated  Sort = "updated_at"
	SortState    Sort = "state"
	SortSnapshot Sort = "snapshot"
	SortRegion   Sort = "region"
	SortID       Sort = "id"
)

// Cursor is a row of a list: its sort value in words and its id.
type Cursor struct {
	Value string
	ID    string
}

func (q Query) cursor(s Sandbox) *Cursor {
	value := map[Sort]string{
		SortName: s.Name, SortState: string(s.State), SortSnapshot: s.Snapshot, SortRegion: s.Region, SortID: s.ID,
		SortCPU: strconv.Itoa(s.CPU), SortMemory: strconv.Itoa(s.Memory), SortDisk: strconv.Itoa(s.Disk),
		SortActivity: s.LastActivityAt.Format(time.RFC3339Nano), SortCreated: s.CreatedAt.Format(time.RFC3339Nano),
		SortUpdated: s.UpdatedAt.Format(time.RFC3339Nano),
	}
	return &Cursor{Value: value[q.Sort], ID: s.ID}
}
