package fault_test

import (
	"errors"
	"io"
	"io/fs"
	"syscall"
	"testing"

	"github.com/sandlot-dev/sandlot/internal/fault"
)

func TestWhatTheSystemReportsHasKindAndName(t *testing.T) {
	for _, tc := range []struct {
		err  error
		kind fault.Kind
		text string
	}{
		{syscall.EIO, fault.Internal, "read a: input/output error (EIO)"},
		{syscall.ENOMEM, fault.Unavailable, "read a: cannot allocate memory (ENOMEM)"},
		{syscall.ETXTBSY, fault.Unavailable, "read a: text file busy (ETXTBSY)"},
		{syscall.EDQUOT, fault.Full, "read a: disk quota exceeded (EDQUOT)"},
		{syscall.EINVAL, fault.Internal, "read a: invalid argument (EINVAL)"},
		{syscall.Errno(4000), fault.Internal, "read a: errno 4000 (unknown to us)"},
		{
			&fs.PathError{Op: "open", Path: "b", Err: syscall.EMFILE}, fault.Unavailable,
			"read a: open b: too many open files (EMFILE)",
		},
		{io.EOF, fault.Internal, "read a: EOF"},
	} {
		err := fault.System("read a", tc.err)
		if fault.KindOf(err) != tc.kind || err.Error() != tc.text || !errors.Is(err, tc.err) {
			t.Errorf("%v became %v %q, want %v %q", tc.err, fault.KindOf(err), err, tc.kind, tc.text)
		}
	}
}
