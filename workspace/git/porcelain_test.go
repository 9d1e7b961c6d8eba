package git

import (
	"io"
	"io/fs"
	"net"
	"net/url"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/sandlot-dev/sandlot/internal/fault"
)

// FuzzStatus holds that no output crashes the reader and that what it takes is whole.
func FuzzStatus(f *testing.F) {
	f.Add("# branch.oid (initial)\x00# branch.head main\x00? a b\x00")
	f.Add("# branch.head (detached)\x00# branch.upstream o/m\x00# branch.ab +1 -2\x001 .M N... 100644 100644 100644 a b f g\x002 R. N... 1 1 1 a b R100 new\x00old\x00u UU N... 1 1 1 1 a b c x\x00")
	f.Fuzz(func(t *testing.T, text string) {
		st, err := parseStatus(strings.NewReader(text))
		if err != nil {
			return
		}
		for _, file := range st.Files {
			if file.Name == "" && !strings.Contains(text, "? /") || file.Staging == "" || file.Worktree == "" {
				t.Fatalf("%+v", file)
			}
		}
		if st.Ahead < 0 || st.Behind < 0 {
			t.Fatalf("%+v", st)
		}
	})
}

func FuzzLog(f *testing.F) {
	f.Add("h\x00a\x00e\x00t\x00m\n\x00")
	f.Fuzz(func(t *testing.T, text string) {
		n := 0
		err := parseLog(strings.NewReader(text), func(Commit) error { n++; return nil })
		if nuls := strings.Count(text, "\x00"); n != nuls/5 || err == nil &&
			(nuls%5 != 0 || text != "" && !strings.HasSuffix(text, "\x00")) {
			t.Fatalf("%d commits from %d fields, %v", n, nuls, err)
		}
	})
}

func TestMessagesAreClassedByWordsOfGitAlone(t *testing.T) {
	c := command{args: []string{"add", "x"}, creds: Credentials{Username: "u", Password: "pw"}}
	err := c.failure(result{code: 1, stderr: []byte("error: pathspec 'No space left on device' did not match any file(s) known to git\n\tAuthentication failed\n")})
	if !strings.Contains(err.Error(), "No space left") || fault.CodeOf(err) != codeNoFile {
		t.Errorf("%v %s", err, fault.CodeOf(err))
	}
	if err := c.failure(result{code: 1, stderr: []byte("fatal: unable to access 'https://a:b@h/pw/': x pw\r10%\rdone\n")}); strings.Contains(err.Error(), "pw") || strings.Contains(err.Error(), "a:b") {
		t.Errorf("%v", err)
	}
	if err := c.failure(result{code: 3}); err == nil || !strings.Contains(err.Error(), "exit code 3") {
		t.Errorf("%v", err)
	}
}

// TestFailuresOfTheSystemAreNotTheCallers has what git writes of them, here and at the other end.
func TestFailuresOfTheSystemAreNotTheCallers(t *testing.T) {
	for _, tc := range []struct {
		text string
		kind fault.Kind
		code string
	}{
		{"warning: unable to access '.git/info/exclude': Too many open files\nfatal: cannot use .git/info/exclude as an exclude file", fault.Unavailable, ""},
		{"fatal: unable to access '/root/.gitconfig': Input/output error", fault.Internal, ""},
		{"fatal: unable to access '/root/.gitconfig': Permission denied", fault.Forbidden, codeNoAccess},
		{"fatal: cannot pread pack file: Input/output error\nfatal: not a valid object name x", fault.Internal, ""},
		{"fatal: Out of memory, malloc failed (tried to allocate 5 bytes)", fault.Unavailable, ""},
		{"error: unable to unlink old 'a': Device or resource busy", fault.Conflict, ""},
		{"fatal: unable to fork: Resource temporarily unavailable", fault.Unavailable, ""},
		{"fatal: unable to read tree: Stale file handle", fault.Unavailable, ""},
		{"error: unable to create file a: Text file busy", fault.Unavailable, ""},
		{"fatal: write error: No space left on device", fault.Full, codeDiskFull},
		{"error: unable to write file x: Read-only file system", fault.Forbidden, codeNoAccess},
		{"fatal: something nobody has thought of", fault.Internal, ""},
		{
			"remote: fatal: write error: No space left on device\nerror: remote unpack failed: unpack-objects abnormal exit",
			fault.Unprocessable, codeRejected,
		},
		{"remote: fatal: Out of memory, malloc failed\nfatal: early EOF", fault.Upstream, codeTransport},
		{"remote: fatal: Input/output error\nfatal: the remote end hung up unexpectedly", fault.Upstream, codeTransport},
	} {
		c := command{args: []string{"status"}}
		err := c.failure(result{code: 128, stderr: []byte(tc.text)})
		if fault.KindOf(err) != tc.kind || fault.CodeOf(err) != tc.code {
			t.Errorf("%s\n\tis %v %q, want %v %q", tc.text, fault.KindOf(err), fault.CodeOf(err), tc.kind, tc.code)
		}
	}
}

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
