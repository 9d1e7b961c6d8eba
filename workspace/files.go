package workspace

import (
	"crypto/rand"
	"io/fs"
	"path"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/internal/linux"
)

// TempPrefix starts the names of files that are being written.
const TempPrefix = ".sandlot-"

// tempName is a name that no other file has.
func tempName() string { return TempPrefix + strings.ToLower(rand.Text()[:13]) }

// Files is the file system of one sandbox, with relative paths starting at one folder.
type Files struct{ dir string }

// New returns the Files whose relative paths start at dir, an absolute path. dir need not exist (yet).
func New(dir string) (*Files, error) {
	if !path.IsAbs(dir) {
		return nil, fault.Newf(fault.Invalid, "workspace: folder %q is not absolute", dir)
	}
	return &Files{dir: path.Clean(dir)}, nil
}

// Info describes a file. For symbolic links it is what they lead to, except where they lead nowhere.
type Info struct {
	Dir     string // the folder it was found in, with or without a "/" at its end; "" for the root
	Name    string // last element of the path
	Size    int64  // bytes
	Mode    fs.FileMode
	ModTime time.Time
	UID     uint32
	GID     uint32
}

// Path is the absolute path.
func (i *Info) Path() string {
	if i.Dir == "" || strings.HasSuffix(i.Dir, "/") {
		return i.Dir + i.Name
	}
	return i.Dir + "/" + i.Name
}

// Stat describes the file at path, following links. Errors: FILE_NOT_FOUND also for links that lead nowhere.
func (f *Files) Stat(name string) (Info, error) {
	abs, err := f.resolve(name)
	if err != nil {
		return Info{}, err
	}
	var st unix.Stat_t
	if err := linux.Retry(func() error { return unix.Stat(abs, &st) }); err != nil {
		return Info{}, f.missing(name, explain("info", name, err))
	}
	if abs = simplify(abs); abs == "/" {
		return newInfo("", "/", &st), nil
	}
	dir, base := path.Split(abs)
	return newInfo(dir, base, &st), nil
}

// resolve makes a path absolute and refuses what no system call would take. It does not clean: ".." after a link is the
// kernel's to follow.
func (f *Files) resolve(name string) (string, error) {
	if name == "" {
		return "", invalidPath("the path is empty; name a file or folder")
	}
	if strings.IndexByte(name, 0) >= 0 {
		return "", invalidPath("the path %q holds a NUL byte, which no file name can", shorten(name))
	}
	abs := name
	if name[0] != '/' {
		abs = strings.TrimSuffix(f.dir, "/") + "/" + name
	}
	if len(abs) >= unix.PathMax {
		return "", explain("use", name, unix.ENAMETOOLONG)
	}
	return abs, nil
}

// missing says so when a relative name was not found because the folder that it starts from is gone.
func (f *Files) missing(name string, err error) error {
	if fault.CodeOf(err) != codeNotFound || strings.HasPrefix(name, "/") {
		return err
	}
	var st unix.Stat_t
	if unix.Stat(f.dir, &st) != unix.ENOENT {
		return err
	}
	return fault.Codef(fault.NotFound, codeNotFound,
		"%w: the working folder %s itself is gone; make it again or give an absolute path", err, f.dir)
}

// simplify is path.Clean for paths without "..", absolute or not. Of others it removes the trailing slashes alone: ".."
// behind a link leads elsewhere than Clean takes it.
func simplify(abs string) string {
	if !strings.Contains(abs, "..") {
		return path.Clean(abs)
	}
	for len(abs) > 1 && strings.HasSuffix(abs, "/") {
		abs = abs[:len(abs)-1]
	}
	return abs
}

func newInfo(dir, name string, st *unix.Stat_t) Info {
	return Info{
		Dir: dir, Name: name, Size: st.Size, Mode: fileMode(st.Mode), ModTime: time.Unix(st.Mtim.Unix()), UID: st.Uid,
		GID: st.Gid,
	}
}

// fileMode is st_mode in Go's form, as package os translates it.
func fileMode(m uint32) fs.FileMode {
	mode := fs.FileMode(m & 0o777)
	switch m & unix.S_IFMT {
	case unix.S_IFBLK:
		mode |= fs.ModeDevice
	case unix.S_IFCHR:
		mode |= fs.ModeDevice | fs.ModeCharDevice
	case unix.S_IFDIR:
		mode |= fs.ModeDir
	case unix.S_IFIFO:
		mode |= fs.ModeNamedPipe
	case unix.S_IFLNK:
		mode |= fs.ModeSymlink
	case unix.S_IFSOCK:
		mode |= fs.ModeSocket
	}
	if m&unix.S_ISGID != 0 {
		mode |= fs.ModeSetgid
	}
	if m&unix.S_ISUID != 0 {
		mode |= fs.ModeSetuid
	}
	if m&unix.S_ISVTX != 0 {
		mode |= fs.ModeSticky
	}
	return mode
}

func isDir(st *unix.Stat_t) bool  { return st.Mode&unix.S_IFMT == unix.S_IFDIR }
func isLink(st *unix.Stat_t) bool { return st.Mode&unix.S_IFMT == unix.S_IFLNK }

// mustBeRegular refuses folders and everything that could block or has no content of its own.
func mustBeRegular(op, name string, st *unix.Stat_t) error {
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		return nil
	case unix.S_IFDIR:
		return invalidPath("%s %s: it is a folder; name a file", op, name)
	case unix.S_IFIFO:
		return invalidPath("%s %s: it is a FIFO; only regular files can be read and written", op, name)
	case unix.S_IFSOCK:
		return invalidPath("%s %s: it is a socket; only regular files can be read and written", op, name)
	}
	return invalidPath("%s %s: it is a device; only regular files can be read and written", op, name)
}
