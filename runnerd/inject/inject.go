// Package inject carries the toolboxd program inside the runner, so that one binary is all that a host needs.
//
// The program has to be in the folder bin when this package is compiled; make build does both in that order. A binary
// that was compiled without it cannot start sandboxes, and says so. Everything here is safe for concurrent use.
package inject

import (
	"embed"
	"errors"
	"io/fs"
)

//go:embed all:bin
var files embed.FS

// ErrMissing is returned if toolboxd was not there when this program was compiled.
var ErrMissing = errors.New("this program was built without toolboxd; build it with: make build")

// Toolboxd is the static Linux executable that becomes the first process of a sandbox; each call returns a copy.
// Errors: ErrMissing.
func Toolboxd() ([]byte, error) {
	program, err := files.ReadFile("bin/toolboxd")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrMissing
	}
	return program, err
}
