package git

import (
	"io"
	"io/fs"
	"net"
	"net/url"
	"os"
	"syscall"
	"testing"

	"github.com/sandlot-dev/sandlot/internal/fault"
)

func TestFailuresOfTheSystemAreNotTheLibrarysCallers(t *testing.T) {
	inFile := func(no syscall.Errno) error { return &fs.PathError{Op: "read", Path: "a", Err: no} }
	for _, tc := range []struct {
		verb string
		err  error
		kind fault.Kind
		code string
	}{
		{"status", inFile(syscall.EIO), fault.Internal, ""},
		{"clone", inFile(syscall.EIO), fault.Internal, ""},
		{"clone", inFile(syscall.EMFILE), fault.Unavailable, ""},
		{"commit", inFile(syscall.EDQUOT), fault.Full, codeDiskFull},
		{"commit", inFile(syscall.ENOSPC), fault.Full, codeDiskFull},
		{"add", inFile(syscall.EROFS), fault.Forbidden, codeNoAccess},
		{"add", inFile(syscall.ENAMETOOLONG), fault.Invalid, ""},
		{"add", inFile(syscall.EISDIR), fault.Invalid, ""},
		{
			"clone", &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)},
			fault.Upstream, codeTransport,
		},
		{"clone", &url.Error{Op: "Get", URL: "http://a", Err: io.EOF}, fault.Upstream, codeTransport},
		{"clone", &net.DNSError{Err: "no such host", Name: "a"}, fault.Upstream, codeTransport},
		{"fetch", io.ErrUnexpectedEOF, fault.Upstream, codeTransport},
		{"status", io.ErrUnexpectedEOF, fault.Internal, ""},
	} {
		err := libraryError(tc.verb, tc.err)
		if fault.KindOf(err) != tc.kind || fault.CodeOf(err) != tc.code {
			t.Errorf("%s: %v\n\tis %v %q, want %v %q", tc.verb, err, fault.KindOf(err), fault.CodeOf(err), tc.kind, tc.code)
		}
	}
}
