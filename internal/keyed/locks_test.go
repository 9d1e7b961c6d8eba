package keyed

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"testing"
)

// TestOneHolderForEachKey uses a few keys from many goroutines; the race detector sees a counter that two
// of them change at the same time.
func TestOneHolderForEachKey(t *testing.T) {
	var l Locks
	var counts [3]int
	var all sync.WaitGroup
	for i := range 300 {
		all.Go(func() {
			unlock, err := l.Lock(t.Context(), strconv.Itoa(i%3))
			if err != nil {
				t.Error(err)
				return
			}
			defer unlock()
			counts[i%3]++
		})
	}
	all.Wait()
	if counts != [3]int{100, 100, 100} {
		t.Errorf("counts %v, want 100 each", counts)
	}
	if len(l.inUse) != 0 {
		t.Errorf("%d keys are kept after their use", len(l.inUse))
	}
}

func TestAWaitEndsWithItsContext(t *testing.T) {
	var l Locks
	unlock, err := l.Lock(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	reason := errors.New("the caller left")
	ctx, leave := context.WithCancelCause(t.Context())
	leave(reason)
	if _, err := l.Lock(ctx, "a"); !errors.Is(err, reason) {
		t.Errorf("a wait that was given up: %v", err)
	}
	unlockOther, err := l.Lock(t.Context(), "b")
	if err != nil {
		t.Fatal(err)
	}
	unlockOther()
	unlock()
	if len(l.inUse) != 0 {
		t.Errorf("%d keys are kept after their use", len(l.inUse))
	}
}

func TestAKeyIsInUseWhileItIsHeld(t *testing.T) {
	var l Locks
	unlock, err := l.Lock(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	if !l.InUse("a") || l.InUse("b") {
		t.Errorf("in use: a %v, b %v; want a alone", l.InUse("a"), l.InUse("b"))
	}
	unlock()
	if l.InUse("a") {
		t.Error("a is in use after its unlock")
	}
}
