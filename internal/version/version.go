// Package version holds the stamp of this build, set by the linker (see Makefile).
package version

// Version is the release, such as "v0.1.0"; Revision the commit it was built from, "unknown" in a plain `go build`.
var (
	Version  = "v0.1.0-dev"
	Revision = "unknown"
)

// String returns both, as `--version` prints them.
func String() string { return Version + " (" + Revision + ")" }
