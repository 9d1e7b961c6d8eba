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

// ordinaryFiles is a work tree without the pipes, sockets and devices in it. Git leaves them out too, and the library
// would wait for ever in opening them.
type ordinaryFiles struct{ billy.Filesystem }

// mayBlock reports whether a file may keep its reader waiting.
func mayBlock(mode fs.FileMode) bool {
	return mode&(fs.ModeNamedPipe|fs.ModeSocket|fs.ModeDevice|fs.ModeIrregular) != 0
}

func (o ordinaryFiles) Open(name string) (billy.File, error) { return o.OpenFile(name, os.O_RDONLY, 0) }

func (o ordinaryFiles) OpenFile(name string, flag int, perm os.FileMode) (billy.File, error) {
	if _, err := o.Stat(name); err != nil && flag&os.O_CREATE == 0 {
		return nil, err
	}
	return o.Filesystem.OpenFile(name, flag|syscall.O_NONBLOCK, perm) // it may be another file by now
}

func (o ordinaryFiles) Stat(name string) (os.FileInfo, error) {
	return hideOthers(o.Filesystem.Stat(name))
}

func (o ordinaryFiles) Lstat(name string) (os.FileInfo, error) {
	return hideOthers(o.Filesystem.Lstat(name))
}

func hideOthers(st os.FileInfo, err error) (os.FileInfo, error) {
	if err == nil && mayBlock(st.Mode()) {
		return nil, fs.ErrNotExist
	}
	return st, err
}

func (o ordinaryFiles) ReadDir(name string) ([]os.FileInfo, error) {
	list, err := o.Filesystem.ReadDir(name)
	return slices.DeleteFunc(list, func(st os.FileInfo) bool { return mayBlock(st.Mode()) }), err
}

func (o ordinaryFiles) Chroot(name string) (billy.Filesystem, error) {
	below, err := o.Filesystem.Chroot(name)
	return ordinaryFiles{below}, err
}

// checkOrdinary refuses a repository whose own first files would keep the library waiting.
func checkOrdinary(dir string) error {
	own := filepath.Join(dir, ".git")
	if _, err := os.Stat(own); err != nil {
		own = dir // bare, or none
	}
	for _, name := range []string{"", "HEAD", "config", "index", "packed-refs"} {
		file := filepath.Join(own, name)
		if st, err := os.Stat(file); err == nil && mayBlock(st.Mode()) {
			return fault.Newf(fault.Unprocessable, "git: %s is no ordinary file", file)
		}
	}
	return nil
}
