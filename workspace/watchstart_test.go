package workspace

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/sandlot-dev/sandlot/internal/fault"
)

// TestALongWalkDelaysNoOther starts a watch of a tree whose walk does not come to its end. Other watches start and end
// meanwhile; a second reader of the same tree waits for the same walk.
func TestALongWalkDelaysNoOther(t *testing.T) {
	m, walking, goOn := slowWalks(t, "big")
	defer m.Close()
	big := make(chan error, 2)
	start := func() {
		s, err := m.Watch("big", true, "")
		if err == nil {
			s.Close()
		}
		big <- err
	}
	go start()
	<-walking
	go start()
	small := make(chan error, 1)
	go func() {
		s, err := m.Watch("small", true, "")
		if err == nil {
			s.Close()
		}
		small <- err
	}()
	select {
	case err := <-small:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Error("a watch waits for another one's walk")
	}
	select {
	case err := <-big:
		t.Errorf("a watch was ready before its tree was walked: %v", err)
	default:
	}
	close(goOn)
	for range 2 {
		if err := <-big; err != nil {
			t.Error(err)
		}
	}
}

// TestCloseEndsAWalk closes the Manager while a watch is being started.
func TestCloseEndsAWalk(t *testing.T) {
	m, walking, goOn := slowWalks(t, "big")
	started := make(chan error, 1)
	go func() {
		_, err := m.Watch("big", true, "")
		started <- err
	}()
	<-walking
	stopped := make(chan struct{})
	m.mu.Lock()
	for _, w := range m.watches {
		stop := w.stop
		w.stop = sync.OnceFunc(func() { stop(); close(stopped) })
	}
	m.mu.Unlock()
	closed := make(chan struct{})
	go func() { m.Close(); close(closed) }()
	<-stopped
	close(goOn)
	<-closed
	if err := <-started; fault.KindOf(err) != fault.Unavailable {
		t.Errorf("a watch that was being started: %v", err)
	}
}

// slowWalks returns a Manager of a folder with the folders big and small, whose walk of the one called slow begins
// (walking) and does not go on before goOn is closed.
func slowWalks(t *testing.T, slow string) (m *Manager, walking <-chan struct{}, goOn chan<- struct{}) {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"/big/below", "/small"} {
		if err := os.MkdirAll(dir+name, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	f, err := New(dir)
	if err != nil {
		t.Fatal(err)
	}
	m = NewManager(f)
	ctx, began := context.WithCancel(t.Context())
	blocked := make(chan struct{})
	m.walk = func(root string, each fs.WalkDirFunc) error {
		if filepath.Base(root) == slow {
			began()
			<-blocked
		}
		return filepath.WalkDir(root, each)
	}
	return m, ctx.Done(), blocked
}
