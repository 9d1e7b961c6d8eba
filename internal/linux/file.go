package linux

import (
	"crypto/rand"
	"os"
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
var scratchFolders = []string{"/tmp", "/var/tmp", "/dev/shm"}

// ScratchFile opens a new file without a name, for reading and writing, in the first of /tmp, /var/tmp and /dev/shm that
// takes one. It is gone when it is closed. The error is the last folder's.
func ScratchFile() (fd int, err error) {
	for _, dir := range scratchFolders {
		if fd, err = scratchIn(dir); err == nil {
			return fd, nil
		}
	}
	return -1, err
}

func scratchIn(dir string) (int, error) {
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
