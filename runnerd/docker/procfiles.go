package docker

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/docker/docker/api/types/mount"
)

// procFiles are the files of /proc in which programs look up their memory and processors. Without lxcfs they show the
// whole machine's. lxcfs has files of the same names that show the limits of the reader's control group.
var procFiles = []string{"meminfo", "cpuinfo", "stat", "uptime", "loadavg", "swaps"}

const (
	lxcfsFolder = "/var/lib/lxcfs/proc" // of Debian's lxcfs
	lxcfsWithin = time.Second           // time for it to answer
)

// ErrNoAnswer is returned for an lxcfs that is mounted and does not answer.
var ErrNoAnswer = errors.New("lxcfs does not answer")

// procView decides what is mounted over procFiles in sandboxes. The mounts of a container are fixed when it is made,
// and it cannot start while one of their sources is missing. So containers mount symbolic links of ours. The links
// lead to lxcfs while it answers, and to the machine's own files while it does not.
type procView struct {
	links string // folder of the links, made when needed; "" leaves /proc as it is
	lxcfs string // folder

	mu    sync.Mutex
	asked *question // nil when nobody waits for lxcfs
	led   string    // where the links lead; "" before it is known
}

// question is one read of lxcfs. A file system in user space can block its readers for ever, so only one goroutine
// reads at a time and others wait for its result.
type question struct {
	until time.Time
	done  chan struct{} // closed when err is set
	err   error
}

// mounts returns the mounts of a new container. There are none while lxcfs does not answer or the links cannot be made.
func (v *procView) mounts(ctx context.Context) (all []mount.Mount) {
	if v.links == "" || v.answers(ctx) != nil || v.lead(v.lxcfs) != nil {
		return nil
	}
	for _, name := range procFiles {
		all = append(all, bind(filepath.Join(v.links, name), "/proc/"+name, true))
	}
	return all
}

// refresh updates the links. Call it before each start of a container, because the container may have been made
// with such mounts, perhaps by an earlier run of Sandlot.
func (v *procView) refresh(ctx context.Context) error {
	if v.links == "" {
		return nil
	}
	if v.answers(ctx) != nil {
		return v.lead("/proc")
	}
	return v.lead(v.lxcfs)
}

// lead makes the links point to the files of a folder.
func (v *procView) lead(to string) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.led == to {
		return nil
	}
	err := os.MkdirAll(v.links, 0o755)
	for _, name := range procFiles {
		if err != nil {
			break
		}
		link := filepath.Join(v.links, name)
		_ = os.Remove(link + ".new") // left by a crash, or not there
		if err = os.Symlink(filepath.Join(to, name), link+".new"); err == nil {
			err = os.Rename(link+".new", link)
		}
	}
	if err != nil {
		return fmt.Errorf("links to what sandboxes see in /proc: %w", err)
	}
	v.led = to
	return nil
}

// answers returns nil if lxcfs has all of procFiles and one of them can be read within lxcfsWithin. Errors:
// fs.ErrNotExist where lxcfs does not run, ErrNoAnswer.
func (v *procView) answers(ctx context.Context) error {
	v.mu.Lock()
	q := v.asked
	if q == nil {
		q = &question{until: time.Now().Add(lxcfsWithin), done: make(chan struct{})}
		v.asked = q
		go func() { // ends with lxcfs, at the latest
			q.err = v.ask()
			v.mu.Lock()
			defer v.mu.Unlock()
			v.asked = nil
			close(q.done)
		}()
	}
	v.mu.Unlock()
	late := time.NewTimer(time.Until(q.until))
	defer late.Stop()
	select {
	case <-q.done:
		return q.err
	case <-late.C:
		return ErrNoAnswer
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// ask waits for lxcfs without a time limit. It reads one file only, since reading all takes more than twice as long.
func (v *procView) ask() error {
	_, err := os.ReadFile(filepath.Join(v.lxcfs, procFiles[0]))
	for _, name := range procFiles[1:] {
		if err == nil {
			_, err = os.Stat(filepath.Join(v.lxcfs, name))
		}
	}
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrNoAnswer, err)
}

// CheckLXCFS returns nil if sandboxes see their own memory and processors in /proc, through lxcfs. Errors:
// fs.ErrNotExist where lxcfs does not run, ErrNoAnswer.
func CheckLXCFS(ctx context.Context) error { return (&procView{lxcfs: lxcfsFolder}).answers(ctx) }
