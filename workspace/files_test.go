package workspace_test

import (
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/workspace"
)

func open(t *testing.T) (*workspace.Files, string) {
	t.Helper()
	dir := t.TempDir()
	f, err := workspace.New(dir)
	if err != nil {
		t.Fatal(err)
	}
	return f, dir
}

// pieces is a Source; fail is what it returns after them instead of an end.
type pieces struct {
	rest [][]byte
	fail error
}

func (p *pieces) Next() ([]byte, bool, error) {
	if len(p.rest) == 0 {
		return nil, true, p.fail
	}
	piece := p.rest[0]
	p.rest = p.rest[1:]
	return piece, len(p.rest) == 0 && p.fail == nil, nil
}

func text(s ...string) *pieces {
	p := &pieces{}
	for _, piece := range s {
		p.rest = append(p.rest, []byte(piece))
	}
	return p
}

func mustWrite(t *testing.T, name, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func wantContent(t *testing.T, name, want string) {
	t.Helper()
	got, err := os.ReadFile(name)
	if err != nil || string(got) != want {
		t.Errorf("%s holds %.80q, %v; want %.80q", name, got, err, want)
	}
}

func wantFault(t *testing.T, what string, err error, kind fault.Kind, code string) {
	t.Helper()
	if fault.KindOf(err) != kind || fault.CodeOf(err) != code {
		t.Errorf("%s: %v (%v, %q); want %v, %q", what, err, fault.KindOf(err), fault.CodeOf(err), kind, code)
	}
}

func noTemps(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), workspace.TempPrefix) {
			t.Errorf("temporary file %s was left", e.Name())
		}
	}
}

// asUser runs do with the file rights of a plain user, on one thread.
func asUser(t *testing.T, do func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		do()
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		if err := unix.Setfsgid(65534); err != nil {
			t.Error(err)
		}
		if err := unix.Setfsuid(65534); err != nil {
			t.Error(err)
		}
		do()
	}()
	<-done
}

func TestADeletedWorkingFolderIsTold(t *testing.T) {
	dir := t.TempDir() + "/work"
	f, err := workspace.New(dir)
	if err != nil {
		t.Fatal(err)
	}
	_, _, openErr := f.Open("a")
	_, statErr := f.Stat("a")
	results, _ := f.Replace(t.Context(), []string{"a"}, "x", "y")
	_, watchErr := workspace.NewManager(f).Watch("", false, "")
	for what, err := range map[string]error{
		"list": f.List(t.Context(), "", 1, func(*workspace.Info) error { return nil }), "open": openErr, "info": statErr,
		"replace": results[0].Err,
		"delete":  f.Delete("a", true), "move": f.Move("a", "b"),
		"permissions": f.SetPermissions("a", workspace.Permissions{}), "watch": watchErr,
	} {
		wantFault(t, what, err, fault.NotFound, "FILE_NOT_FOUND")
		if !strings.Contains(err.Error(), "the working folder "+dir+" itself is gone") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := f.Stat(dir + "/a"); err == nil || strings.Contains(err.Error(), "working folder") {
		t.Errorf("an absolute path: %v", err)
	}
	if _, err := f.Write("sub/a", text("back")); err != nil { // makes it again
		t.Fatal(err)
	}
	wantContent(t, dir+"/sub/a", "back")
	if _, err := f.Stat("none"); err == nil || strings.Contains(err.Error(), "working folder") {
		t.Errorf("after it is back: %v", err)
	}
}

// FuzzPath holds that no path crashes, blocks or writes outside of what it names.
func FuzzPath(f *testing.F) {
	for _, s := range []string{"a", "../x", "a/../..//b/", "\x00", "fifo", "link/x", strings.Repeat("a/", 3000), "."} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		dir := t.TempDir()
		root := dir + "/root/in/side"
		_ = os.MkdirAll(root, 0o755)
		files, _ := workspace.New(root)
		_ = unix.Mkfifo(root+"/fifo", 0o644)
		_ = os.Symlink(".", root+"/link")
		if strings.HasPrefix(name, "/") || strings.Count(name, "..") > 2 {
			return
		}
		_, err := files.Write(name, text("content"))
		file, _, oerr := files.Open(name)
		if (err == nil) != (oerr == nil) {
			t.Fatalf("%q: written %v, read %v", name, err, oerr)
		}
		if err != nil && fault.KindOf(err) == fault.Unknown {
			t.Fatalf("%q: untyped %v", name, err)
		}
		if oerr == nil {
			got, _ := io.ReadAll(file)
			file.Close()
			if string(got) != "content" {
				t.Fatalf("%q holds %q", name, got)
			}
		}
		_, _ = files.Stat(name)
		_ = files.List(t.Context(), name, 2, func(*workspace.Info) error { return nil })
		_ = files.Find(t.Context(), name, "content", func(workspace.Match) error { return nil })
		_ = files.Move(name, "other")
	})
}

func TestStatTellsAllFields(t *testing.T) {
	f, dir := open(t)
	mustWrite(t, dir+"/file", "12345")
	_ = os.Symlink("file", dir+"/link")
	_ = os.Symlink("none", dir+"/dangling")
	when := time.Unix(1_700_000_000, 123456789)
	_ = os.Chtimes(dir+"/file", when, when)
	_ = unix.Chmod(dir+"/file", 0o6640)
	for _, name := range []string{"file", "link", "./file", dir + "/file"} {
		i, err := f.Stat(name)
		want, _ := os.Stat(dir + "/file")
		if err != nil || i.Size != 5 || i.Mode != want.Mode() || !i.ModTime.Equal(when) || i.Name != filepath.Base(name) ||
			i.Path() != dir+"/"+i.Name {
			t.Errorf("Stat(%q) = %+v, %v", name, i, err)
		}
	}
	for _, name := range []string{"/dev/null", "/tmp", "/"} {
		i, err := f.Stat(name)
		want, _ := os.Stat(name)
		if err != nil || i.Mode != want.Mode() || i.Path() != name {
			t.Errorf("Stat(%q) = %+v, %v; want mode %v", name, i, err, want.Mode())
		}
	}
	_, err := f.Stat("dangling")
	wantFault(t, "dangling", err, fault.NotFound, "FILE_NOT_FOUND")
}
