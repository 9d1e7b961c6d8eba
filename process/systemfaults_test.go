package process

import (
	"io/fs"
	"os/user"
	"syscall"
	"testing"

	"github.com/sandlot-dev/sandlot/internal/fault"
)

// TestWhatTheSystemFailsAtIsNotMissing holds that a program or user that could not be looked for is not said to be
// missing.
func TestWhatTheSystemFailsAtIsNotMissing(t *testing.T) {
	at := func(no syscall.Errno) error { return &fs.PathError{Op: "stat", Path: "/bin/x", Err: no} }
	for _, tc := range []struct {
		what string
		err  error
		kind fault.Kind
	}{
		{"program, in no folder", programError("x", fs.ErrNotExist), fault.NotFound},
		{"program, ENOENT", programError("x", at(syscall.ENOENT)), fault.NotFound},
		{"program, ENOTDIR", programError("x", at(syscall.ENOTDIR)), fault.NotFound},
		{"program, EACCES", programError("x", at(syscall.EACCES)), fault.Forbidden},
		{"program, EIO", programError("x", at(syscall.EIO)), fault.Internal},
		{"program, ESTALE", programError("x", at(syscall.ESTALE)), fault.Unavailable},
		{"user, unknown", noUser("x", user.UnknownUserError("x")), fault.NotFound},
		{"user, no table", noUser("x", at(syscall.ENOENT)), fault.NotFound},
		{"user, EIO", noUser("x", at(syscall.EIO)), fault.Internal},
		{"user, EMFILE", noUser("x", at(syscall.EMFILE)), fault.Unavailable},
	} {
		if got := fault.KindOf(tc.err); got != tc.kind {
			t.Errorf("%s: %v is %v, want %v", tc.what, tc.err, got, tc.kind)
		}
	}
}
