package lifecycle

import "time"

// Spec is what a sandbox should be, as its runner needs to know it. It holds all that a start from nothing needs.
type Spec struct {
	ID           string // UUID; also the container's name
	Organization string
	Region       string
	Snapshot     string            // name, for the sandbox's own information
	Image        string            // reference in the engine's image store
	User         string            // OS user; "" takes the image's
	Env          map[string]string // the creator's variables
	CPU          int               // cores, at least 1
	Memory       int               // GiB, at least 1
	Disk         int               // GiB; recorded, not enforced by this release
}

// Observed is what a runner sees of one sandbox.
type Observed struct {
	ID            string
	State         State  // Started, Stopped or Destroyed
	Reason        string // why it ended, when it ended by itself; for people
	DaemonVersion string // of its toolbox; "" while not known
}

// Report is what a runner tells the coordinator: one change, or with Full set everything it has.
type Report struct {
	Runner    string
	Full      bool
	Sandboxes []Observed
	At        time.Time
}
