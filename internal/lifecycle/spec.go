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
	// Seq numbers the findings of a runner, over all its sandboxes and restarts. Of two findings on a sandbox the one with
	// the higher number is newer. A finding that is reported again keeps its number.
	Seq           uint64
	State         State // Started, Stopped or Destroyed
	Cause         Cause
	Since         time.Time // when it was started or ended, by the engine's clock; zero if that is not known
	Reason        string    // why it ended, when it ended by itself; for people
	DaemonVersion string    // of its toolbox; "" while not known
}

// Cause says why a sandbox came into its state, as far as its runner knows.
type Cause uint8

// The causes.
const (
	Unknown  Cause = iota // an operation of the runner, or the state in which the runner first saw it
	Itself                // it changed, and no operation of the runner was the reason
	WithHost              // it was ended by the end of its engine or host
)

// Report is what a runner sends to the coordinator: changes that no operation caused, or with Full set all its
// sandboxes.
type Report struct {
	Runner    string
	Full      bool
	Seq       uint64 // of a full report: findings with a higher number may be missing from it
	Sandboxes []Observed
}
