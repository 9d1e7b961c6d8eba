package session_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/process/journal"
	"github.com/sandlot-dev/sandlot/session"
)

func TestInputReachesAnAsyncCommand(t *testing.T) {
	s := create(t, newManager(t, session.Config{}), "s")
	for _, hide := range []bool{false, true} {
		c := start(t, s, session.Spec{Script: `read a; read b; echo "got $a $b"`, Async: true, HideEcho: hide})
		for _, line := range []string{"one\n", "two\n"} {
			if err := c.Input([]byte(line)); err != nil {
				t.Fatal(err)
			}
		}
		wait(t, c)
		want := "one\ntwo\ngot one two\n"
		if hide {
			want = "got one two\n"
		}
		if got := text(t, c, journal.Stdout); got != want {
			t.Errorf("hide %v: stdout = %q, want %q", hide, got, want)
		}
		if err := c.Input([]byte("x")); !errors.Is(err, session.ErrCompleted) {
			t.Errorf("input after the end: %v", err)
		}
	}
	c := start(t, s, session.Spec{Script: "sleep 0.3", Async: true})
	var err error
	for range 100 {
		if err = c.Input(make([]byte, 1000)); err != nil {
			break
		}
	}
	if fault.KindOf(err) != fault.Conflict {
		t.Errorf("input nobody reads: %v, want kind conflict", err)
	}
	wait(t, c)
}

func TestPromptsAreSeenAtOnce(t *testing.T) {
	s := create(t, newManager(t, session.Config{}), "s")
	c := start(t, s, session.Spec{Script: `printf 'Name: '; read n; echo "Hello $n"`, Async: true})
	var got []byte
	err := c.Follow(t.Context(), 0, func(chunk journal.Chunk) error {
		got = append(got, chunk.Data...)
		if string(got) == "Name: " {
			return c.Input([]byte("Ann\n"))
		}
		return nil
	})
	if err != nil || string(got) != "Name: Ann\nHello Ann\n" {
		t.Errorf("followed %q, %v", got, err)
	}
}

func TestFollowersGetTheSameBytes(t *testing.T) {
	s := create(t, newManager(t, session.Config{Limits: journal.Limits{Memory: 256 << 10}}), "s")
	data := make([]byte, 20<<20)
	rnd := rand.NewChaCha8([32]byte{1})
	_, _ = rnd.Read(data)
	file := filepath.Join(t.TempDir(), "data")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	c := start(t, s, session.Spec{Script: "cat " + file, Async: true})
	var followers sync.WaitGroup
	for i := range 3 {
		followers.Go(func() {
			h := sha256.New()
			at, n := int64(0), int64(0)
			for at < int64(len(data)) { // the second and third reconnect now and then
				ctx, cancel := context.WithCancel(t.Context())
				err := c.Follow(ctx, at, func(chunk journal.Chunk) error {
					if chunk.Offset != at {
						return fmt.Errorf("chunk at %d, want %d", chunk.Offset, at)
					}
					h.Write(chunk.Data)
					at += int64(len(chunk.Data))
					if n++; i > 0 && n%50 == 0 {
						cancel()
					}
					return nil
				})
				cancel()
				if err != nil && !errors.Is(err, context.Canceled) {
					t.Error(err)
					return
				}
			}
			if got, want := [32]byte(h.Sum(nil)), sha256.Sum256(data); got != want {
				t.Errorf("follower %d saw other bytes", i)
			}
		})
	}
	followers.Wait()
	wait(t, c)
	if got := text(t, c, journal.Stdout); sha256.Sum256([]byte(got)) != sha256.Sum256(data) {
		t.Error("the snapshot has other bytes")
	}
}
