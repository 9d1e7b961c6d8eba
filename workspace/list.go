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
)

// entry is one name of a folder as the kernel lists it.
type entry struct {
	name string
	kind byte // DT_…; DT_UNKNOWN where the file system does not tell
}

// List hands the entries of the folder name to yield, sorted by name in byte order, each folder before what is in it.
//
// "" is the working folder. depth 1 gives the folder's own entries, 2 also those of its folders, and so on; links are described by
// their targets but not descended, folders that cannot be read are given but not descended. A link that leads nowhere is described
// by itself; what vanishes meanwhile is left out. List stops at the first error of yield or when ctx ends, and returns it.
func (f *Files) List(ctx context.Context, name string, depth int, yield func(*Info) error) error {
	abs := f.dir
	if name != "" {
		var err error
		if abs, err = f.resolve(name); err != nil {
			return err
		}
	}
	fd, err := openDir(unix.AT_FDCWD, abs, 0)
	if err != nil {
		return f.missing(name, explain("list", orDot(name), err))
	}
	return explain("list", orDot(name), f.list(ctx, fd, tidy(abs), depth, yield))
}

func orDot(name string) string {
	if name == "" {
		return "."
	}
	return name
}

func openDir(at int, name string, flags int) (int, error) {
	return retryFD(func() (int, error) {
		return unix.Openat(at, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC|unix.O_NONBLOCK|flags, 0)
	})
}

// list lists the folder open as fd, which it closes.
func (f *Files) list(ctx context.Context, fd int, dir string, depth int, yield func(*Info) error) error {
	defer unix.Close(fd)
	entries, err := readDir(fd)
	if err != nil {
		return err
	}
	infos := make([]Info, len(entries))
	if err := eachChunk(len(entries), func(from, to int) {
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
		if i%1024 == 0 && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := yield(&infos[i]); err != nil {
			return err
		}
		if depth <= 1 || !infos[i].Mode.IsDir() {
			continue
		}
		sub, err := openDir(fd, entries[i].name, unix.O_NOFOLLOW)
		if err != nil {
			continue // a link, or not ours to read
		}
		if err := f.list(ctx, sub, infos[i].Path(), depth-1, yield); err != nil && !isSystem(err) {
			return err
		}
	}
	return nil
}

// isSystem tells the kernel's refusals, which skip one folder, from errors of the caller, which end the work.
func isSystem(err error) bool {
	var no unix.Errno
	return errors.As(err, &no)
}

func statEntry(fd int, dir, name string) Info {
	var st unix.Stat_t
	err := retry(func() error { return unix.Fstatat(fd, name, &st, 0) })
	if err != nil {
		err = retry(func() error { return unix.Fstatat(fd, name, &st, unix.AT_SYMLINK_NOFOLLOW) })
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
		n, err := retryFD(func() (int, error) { return unix.Getdents(fd, buf) })
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
