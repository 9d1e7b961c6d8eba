package docker

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// fakeLXCFS makes a folder with all of procFiles.
func fakeLXCFS(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range procFiles {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("of the sandbox"), 0o444); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestSandboxesStartWhateverBecomesOfLXCFS makes containers, and starts them again, with an lxcfs that is there, that
// is not, and that lets readers wait.
func TestSandboxesStartWhateverBecomesOfLXCFS(t *testing.T) {
	dir := fakeLXCFS(t)
	v := &procView{links: filepath.Join(t.TempDir(), "proc"), lxcfs: dir}
	leads := func(to string) {
		t.Helper()
		for _, name := range procFiles {
			if got, err := os.Readlink(filepath.Join(v.links, name)); err != nil || got != filepath.Join(to, name) {
				t.Errorf("%s leads to %s, %v; want %s", name, got, err, to)
			}
		}
	}
	mounts := func(want int) {
		t.Helper()
		began := time.Now()
		all := v.mounts(t.Context())
		if len(all) != want || time.Since(began) > 2*time.Second {
			t.Errorf("%d mounts after %v; want %d", len(all), time.Since(began), want)
		}
		for _, m := range all {
			if !m.ReadOnly || filepath.Dir(m.Source) != v.links || m.Target != "/proc/"+filepath.Base(m.Source) {
				t.Errorf("mount %+v", m)
			}
		}
	}
	refresh := func(to string) {
		t.Helper()
		began := time.Now()
		if err := v.refresh(t.Context()); err != nil || time.Since(began) > 2*time.Second {
			t.Errorf("refresh: %v after %v", err, time.Since(began))
		}
		leads(to)
	}
	refresh(dir) // a container of an earlier data folder at the same place may need them
	mounts(len(procFiles))
	refresh(dir)

	for _, name := range procFiles {
		if err := os.Rename(filepath.Join(dir, name), filepath.Join(dir, name+".away")); err != nil {
			t.Fatal(err)
		}
	}
	if err := v.answers(t.Context()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without lxcfs: %v", err)
	}
	mounts(0)
	refresh("/proc")

	hung := filepath.Join(dir, procFiles[0]) // who opens it waits for a writer
	if err := unix.Mkfifo(hung, 0o644); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := v.answers(t.Context()); !errors.Is(err, ErrNoAnswer) {
			t.Errorf("with one that hangs: %v", err)
		}
	}
	mounts(0)
	refresh("/proc")
	w, err := os.OpenFile(hung, os.O_WRONLY, 0) // lets the reader go
	if err != nil {
		t.Fatal(err)
	}
	_ = w.Close()
	if err := os.Remove(hung); err != nil {
		t.Fatal(err)
	}

	for _, name := range procFiles {
		if err := os.Rename(filepath.Join(dir, name+".away"), filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	waitFor(t, v) // the reader may be about to go
	mounts(len(procFiles))
	leads(dir)

	// A later process of the same data folder.
	v = &procView{links: v.links, lxcfs: filepath.Join(dir, "none")}
	refresh("/proc")

	// Without a folder for the links containers are made without mounts.
	v = &procView{links: "/proc/none", lxcfs: dir}
	mounts(0)
}

// waitFor waits for the end of a question that is going on.
func waitFor(t *testing.T, v *procView) {
	t.Helper()
	v.mu.Lock()
	q := v.asked
	v.mu.Unlock()
	if q != nil {
		<-q.done
	}
}

func TestOtherKernelsShowTheirOwnProc(t *testing.T) {
	for runtime, want := range map[string]string{"": "/data/proc", "runc": "/data/proc", "runsc": ""} {
		if e := newEngine(t, func(c *Config) { c.Proc, c.Runtime = "/data/proc", runtime }); e.proc.links != want {
			t.Errorf("runtime %q: links in %q, want %q", runtime, e.proc.links, want)
		}
	}
}
