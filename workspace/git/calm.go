package git

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/go-git/go-billy/v5"

	"github.com/sandlot-dev/sandlot/internal/fault"
)

// calm is a work tree without the pipes, sockets and devices in it, as git sees it too: the library would wait in them
// for ever.
type calm struct{ billy.Filesystem }

// waits says whether a file may keep its reader waiting.
func waits(mode fs.FileMode) bool {
	return mode&(fs.ModeNamedPipe|fs.ModeSocket|fs.ModeDevice|fs.ModeIrregular) != 0
}

func (c calm) Open(name string) (billy.File, error) { return c.OpenFile(name, os.O_RDONLY, 0) }

func (c calm) OpenFile(name string, flag int, perm os.FileMode) (billy.File, error) {
	if _, err := c.Stat(name); err != nil && flag&os.O_CREATE == 0 {
		return nil, err
	}
	return c.Filesystem.OpenFile(name, flag|syscall.O_NONBLOCK, perm) // it may be another file by now
}

func (c calm) Stat(name string) (os.FileInfo, error)  { return calmed(c.Filesystem.Stat(name)) }
func (c calm) Lstat(name string) (os.FileInfo, error) { return calmed(c.Filesystem.Lstat(name)) }

func calmed(st os.FileInfo, err error) (os.FileInfo, error) {
	if err == nil && waits(st.Mode()) {
		return nil, fs.ErrNotExist
	}
	return st, err
}

func (c calm) ReadDir(name string) ([]os.FileInfo, error) {
	list, err := c.Filesystem.ReadDir(name)
	return slices.DeleteFunc(list, func(st os.FileInfo) bool { return waits(st.Mode()) }), err
}

func (c calm) Chroot(name string) (billy.Filesystem, error) {
	below, err := c.Filesystem.Chroot(name)
	return calm{below}, err
}

// calmRepository refuses a repository whose own first files would keep the library waiting.
func calmRepository(dir string) error {
	own := filepath.Join(dir, ".git")
	if _, err := os.Stat(own); err != nil {
		own = dir // bare, or none
	}
	for _, name := range []string{"", "HEAD", "config", "index", "packed-refs"} {
		file := filepath.Join(own, name)
		if st, err := os.Stat(file); err == nil && waits(st.Mode()) {
			return fault.Newf(fault.Unprocessable, "git: %s is no ordinary file", file)
		}
	}
	return nil
}
