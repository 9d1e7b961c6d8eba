package lifecycle

import "time"

// Spec says what a sandbox should be. It holds all that a runner needs to create the sandbox, and all that is needed
// to write its record again after the record was lost. As JSON it is flat: containers of earlier releases carry it in
// a label.
type Spec struct {
	Identity
	Resources
	Image string            // reference in the engine's image store
	User  string            // OS user; "" means the image's
	Env   map[string]string // the creator's variables
}

// Identity says which sandbox it is. No other part of a Spec tells two sandboxes apart.
type Identity struct {
	ID           string // UUID; also the container's name
	Name         string // at creation; a later name is in the coordinator's record alone
	Organization string
	Region       string
	Snapshot     string            // name, for the sandbox's own information
	Labels       map[string]string // at creation, as Name
}

// Resources are the limits of a sandbox.
type Resources struct {
	CPU    int // cores, at least 1
	Memory int // GiB, at least 1
	Disk   int // GiB; recorded, not enforced by this release
}

// Observed is what a runner saw of one sandbox.
type Observed struct {
	ID string
	// Seq numbers what a runner finds out, over all its sandboxes and restarts: of two findings on a sandbox the higher
	// is newer. A finding that is told again keeps its number.
	Seq           uint64
	State         State // Started, Stopped or Destroyed
	Cause         Cause
	Since         time.Time // when it was started or ended, by the engine's clock; zero if that is not known
	Reason        string    // why it ended, when it ended by itself; for people
	DaemonVersion string    // of its toolbox; "" while not known
}

// Cause is what a runner knows of how a sandbox came into its state.
type Cause uint8

// The causes.
const (
	Unknown  Cause = iota // an operation of the runner, or it was so when the runner first saw it
	Itself                // the runner saw it change without having been asked
	WithHost              // it was ended by the end of its engine or host
)

// Report is what a runner tells the coordinator: changes that nobody asked for, or with Full set everything it has.
type Report struct {
	Runner    string
	Full      bool
	Seq       uint64 // of a full report: what is newer than this may be missing from it
	Sandboxes []Observed
}
