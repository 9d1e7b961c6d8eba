package linux

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

func TestRetryGoesOnWhileInterrupted(t *testing.T) {
	calls := 0
	call := func() error {
		if calls++; calls < 3 {
			return unix.EINTR
		}
		return unix.ENOENT
	}
	if err := Retry(call); err != unix.ENOENT || calls != 3 {
		t.Errorf("Retry = %v after %d calls, want ENOENT after 3", err, calls)
	}
	calls = 0
	if n, err := RetryValue(func() (int, error) { return 7, call() }); n != 7 || err != unix.ENOENT || calls != 3 {
		t.Errorf("RetryValue = %d, %v after %d calls, want 7, ENOENT after 3", n, err, calls)
	}
}

func TestMemoryFileStandsAtItsStart(t *testing.T) {
	f, err := MemoryFile("name", []byte("content"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if got, err := io.ReadAll(f); string(got) != "content" || err != nil || f.Name() != "name" {
		t.Errorf("read %q, %v from %q", got, err, f.Name())
	}
}

// TestScratchFileIsInTheFirstFolderThatTakesIt and in none of them under a name.
func TestScratchFileIsInTheFirstFolderThatTakesIt(t *testing.T) {
	before := scratchFolders
	t.Cleanup(func() { scratchFolders = before })
	dir := t.TempDir()
	scratchFolders = []string{dir + "/missing", dir, "/dev/shm"}
	fd, err := ScratchFile()
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if _, err := unix.Pwrite(fd, []byte("x"), 0); err != nil {
		t.Error(err)
	}
	var there, want unix.Stat_t
	if unix.Fstat(fd, &there) != nil || unix.Stat(dir, &want) != nil || there.Dev != want.Dev || there.Nlink != 0 {
		t.Errorf("on device %d with %d names, want device %d and none", there.Dev, there.Nlink, want.Dev)
	}
	if names, _ := filepath.Glob(dir + "/*"); len(names) > 0 {
		t.Errorf("it has a name: %q", names)
	}
	scratchFolders = []string{dir + "/missing"}
	if _, err := ScratchFile(); err != unix.ENOENT {
		t.Errorf("no folder at all: %v", err)
	}
}

func TestScratchFolderIsInThePreferredPlace(t *testing.T) {
	before := scratchFolders
	t.Cleanup(func() { scratchFolders = before })
	preferred, other := t.TempDir(), t.TempDir()
	scratchFolders = []string{other}
	for want, first := range map[string]string{preferred: preferred, other: other + "/missing"} {
		path, err := ScratchFolder(first)
		if err != nil || filepath.Dir(path) != want {
			t.Errorf("ScratchFolder(%q) = %q, %v, want one in %q", first, path, err, want)
		}
		if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o700 {
			t.Errorf("%v, %v", st, err)
		}
	}
	scratchFolders = nil
	if path, err := ScratchFolder(other + "/missing"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no folder at all: %q, %v", path, err)
	}
}
