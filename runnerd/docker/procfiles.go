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

// procFiles are those files of /proc that programs take for what they have, and that show the whole machine. lxcfs
// shows to each who reads them what the reader's control group has.
var procFiles = []string{"meminfo", "cpuinfo", "stat", "uptime", "loadavg", "swaps"}

const (
	lxcfsFolder = "/var/lib/lxcfs/proc" // of the distribution's lxcfs
	lxcfsWithin = time.Second           // in which it must answer
)

// ErrNoAnswer is returned for an lxcfs that is there and does not answer.
var ErrNoAnswer = errors.New("lxcfs does not answer")

// procView says what stands behind procFiles in sandboxes. A container's mounts are fixed when it is made, and it
// could not be started while a source of them is missing. So it mounts links of ours, which lead to lxcfs while that
// answers, and to the machine's own files while not.
type procView struct {
	links string // folder for them, made when it is needed; "" leaves /proc as it is
	lxcfs string // folder

	mu    sync.Mutex
	asked *question // nil when nobody waits for lxcfs
	led   string    // where the links lead; "" before it is known
}

// question is one that lxcfs was asked. A file system in user space can let who reads wait for ever: then one waits,
// and no other.
type question struct {
	until time.Time
	done  chan struct{} // closed when err is set
	err   error
}

// mounts are those of a new container, none while lxcfs does not answer or the links cannot be made.
func (v *procView) mounts(ctx context.Context) (all []mount.Mount) {
	if v.links == "" || v.answers(ctx) != nil || v.lead(v.lxcfs) != nil {
		return nil
	}
	for _, name := range procFiles {
		all = append(all, bind(filepath.Join(v.links, name), "/proc/"+name, true))
	}
	return all
}

// refresh is to be called before a container is started, which may have such mounts, also of another time of this
// data folder.
func (v *procView) refresh(ctx context.Context) error {
	if v.links == "" {
		return nil
	}
	if v.answers(ctx) != nil {
		return v.lead("/proc")
	}
	return v.lead(v.lxcfs)
}

// lead makes the links lead to the files of a folder.
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

// answers returns nil if lxcfs has all of procFiles, and gives one, within lxcfsWithin. Errors: fs.ErrNotExist where
// it does not run, ErrNoAnswer.
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

// ask waits for lxcfs as long as it takes. To read all files would take more than twice as long.
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

// CheckLXCFS returns nil where sandboxes see their own memory and processors in /proc, by way of lxcfs. Errors:
// fs.ErrNotExist where that does not run, ErrNoAnswer.
func CheckLXCFS(ctx context.Context) error { return (&procView{lxcfs: lxcfsFolder}).answers(ctx) }
