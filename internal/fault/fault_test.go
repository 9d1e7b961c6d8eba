package fault_test

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"syscall"
	"testing"

	"github.com/sandlot-dev/sandlot/internal/fault"
)

func TestKindAndCodeSurviveWrapping(t *testing.T) {
	sentinel := fault.New(fault.NotFound, "session not found")
	for _, tc := range []struct {
		name string
		err  error
		kind fault.Kind
		code string
		text string
	}{
		{"plain error has no kind", io.EOF, fault.Unknown, "", "EOF"},
		{"sentinel", sentinel, fault.NotFound, "", "session not found"},
		{"wrapped sentinel", fmt.Errorf("session %q: %w", "a1", sentinel), fault.NotFound, "", `session "a1": session not found`},
		{"outer kind wins", fault.Newf(fault.Unavailable, "runner: %w", sentinel), fault.Unavailable, "", "runner: session not found"},
		{
			"code is found below", fault.Newf(fault.Invalid, "list: %w", fault.Codef(fault.NotFound, "FILE_NOT_FOUND", "no %s", "a")),
			fault.Invalid, "FILE_NOT_FOUND", "list: no a",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := fault.KindOf(tc.err); got != tc.kind {
				t.Errorf("KindOf = %v, want %v", got, tc.kind)
			}
			if got := fault.CodeOf(tc.err); got != tc.code {
				t.Errorf("CodeOf = %q, want %q", got, tc.code)
			}
			if got := tc.err.Error(); got != tc.text {
				t.Errorf("Error() = %q, want %q", got, tc.text)
			}
		})
	}
	if !errors.Is(fault.Newf(fault.Unavailable, "x: %w", sentinel), sentinel) {
		t.Error("the cause of a Newf error is not reached by errors.Is")
	}
}

func TestAPanicBecomesAnErrorOfNoKind(t *testing.T) {
	run := func(list []int) (err error) {
		defer fault.Recovered(&err)
		return fault.Newf(fault.NotFound, "list holds %d", list[3])
	}
	err := run(nil)
	if err == nil || fault.KindOf(err) != fault.Unknown || !strings.Contains(err.Error(), "index out of range") || !strings.Contains(err.Error(), "fault_test.go") {
		t.Errorf("a panic became %v, want an error of no kind with panic and stack", err)
	}
	if err := run([]int{0, 1, 2, 3}); fault.KindOf(err) != fault.NotFound {
		t.Errorf("without a panic the error became %v", err)
	}
}

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
		{&fs.PathError{Op: "open", Path: "b", Err: syscall.EMFILE}, fault.Unavailable, "read a: open b: too many open files (EMFILE)"},
		{io.EOF, fault.Internal, "read a: EOF"},
	} {
		err := fault.System("read a", tc.err)
		if fault.KindOf(err) != tc.kind || err.Error() != tc.text || !errors.Is(err, tc.err) {
			t.Errorf("%v became %v %q, want %v %q", tc.err, fault.KindOf(err), err, tc.kind, tc.text)
		}
	}
}
