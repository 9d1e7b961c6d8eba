package flow_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/sandlot-dev/sandlot/internal/flow"
)

// TestAllArrivesWithinTheWindow sends pieces of all sizes through a small window.
func TestAllArrivesWithinTheWindow(t *testing.T) {
	const window = 1000
	credit, queue := flow.NewCredit(window), flow.NewQueue(window)
	want := make([]byte, 1<<20)
	for i := range want {
		want[i] = byte(rand.Uint32())
	}
	var both sync.WaitGroup
	both.Go(func() {
		defer queue.End()
		for rest := want; len(rest) > 0; {
			n, err := credit.Wait(t.Context(), min(len(rest), 1+rand.IntN(700)))
			if err == nil {
				credit.Spend(n)
				err = queue.Put(rest[:n])
			}
			if err != nil {
				t.Error(err)
				return
			}
			rest = rest[n:]
		}
	})
	var got bytes.Buffer
	for {
		p, err := queue.Next(t.Context(), 1+rand.IntN(300))
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		got.Write(p)
		queue.Done()
		credit.Give(int64(len(p)))
	}
	both.Wait()
	if !bytes.Equal(got.Bytes(), want) {
		t.Errorf("%d bytes came of %d, or others", got.Len(), len(want))
	}
}

func TestSenderWithoutCreditIsRefused(t *testing.T) {
	queue := flow.NewQueue(10)
	if err := queue.Put(make([]byte, 10)); err != nil {
		t.Error(err)
	}
	if _, err := queue.Next(t.Context(), 5); err != nil {
		t.Error(err)
	}
	if err := queue.Put(make([]byte, 1)); !errors.Is(err, flow.ErrOverrun) { // what was given is not done with
		t.Errorf("%v, want %v", err, flow.ErrOverrun)
	}
	queue.Done()
	if err := queue.Put(make([]byte, 5)); err != nil {
		t.Error(err)
	}
}

func TestReceiverCannotGiveMoreThanItsWindow(t *testing.T) {
	credit := flow.NewCredit(10)
	for _, n := range []int64{math.MaxInt64, math.MaxInt64, -5, 100} {
		credit.Give(n)
		if got, err := credit.Wait(t.Context(), 1000); got != 10 || err != nil {
			t.Errorf("after Give(%d): %d, %v; want 10", n, got, err)
		}
	}
	credit.Spend(10)
	ctx, cancel := context.WithCancelCause(t.Context())
	gone := errors.New("gone")
	cancel(gone)
	if _, err := credit.Wait(ctx, 1); !errors.Is(err, gone) {
		t.Errorf("%v, want %v", err, gone)
	}
	if n, err := flow.NewCredit(0).Wait(t.Context(), 1000); n != 1000 || err != nil {
		t.Errorf("without bound: %d, %v", n, err)
	}
}
