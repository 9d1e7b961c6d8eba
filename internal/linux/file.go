package linux

import (
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// MemoryFile returns a file that holds content in memory alone and stands at its start. It can be found under no path;
// name is what File.Name says.
func MemoryFile(name string, content []byte) (*os.File, error) {
	fd, err := unix.MemfdCreate("memory", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("memfd_create", err)
	}
	f := os.NewFile(uintptr(fd), name)
	if _, err = f.WriteAt(content, 0); err != nil { // leaves the file at its start
		f.Close()
		return nil, err
	}
	return f, nil
}

// scratchFolders are tried in this order: a disk first, since what is in /dev/shm counts as the sandbox's memory.
var scratchFolders = []string{os.TempDir(), "/var/tmp", "/dev/shm"}

// firstOf returns what the first of dirs gives that does not fail. The error is the last one's.
func firstOf[T any](dirs []string, in func(dir string) (T, error)) (v T, err error) {
	for _, dir := range dirs {
		if v, err = in(dir); err == nil {
			break
		}
	}
	return v, err
}

// ScratchFile opens a new file without a name, for reading and writing, in the first of $TMPDIR or /tmp, /var/tmp and
// /dev/shm that takes one. It is gone when it is closed. The error is the last folder's.
func ScratchFile() (fd int, err error) { return firstOf(scratchFolders, fileIn) }

// ScratchFolder makes a folder, for this user alone, in the first that takes one of preferred and then of those of
// ScratchFile. Its name is short and holds no blank. The caller removes it. The error is the last folder's.
func ScratchFolder(preferred ...string) (path string, err error) {
	return firstOf(append(preferred, scratchFolders...), folderIn)
}

func folderIn(parent string) (path string, err error) {
	for range 100 {
		path = filepath.Join(parent, "sl-"+strings.ToLower(rand.Text()[:5]))
		if err = os.Mkdir(path, 0o700); !errors.Is(err, fs.ErrExist) {
			break
		}
	}
	return path, err
}

func fileIn(dir string) (int, error) {
	const flags = unix.O_RDWR | unix.O_CLOEXEC
	fd, err := RetryValue(func() (int, error) { return unix.Open(dir, unix.O_TMPFILE|flags, 0o600) })
	if err == nil {
		return fd, nil
	}
	name := dir + "/.sandlot-" + strings.ToLower(rand.Text()[:13]) // for a file system without O_TMPFILE
	fd, err = RetryValue(func() (int, error) { return unix.Open(name, unix.O_CREAT|unix.O_EXCL|flags, 0o600) })
	if err != nil {
		return -1, err
	}
	if err := unix.Unlink(name); err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}
