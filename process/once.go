package process

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"sync"

	"github.com/sandlot-dev/sandlot/internal/fault"
)

// maxKept is how many Results a Once keeps; the oldest go first.
const maxKept = 256

// Once runs what has the same key once, and remembers the Results of the last 256 keys. The zero Once is ready for
// use. It is safe for concurrent use.
type Once struct {
	mu    sync.Mutex
	byKey map[string]*keyedRun
	order []string // by age
}

type keyedRun struct {
	what [32]byte      // digest of what was run
	done chan struct{} // closed when the others are set
	res  Result
	err  error
}

// Run calls run and returns its Result, or waits for the call that had the same key first and returns the Result of
// that one. A call that ends with an error is forgotten. what is all that decides on the Result, as a value that can
// be written as JSON. Errors: fault.Unprocessable when the key was used for another what, ctx's cause when it ends
// during the wait.
func (o *Once) Run(ctx context.Context, key string, what any, run func() (Result, error)) (Result, error) {
	text, err := json.Marshal(what)
	if err != nil {
		return Result{}, fmt.Errorf("describe a run: %w", err)
	}
	digest := sha256.Sum256(text)
	r, first := o.join(key, digest)
	if first {
		r.res, r.err = run()
		r.res.kept = true
		if r.err != nil {
			o.forget(key)
		} else {
			r.res.Output.Settle()
		}
		close(r.done)
		return r.res, r.err
	}
	if r.what != digest {
		return Result{}, fault.Newf(fault.Unprocessable,
			"the idempotency key %.80q was used for another command; take a new key", key)
	}
	select {
	case <-r.done:
		return r.res, r.err
	case <-ctx.Done():
		return Result{}, context.Cause(ctx)
	}
}

// join returns the run of a key; first says that there was none, and that the caller has to run it.
func (o *Once) join(key string, what [32]byte) (r *keyedRun, first bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if r, ok := o.byKey[key]; ok {
		return r, false
	}
	if o.byKey == nil {
		o.byKey = map[string]*keyedRun{}
	}
	r = &keyedRun{what: what, done: make(chan struct{})}
	o.byKey[key] = r
	o.order = append(o.order, key)
	o.evictLocked()
	return r, true
}

func (o *Once) forget(key string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.byKey, key)
	if i := slices.Index(o.order, key); i >= 0 {
		o.order = slices.Delete(o.order, i, i+1)
	}
}

// evictLocked forgets the oldest runs beyond maxKept that have ended.
func (o *Once) evictLocked() {
	for i := 0; len(o.order) > maxKept && i < len(o.order); {
		old := o.byKey[o.order[i]]
		select {
		case <-old.done:
			if old.res.Output != nil {
				old.res.Output.Discard()
			}
			delete(o.byKey, o.order[i])
			o.order = slices.Delete(o.order, i, i+1)
		default:
			i++
		}
	}
}
