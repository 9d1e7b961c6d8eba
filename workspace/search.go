package workspace

import (
	"context"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/internal/linux"
)

// Search hands the paths under name whose last element matches the glob pattern (as path/filepath.Match: * ? [a-z] and
// \) to yield, in walking order, folders and hidden files and the root itself included. Links are not followed. Errors:
// fault.Invalid for a pattern that cannot be read; FILE_NOT_FOUND and FILE_ACCESS_DENIED of name itself.
func (f *Files) Search(ctx context.Context, name, pattern string, yield func(path string) error) error {
	abs, err := f.resolve(name)
	if err != nil {
		return err
	}
	if _, err := filepath.Match(pattern, ""); err != nil || pattern == "" {
		return fault.Newf(fault.Invalid,
			"search: %q is not a glob pattern; use * ? [a-z] and \\ before a literal one of these", pattern)
	}
	return f.missing(name, walk(ctx, abs, simplify(name), func(p string, e entry) error {
		if ok, _ := filepath.Match(pattern, e.name); ok {
			return yield(p)
		}
		return nil
	}))
}

// walk calls visit for the file or folder at abs, called shown, and all below it: sorted by name, a folder before what
// is in it. Folders below that cannot be read, what vanishes, and what lies deeper than any path can lead are passed
// over. From "/" it leaves out /proc, /sys and /dev, which hold no files of anybody's and some without end.
func walk(ctx context.Context, abs, shown string, visit func(path string, e entry) error) error {
	var st unix.Stat_t
	if err := linux.Retry(func() error { return unix.Lstat(abs, &st) }); err != nil {
		return explain("look through", shown, err)
	}
	e := entry{base(abs), byte(st.Mode >> 12)} // DT_… are the file type bits of st_mode
	if e.name == "" {
		e.name = "/"
	}
	if e.kind != unix.DT_DIR {
		return visit(shown, e)
	}
	fd, entries, err := openEntries(unix.AT_FDCWD, abs, unix.O_NOFOLLOW)
	if err != nil {
		return explain("look through", shown, err)
	}
	if err := visit(shown, e); err != nil {
		unix.Close(fd)
		return err
	}
	return walkEntries(ctx, fd, entries, shown, simplify(abs) == "/", visit)
}

// walkEntries visits what is in the folder open as fd, which it closes.
func walkEntries(ctx context.Context, fd int, entries []entry, shown string, isRoot bool,
	visit func(path string, e entry) error,
) error {
	defer unix.Close(fd)
	if err := ctx.Err(); err != nil {
		return err
	}
	prefix := below(shown)
	for _, e := range entries {
		if isRoot && (e.name == "proc" || e.name == "sys" || e.name == "dev") {
			continue
		}
		if e.kind == unix.DT_UNKNOWN {
			var st unix.Stat_t
			if unix.Fstatat(fd, e.name, &st, unix.AT_SYMLINK_NOFOLLOW) != nil {
				continue
			}
			e.kind = byte(st.Mode >> 12)
		}
		p := prefix + e.name
		if err := visit(p, e); err != nil {
			return err
		}
		if e.kind != unix.DT_DIR || len(p) >= unix.PathMax {
			continue
		}
		sub, entries, err := openEntries(fd, e.name, unix.O_NOFOLLOW)
		if err == nil {
			err = walkEntries(ctx, sub, entries, p, false, visit)
		} else {
			err = unlessSkipped("look through", p, err)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// below is what the paths of all that is in a folder begin with.
func below(shown string) string {
	switch shown {
	case "/":
		return "/"
	case ".":
		return ""
	}
	return shown + "/"
}
