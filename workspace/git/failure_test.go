package git

import (
	"strings"
	"testing"

	"github.com/sandlot-dev/sandlot/internal/fault"
)

func TestMessagesAreClassedByWordsOfGitAlone(t *testing.T) {
	c := command{args: []string{"add", "x"}, creds: Credentials{Username: "u", Password: "pw"}}
	says := func(words string) error { return c.failure(result{code: 1, stderr: []byte(words)}) }
	err := says("error: pathspec 'No space left on device' did not match any file(s) known to git\n" +
		"\tAuthentication failed\n")
	if !strings.Contains(err.Error(), "No space left") || fault.CodeOf(err) != codeNoFile {
		t.Errorf("%v %s", err, fault.CodeOf(err))
	}
	err = says("fatal: unable to access 'https://a:b@h/pw/': x pw\r10%\rdone\n")
	if strings.Contains(err.Error(), "pw") || strings.Contains(err.Error(), "a:b") {
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
		{
			"warning: unable to access '.git/info/exclude': Too many open files\n" +
				"fatal: cannot use .git/info/exclude as an exclude file",
			fault.Unavailable, "",
		},
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
