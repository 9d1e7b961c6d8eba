package main

import (
	"context"
	"errors"
	"os"
	"sync"
	"testing"
)

func TestVerbsThatReadDoNotTakeTheLock(t *testing.T) {
	data := served(t, os.Getpid())
	ctx, cancel := context.WithCancel(t.Context())
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			for ctx.Err() == nil {
				if _, _, err := readState(data); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for i := range 200 {
		held, err := lock(data)
		if err != nil {
			t.Errorf("start %d beside readers: %v", i, err)
			break
		}
		if _, err := lock(data); !errors.Is(err, errRunning) {
			t.Errorf("a second server: %v, want %v", err, errRunning)
		}
		if s, running, err := readState(data); err != nil || !running || s.PID != os.Getpid() {
			t.Errorf("the server is not seen: %+v, %v, %v", s, running, err)
		}
		if err := held.Close(); err != nil {
			t.Fatal(err)
		}
	}
	cancel()
	readers.Wait()
	if _, running, err := readState(data); running || err != nil {
		t.Errorf("after its end the server runs: %v, %v", running, err)
	}
}
