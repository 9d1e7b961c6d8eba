// Package inject carries the toolboxd program inside the runner, so that one binary is all that a host needs.
//
// The program is built into the folder bin before the package is (make build does both, in that order). A binary that
// was compiled without it works in all but the starting of sandboxes, and says so. The content never changes while a
// program runs; everything here is safe for concurrent use.
package inject

import (
	"embed"
	"errors"
	"io/fs"
)

//go:embed all:bin
var files embed.FS

// ErrMissing is returned where toolboxd had not been built when this program was.
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
