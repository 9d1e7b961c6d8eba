package session_test

import (
	"bytes"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sandlot-dev/sandlot/process/journal"
	"github.com/sandlot-dev/sandlot/session"
)

func TestBackgroundProcessDoesNotHoldTheCommand(t *testing.T) {
	s := create(t, newManager(t, session.Config{}), "s")
	began := time.Now()
	c := start(t, s, session.Spec{Script: "(sleep 1; echo late) & echo now"})
	var followed []byte
	err := c.Follow(t.Context(), 0, func(chunk journal.Chunk) error {
		followed = append(followed, chunk.Data...)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > 900*time.Millisecond || string(followed) != "now\n" {
		t.Errorf("followed %q in %v", followed, took)
	}
	if code, stdout, _ := do(t, s, "echo next"); code != 0 || stdout != "next\n" {
		t.Errorf("next command gave %d, %q", code, stdout)
	}
	if code, _, _ := do(t, s, "wait"); code != 0 {
		t.Errorf("wait gave %d", code)
	}
	r := c.Output().Follow(4)
	defer r.Close()
	if chunk, err := r.Next(t.Context()); err != nil || string(chunk.Data) != "late\n" {
		t.Errorf("later output = %q, %v; want it in the log of its own command", chunk.Data, err)
	}
}

func TestOutputAndCodesAreExact(t *testing.T) {
	m := newManager(t, session.Config{})
	total := 10_000
	if testing.Short() || os.Getenv("SANDLOT_FULL") == "" {
		total = 2_000
	}
	var workers sync.WaitGroup
	for w := range 4 {
		s := create(t, m, fmt.Sprint("s", w))
		workers.Go(func() {
			for i := w; i < total; i += 4 {
				want := fmt.Sprintf("line %d\n", i)
				code, stdout, stderr := do(t, s, fmt.Sprintf("echo line %d; echo err %d >&2; (exit %d)", i, i, i%256))
				if code != i%256 || stdout != want || stderr != "err"+want[4:] {
					t.Errorf("command %d gave %d, %q, %q", i, code, stdout, stderr)
					return
				}
			}
		})
	}
	workers.Wait()
}

func TestOrderOfStreamsIsThatOfWriting(t *testing.T) {
	s := create(t, newManager(t, session.Config{}), "s")
	good := 0
	for range 100 {
		c := start(t, s, session.Spec{Script: "echo err >&2; echo out"})
		wait(t, c)
		if text(t, c, 0) == "err\nout\n" {
			good++
		}
	}
	if good < 95 {
		t.Errorf("%d of 100 in order", good)
	}
}

func TestLateOutputOfManyIsWhole(t *testing.T) {
	s := create(t, newManager(t, session.Config{}), "s")
	var all []*session.Command
	for i := range 30 {
		script := fmt.Sprintf("(sleep 0.%d; seq 1 %d; seq 1 10 >&2) & echo now", 15+i%3, i*1000)
		all = append(all, start(t, s, session.Spec{Script: script}))
	}
	for i, c := range all {
		r := c.Output().Follow(0) // ends when the last process of the command has closed its output
		n := 0
		for {
			chunk, err := r.Next(t.Context())
			if err != nil {
				break
			}
			n += bytes.Count(chunk.Data, []byte("\n"))
		}
		r.Close()
		if want := 1 + i*1000 + 10; n != want {
			t.Errorf("command %d: %d lines, want %d", i, n, want)
		}
	}
}

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
