package workspace

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/internal/linux"
)

// entry is one name of a folder as the kernel lists it.
type entry struct {
	name string
	kind byte // DT_…; DT_UNKNOWN where the file system does not tell
}

// List hands the entries of the folder name to yield, sorted by name in byte order, each folder before what is in it.
//
// "" is the working folder. depth 1 gives the folder's own entries, 2 also those of its folders, and so on; links are
// described by their targets but not descended, folders that cannot be read are given but not descended. A link that
// leads nowhere is described by itself; what vanishes meanwhile is left out, and what lies deeper than any path can
// lead (4,095 bytes). List stops at the first error of yield or when ctx ends, and returns it.
func (f *Files) List(ctx context.Context, name string, depth int, yield func(*Info) error) error {
	abs := f.dir
	if name != "" {
		var err error
		if abs, err = f.resolve(name); err != nil {
			return err
		}
	}
	fd, entries, err := openEntries(unix.AT_FDCWD, abs, 0)
	if err != nil {
		return f.missing(name, explain("list", orDot(name), err))
	}
	return f.list(ctx, fd, entries, simplify(abs), depth, yield)
}

func orDot(name string) string {
	if name == "" {
		return "."
	}
	return name
}

func openDir(at int, name string, flags int) (int, error) {
	return linux.RetryValue(func() (int, error) {
		return unix.Openat(at, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC|unix.O_NONBLOCK|flags, 0)
	})
}

// openEntries opens a folder and reads it.
func openEntries(at int, name string, flags int) (fd int, entries []entry, err error) {
	if fd, err = openDir(at, name, flags); err != nil {
		return -1, nil, err
	}
	if entries, err = readDir(fd); err != nil {
		unix.Close(fd)
		return -1, nil, err
	}
	return fd, entries, nil
}

// list describes the entries of the folder open as fd, which it closes.
func (f *Files) list(ctx context.Context, fd int, entries []entry, dir string, depth int,
	yield func(*Info) error,
) error {
	defer unix.Close(fd)
	const some = 4096 // described at a time
	for ; len(entries) > 0; entries = entries[min(some, len(entries)):] {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		infos := make([]Info, min(some, len(entries)))
		if err := eachChunk(len(infos), func(from, to int) {
			for i := from; i < to; i++ {
				infos[i] = statEntry(fd, dir, entries[i].name)
			}
		}); err != nil {
			return err
		}
		for i := range infos {
			if infos[i].Name == "" {
				continue // gone since it was listed
			}
			if err := yield(&infos[i]); err != nil {
				return err
			}
			if depth <= 1 || !infos[i].Mode.IsDir() {
				continue
			}
			if err := f.descend(ctx, fd, &infos[i], depth-1, yield); err != nil {
				return err
			}
		}
	}
	return nil
}

// descend lists a folder that was found in the one open as fd, unless it is a link or may not be read.
func (f *Files) descend(ctx context.Context, fd int, i *Info, depth int, yield func(*Info) error) error {
	dir := i.Path()
	if len(dir) >= unix.PathMax {
		return nil
	}
	sub, entries, err := openEntries(fd, i.Name, unix.O_NOFOLLOW)
	if err != nil {
		return unlessSkipped("list", dir, err)
	}
	return f.list(ctx, sub, entries, dir, depth, yield)
}

// unlessSkipped is nil if the kernel refused one file or folder, which is then left out. It is the error if descriptors
// or memory ran out.
func unlessSkipped(op, name string, err error) error {
	if errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE) || errors.Is(err, unix.ENOMEM) {
		return explain(op, name, err)
	}
	return nil
}

func statEntry(fd int, dir, name string) Info {
	var st unix.Stat_t
	err := linux.Retry(func() error { return unix.Fstatat(fd, name, &st, 0) })
	if err != nil {
		err = linux.Retry(func() error { return unix.Fstatat(fd, name, &st, unix.AT_SYMLINK_NOFOLLOW) })
	}
	if err != nil {
		return Info{}
	}
	return newInfo(dir, name, &st)
}

// workers is how many goroutines share a job on files: a sandbox has few processors, and the disk is one.
const workers = 2

// eachChunk calls work for parts of [0, n) that cover it, on up to workers goroutines, and waits for them.
func eachChunk(n int, work func(from, to int)) error {
	if n < 256 {
		work(0, n)
		return nil
	}
	var g errgroup.Group
	for w := range workers {
		g.Go(func() (err error) {
			defer fault.Recovered(&err)
			work(n*w/workers, n*(w+1)/workers)
			return nil
		})
	}
	return g.Wait()
}

var dirBufs = sync.Pool{New: func() any { b := make([]byte, 64<<10); return &b }}

// readDir returns the entries of the folder open as fd, sorted, without "." and "..".
func readDir(fd int) ([]entry, error) {
	bp := dirBufs.Get().(*[]byte)
	defer dirBufs.Put(bp)
	buf := *bp
	var entries []entry
	for {
		n, err := linux.RetryValue(func() (int, error) { return unix.Getdents(fd, buf) })
		if err != nil {
			return nil, err
		}
		if n == 0 {
			break
		}
		// struct linux_dirent64: inode and offset of 8 bytes each, length of the record, type, name ended by NUL
		names := string(buf[:n]) // of which each name is a part
		for at := 0; at+19 <= n; {
			size := int(binary.NativeEndian.Uint16(buf[at+16:]))
			name, _, _ := strings.Cut(names[at+19:at+size], "\x00")
			if name != "." && name != ".." {
				entries = append(entries, entry{name, buf[at+18]})
			}
			at += size
		}
	}
	slices.SortFunc(entries, func(a, b entry) int { return strings.Compare(a.name, b.name) })
	return entries, nil
}
