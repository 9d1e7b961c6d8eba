package workspace

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sandlot-dev/sandlot/internal/fault"
)

// TestNoCallerIsBlamedForWhatTheSystemFailsAt goes through every error that Linux has. Those with another kind than
// here are nobody's fault but the system's, which are told by their name.
func TestNoCallerIsBlamedForWhatTheSystemFailsAt(t *testing.T) {
	callers := map[syscall.Errno]fault.Kind{
		unix.ENOENT: fault.NotFound, unix.ESRCH: fault.NotFound, unix.EACCES: fault.Forbidden, unix.EPERM: fault.Forbidden,
		unix.EROFS:  fault.Forbidden,
		unix.EEXIST: fault.Conflict, unix.ENOTEMPTY: fault.Conflict, unix.EBUSY: fault.Conflict, unix.ENOTDIR: fault.Invalid,
		unix.EISDIR: fault.Invalid,
		unix.ELOOP:  fault.Invalid, unix.ENAMETOOLONG: fault.Invalid, unix.EINVAL: fault.Invalid, unix.EILSEQ: fault.Invalid,
		unix.EFBIG:      fault.TooLarge,
		unix.EOPNOTSUPP: fault.Unprocessable,
	}
	for no := syscall.Errno(1); no < 134; no++ {
		if unix.ErrnoName(no) == "" {
			continue // there is none of this number
		}
		err := explain("read", "a", &fs.PathError{Op: "open", Path: "a", Err: no})
		kind := fault.KindOf(err)
		if want, ok := callers[no]; ok {
			if kind != want {
				t.Errorf("%s is %v (%v), want %v", unix.ErrnoName(no), kind, err, want)
			}
			continue
		}
		if kind != fault.Internal && kind != fault.Unavailable && kind != fault.Full ||
			fault.KindOf(fmt.Errorf("x: %w", err)) != kind ||
			kind != fault.Full && !strings.Contains(err.Error(), "("+unix.ErrnoName(no)+")") {
			t.Errorf("%s is %v: %v", unix.ErrnoName(no), kind, err)
		}
	}
}

// onePiece is a Source of one piece, or of one and an error.
type onePiece struct {
	content string
	err     error
	handed  bool
}

func (p *onePiece) Next() ([]byte, bool, error) {
	if p.handed {
		return nil, true, p.err
	}
	p.handed = true
	return []byte(p.content), p.err == nil, nil
}

// TestFailuresOfTheSystemAreToldAsSuch meets them.
func TestFailuresOfTheSystemAreToldAsSuch(t *testing.T) {
	dir := t.TempDir()
	f, err := New(dir)
	if err != nil {
		t.Fatal(err)
	}
	want := func(what string, err error, kind fault.Kind, name string) {
		t.Helper()
		if fault.KindOf(err) != kind || !strings.Contains(fmt.Sprint(err), name) {
			t.Errorf("%s: %v (%v), want %v with %s", what, err, fault.KindOf(err), kind, name)
		}
	}
	for name, content := range map[string]string{"a": "text", "b": "text"} {
		if err := os.WriteFile(dir+"/"+name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}

	_, _, err = f.Open("/proc/self/mem") // nothing is mapped at its beginning
	want("a read that fails", err, fault.Internal, "EIO")

	reset := &net.OpError{Op: "read", Net: "tcp", Err: os.NewSyscallError("read", syscall.ECONNRESET)}
	_, err = f.Write("c", &onePiece{content: "x", err: reset})
	if want("an upload that is reset", err, fault.Invalid, "ended early"); !errors.Is(err, ErrCut) {
		t.Errorf("an upload that is reset: %v", err)
	}

	sleep, err := exec.LookPath("sleep")
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(sleep)
	if err != nil {
		t.Fatal(err)
	}
	// so it is written in place
	if err := errors.Join(os.WriteFile(dir+"/run", program, 0o700), os.Link(dir+"/run", dir+"/other")); err != nil {
		t.Fatal(err)
	}
	running := exec.CommandContext(t.Context(), dir+"/run", "1000")
	if err := running.Start(); err != nil {
		t.Fatal(err)
	}
	_, err = f.Write("run", &onePiece{content: "x"})
	want("a write to a running program", err, fault.Unavailable, "ETXTBSY")
	_ = errors.Join(running.Process.Kill(), running.Wait())

	list := func() error { return f.List(t.Context(), "", 2, func(*Info) error { return nil }) }
	find := func() error { return f.Find(t.Context(), ".", "text", func(Match) error { return nil }) }
	search := func() error { return f.Search(t.Context(), ".", "*", func(string) error { return nil }) }
	write := func() error { _, err := f.Write("new", &onePiece{content: "x"}); return err }
	inFile := func() error { // when its folder could be listed still
		s := newSearcher("text")
		defer s.close()
		return s.search(t.Context(), &findJob{
			files: []foundFile{{unix.AT_FDCWD, dir + "/a", "a"}},
			found: make(chan []Match, 1),
		})
	}
	watch := func() error {
		m := NewManager(f)
		defer m.Close()
		_, err := m.Watch("", false, "")
		return err
	}
	without := func(free int, do func() error) error {
		t.Helper()
		var limit unix.Rlimit
		if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
			t.Fatal(err)
		}
		next, err := unix.Dup(0)
		if err != nil {
			t.Fatal(err)
		}
		_ = unix.Close(next)
		low := unix.Rlimit{Cur: uint64(next + free), Max: limit.Max}
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &low); err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
				t.Fatal(err)
			}
		}()
		return do()
	}
	for what, do := range map[string]func() error{
		"list": list, "find": find, "search": search, "write": write,
		"find in a file": inFile,
	} {
		want(what+" without descriptors", without(0, do), fault.Unavailable, "EMFILE")
	}
	want("watch without descriptors", without(0, watch), fault.Limited, "")

	somebody := func(cause error) error {
		_, err := number("somebody", "user", func(string) (string, error) {
			return "", &fs.PathError{Op: "open", Path: "/etc/passwd", Err: cause}
		})
		return err
	}
	want("a table of users that cannot be read", somebody(syscall.EIO), fault.Internal, "EIO")
	want("no table of users", somebody(syscall.ENOENT), fault.Invalid, "no user")

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := f.Find(ctx, ".", "text", func(Match) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("find after its caller: %v", err)
	}
}
