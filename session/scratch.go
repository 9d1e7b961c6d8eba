package session

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/internal/linux"
)

// scratch is the folder of a session's files: the scripts that its shell sources, and the FIFOs of its commands.
type scratch struct {
	dir   string
	names atomic.Int64
}

// newScratch makes the folder where memory is best: on a disk, the files cost more than the commands.
func newScratch() (*scratch, error) {
	dir, err := linux.ScratchFolder("/dev/shm", os.TempDir(), "/var/tmp", "/run", ".")
	if err == nil {
		dir, err = filepath.Abs(dir)
	}
	if err != nil {
		return nil, fault.Newf(fault.Full,
			"a session needs a folder to write to (/dev/shm, /tmp or /var/tmp): %w", err)
	}
	return &scratch{dir: dir}, nil
}

// newName returns a path that no file of the session has had.
func (f *scratch) newName() string { return f.dir + "/" + strconv.FormatInt(f.names.Add(1), 10) }

// writeScript writes a command's text to one of two files, the one that is not previous, and returns its path. The
// shell has read the previous one to its end.
func (f *scratch) writeScript(previous, text string) (path string, err error) {
	if path = f.dir + "/s"; path == previous {
		path = f.dir + "/t"
	}
	err = writeFile(path, text)
	if errors.Is(err, unix.ENOENT) { // a command has removed the folder
		if err = os.Mkdir(f.dir, 0o700); err == nil {
			err = writeFile(path, text)
		}
	}
	return path, err
}

// remove removes the folder. It is in memory or in a temporary folder, so an error has no consequence.
func (f *scratch) remove() { _ = os.RemoveAll(f.dir) }

// writeFile is os.WriteFile that ends the text with a newline. It does not register the file with the runtime's poller,
// as os.WriteFile does.
func writeFile(path, text string) error {
	if !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	fd, err := unix.Open(path, unix.O_WRONLY|unix.O_CREAT|unix.O_TRUNC|unix.O_CLOEXEC, 0o600)
	for err == nil && text != "" {
		n := 0
		if n, err = unix.Write(fd, []byte(text)); err == nil {
			text = text[n:]
		}
	}
	if fd >= 0 {
		err = errors.Join(err, unix.Close(fd))
	}
	if err != nil {
		return &os.PathError{Op: "write", Path: path, Err: err}
	}
	return nil
}

// makeFIFO makes a FIFO and opens it.
func makeFIFO(path string, mode int) (int, error) {
	if err := unix.Mkfifo(path, 0o600); err != nil {
		return -1, &os.PathError{Op: "mkfifo", Path: path, Err: err}
	}
	return openFIFO(path, mode)
}

// openFIFO opens a FIFO that is there.
func openFIFO(path string, mode int) (int, error) {
	const flags = unix.O_NONBLOCK | unix.O_CLOEXEC
	fd, err := linux.RetryValue(func() (int, error) { return unix.Open(path, mode|flags, 0) })
	if err != nil {
		return -1, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return fd, nil
}
