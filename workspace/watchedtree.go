package workspace

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/fsnotify/fsnotify"

	"github.com/sandlot-dev/sandlot/internal/fault"
)

// watchedTree is a folder that the system watches for us, with all below it if recursive. It belongs to one goroutine.
type watchedTree struct {
	root      string
	recursive bool
	walk      func(root string, each fs.WalkDirFunc) error
	notify    *fsnotify.Watcher // nil before open
}

// open begins to watch the tree. From its return on no change is missed.
func (t *watchedTree) open(ctx context.Context) (err error) {
	defer fault.Recovered(&err)
	if t.notify, err = fsnotify.NewWatcher(); err != nil {
		return limits(err)
	}
	return t.add(ctx, t.root, nil)
}

func (t *watchedTree) close() {
	if t.notify != nil {
		_ = t.notify.Close() // nothing is read from it any more
	}
}

// limits explains the system's bounds on watching.
func limits(err error) error {
	switch {
	case errors.Is(err, syscall.ENOSPC):
		return fault.Newf(fault.Limited,
			"there are more folders than this machine lets be watched (fs.inotify.max_user_watches); watch a smaller tree")
	case errors.Is(err, syscall.EMFILE):
		return fault.Newf(fault.Limited,
			"there are more watches than this machine allows (fs.inotify.max_user_instances); close some first")
	}
	return err
}

// add watches dir, and all below it if the tree is recursive. What is below dir is published as Created, unless log is
// nil. Folders that are gone or may not be read are passed over; of dir itself that is an error while log is nil.
func (t *watchedTree) add(ctx context.Context, dir string, log *eventLog) error {
	if !t.recursive {
		return limits(t.notify.Add(dir))
	}
	return t.walk(dir, func(p string, d fs.DirEntry, err error) error {
		switch {
		case ctx.Err() != nil:
			return errStopping
		case err != nil && p == dir && log == nil:
			return err
		case err != nil, dir == "/" && (p == "/proc" || p == "/sys" || p == "/dev"):
			return fs.SkipDir
		}
		if log != nil && p != dir {
			log.publish(Event{Kind: Created, Path: p, IsDir: d.IsDir()})
		}
		if !d.IsDir() {
			return nil
		}
		if err := limits(t.notify.Add(p)); fault.KindOf(err) == fault.Limited {
			return err
		} else if err != nil {
			return fs.SkipDir
		}
		return nil
	})
}

// forget stops watching what was below a folder that has another name now; under that it is found anew.
func (t *watchedTree) forget(dir string) {
	if !t.recursive {
		return
	}
	for _, p := range t.notify.WatchList() {
		if p == dir || strings.HasPrefix(p, dir+"/") {
			_ = t.notify.Remove(p) // gone already
		}
	}
}

// follow publishes what happens in the tree until its root is gone or ctx ends, which is io.EOF.
func (t *watchedTree) follow(ctx context.Context, log *eventLog) (err error) {
	defer fault.Recovered(&err)
	for {
		select {
		case <-ctx.Done():
			return io.EOF
		case e, ok := <-t.notify.Events:
			if !ok {
				return io.EOF
			}
			t.publish(ctx, log, e)
			if e.Name == t.root && e.Op&(fsnotify.Remove|fsnotify.Rename) != 0 {
				return io.EOF
			}
		case _, ok := <-t.notify.Errors: // the kernel's queue overflowed, or an event could not be read
			if !ok {
				return io.EOF
			}
			_ = t.add(ctx, t.root, nil) // folders whose creation was missed; an error tells no more than the next line does
			log.publish(log.gap())
		}
	}
}

// publish puts one of the system's events in the log, and follows folders that come and go.
func (t *watchedTree) publish(ctx context.Context, log *eventLog, e fsnotify.Event) {
	if strings.HasPrefix(filepath.Base(e.Name), TempPrefix) {
		return // an upload on its way
	}
	switch {
	case e.Has(fsnotify.Create):
		st, err := os.Lstat(e.Name)
		isDir := err == nil && st.IsDir()
		log.publish(Event{Kind: Created, Path: e.Name, IsDir: isDir})
		if isDir && t.recursive && t.add(ctx, e.Name, log) != nil {
			log.publish(log.gap())
		}
	case e.Has(fsnotify.Remove):
		log.publish(Event{Kind: Removed, Path: e.Name})
	case e.Has(fsnotify.Rename):
		t.forget(e.Name)
		log.publish(Event{Kind: Renamed, Path: e.Name})
	case e.Has(fsnotify.Write):
		log.publish(Event{Kind: Written, Path: e.Name})
	case e.Has(fsnotify.Chmod):
		log.publish(Event{Kind: Changed, Path: e.Name})
	}
}
