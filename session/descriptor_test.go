package session_test

import (
	"fmt"
	"os"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sandlot-dev/sandlot/session"
)

// A descriptor that is closed twice is somebody else's the second time.
func TestNobodyElsesDescriptorsAreClosed(t *testing.T) {
	m := newManager(t, session.Config{Shell: "/bin/dash"})
	total := 60
	if os.Getenv("SANDLOT_FULL") != "" {
		total = 2000
	}
	stop := make(chan struct{})
	var guards sync.WaitGroup
	for range 2 {
		guards.Go(func() { // takes what is free, and looks whether it stays
			for {
				select {
				case <-stop:
					return
				default:
				}
				var fds [8]int
				for i := range fds {
					fds[i], _ = unix.Eventfd(0, unix.EFD_CLOEXEC)
				}
				for _, fd := range fds {
					if err := unix.Close(fd); fd >= 0 && err != nil {
						t.Errorf("descriptor %d was closed by somebody else: %v", fd, err)
					}
				}
			}
		})
	}
	var workers sync.WaitGroup
	for w := range 4 {
		workers.Go(func() {
			for i := range total / 4 {
				id := fmt.Sprint(w, ".", i)
				s, err := m.Create(id, "")
				if err != nil {
					t.Error(err)
					return
				}
				c, err := s.Exec(session.Spec{Script: "echo a; echo b >&2; (echo c; echo d >&2) & exit 3", Async: i%2 == 0})
				if err != nil {
					t.Error(err)
					return
				}
				<-c.Done()
				if err := m.Delete(id); err != nil {
					t.Error(err)
				}
			}
		})
	}
	workers.Wait()
	close(stop)
	guards.Wait()
}
