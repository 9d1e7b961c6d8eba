package workspace

import (
	"errors"
	"os/user"
	"path"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/internal/linux"
)

// MakeFolder makes the folder name and its missing parents with the permission bits of mode, less the umask for
// parents. An existing folder is left as it is. Errors: INVALID_FILE_PATH where a part of the path is a file.
func (f *Files) MakeFolder(name string, mode uint32) error {
	abs, err := f.resolve(name)
	if err != nil {
		return err
	}
	err = makeAll(abs, mode&0o777)
	if errors.Is(err, unix.EEXIST) {
		return invalidPath("make folder %s: a file of that name exists", name)
	}
	return explain("make folder", name, err)
}

// makeAll makes a folder that is exactly mode, and its parents with mode less the umask. EEXIST means a file has the
// name.
func makeAll(abs string, mode uint32) error {
	for len(abs) > 1 && abs[len(abs)-1] == '/' {
		abs = abs[:len(abs)-1]
	}
	err := makeParents(abs, mode)
	if err == nil {
		return unix.Chmod(abs, mode) // the umask may have taken bits
	}
	if errors.Is(err, errThere) {
		return nil
	}
	return err
}

// errThere says that the folder existed.
var errThere = errors.New("exists")

func makeParents(abs string, mode uint32) error {
	err := linux.Retry(func() error { return unix.Mkdir(abs, mode) })
	if errors.Is(err, unix.ENOENT) && len(abs) > 1 {
		parent := strings.TrimRight(path.Dir(abs), "/")
		if strings.Contains(abs, "..") {
			parent = strings.TrimRight(abs[:strings.LastIndexByte(abs, '/')], "/")
		}
		if parent == "" {
			return err
		}
		if perr := makeParents(parent, mode); perr != nil && !errors.Is(perr, errThere) {
			return perr
		}
		err = linux.Retry(func() error { return unix.Mkdir(abs, mode) })
	}
	if errors.Is(err, unix.EEXIST) || errors.Is(err, unix.EROFS) || errors.Is(err, unix.EACCES) ||
		errors.Is(err, unix.EPERM) {
		var st unix.Stat_t
		if serr := unix.Stat(abs, &st); serr == nil && isDir(&st) {
			return errThere
		} else if serr == nil {
			return unix.EEXIST
		}
	}
	return err
}

// Delete removes the file at name; a folder, whatever it holds, only when recursive is true. Links are removed, never
// followed. The root of the file system is refused.
func (f *Files) Delete(name string, recursive bool) error {
	abs, err := f.resolve(name)
	if err != nil {
		return err
	}
	abs = simplify(abs)
	if abs == "/" {
		return invalidPath("delete %s: that is the whole file system; name something in it", name)
	}
	if last := path.Base(abs); last == "." || last == ".." {
		return invalidPath("delete %s: give the name of the folder that is meant", name)
	}
	var st unix.Stat_t
	if err := linux.Retry(func() error { return unix.Lstat(abs, &st) }); err != nil {
		return f.missing(name, explain("delete", name, err))
	}
	switch {
	case !isDir(&st):
		return explain("delete", name, linux.Retry(func() error { return unix.Unlink(abs) }))
	case !recursive:
		return fault.Newf(fault.Invalid,
			"delete %s: it is a folder; pass recursive=true to delete it with all it holds", name)
	}
	return explain("delete", name, removeTree(abs))
}

// Permissions are what SetPermissions changes; nil and "" leave a part as it is.
type Permissions struct {
	Mode  *uint32 // permission, set-user, set-group and sticky bits
	Owner string  // name or number
	Group string  // name or number
}

// SetPermissions changes mode and owners of what name leads to. Errors: fault.Invalid for a user or group that does not
// exist.
func (f *Files) SetPermissions(name string, p Permissions) error {
	abs, err := f.resolve(name)
	if err != nil {
		return err
	}
	uid, err := number(p.Owner, "user", func(n string) (string, error) {
		u, err := user.Lookup(n)
		if err != nil {
			return "", err
		}
		return u.Uid, nil
	})
	if err != nil {
		return err
	}
	gid, err := number(p.Group, "group", func(n string) (string, error) {
		g, err := user.LookupGroup(n)
		if err != nil {
			return "", err
		}
		return g.Gid, nil
	})
	if err != nil {
		return err
	}
	var st unix.Stat_t
	if err := linux.Retry(func() error { return unix.Stat(abs, &st) }); err != nil {
		return f.missing(name, explain("permissions of", name, err))
	}
	if uid != -1 || gid != -1 { // before the mode: chown drops the set-user bits
		if err := linux.Retry(func() error { return unix.Chown(abs, uid, gid) }); err != nil {
			return explain("permissions of", name, err)
		}
	}
	if p.Mode != nil {
		return explain("permissions of", name, linux.Retry(func() error { return unix.Chmod(abs, *p.Mode&0o7777) }))
	}
	return nil
}

// number returns the id of a user or group given as number or name, -1 for "".
func number(s, what string, lookup func(string) (string, error)) (int, error) {
	if s == "" {
		return -1, nil
	}
	id, err := strconv.ParseUint(s, 10, 32)
	if err != nil {
		var text string
		if text, err = lookup(s); err == nil {
			id, err = strconv.ParseUint(text, 10, 32)
		}
	}
	if no := unix.Errno(0); errors.As(err, &no) && no != unix.ENOENT { // the table is there and could not be read
		return 0, fault.System("look for "+what+" "+s, err)
	}
	if err != nil || id == 1<<32-1 { // -1 means "as it is" to chown
		return 0, fault.Newf(fault.Invalid,
			"there is no %s %q; give a name from the sandbox's own tables or a number", what, s)
	}
	return int(id), nil
}
