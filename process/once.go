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

// maxKept is how many results of runs with a key are kept; the oldest go first.
const maxKept = 256

// runs remembers the results of runs that were given a key.
type runs struct {
	mu    sync.Mutex
	byKey map[string]*keyedRun
	order []string // by age
}

type keyedRun struct {
	spec [32]byte      // digest of what was run
	done chan struct{} // closed when the others are set
	res  Result
	err  error
}

// once runs spec, or waits for the run of the same key and returns its Result.
func (m *Manager) once(ctx context.Context, spec Spec) (Result, error) {
	key := spec.Key
	digest, err := spec.digest()
	if err != nil {
		return Result{}, err
	}
	m.runs.mu.Lock()
	r, again := m.runs.byKey[key]
	if !again {
		r = &keyedRun{spec: digest, done: make(chan struct{})}
		m.runs.byKey[key] = r
		m.runs.order = append(m.runs.order, key)
		m.runs.evictLocked()
	}
	m.runs.mu.Unlock()
	if !again {
		spec.Key = ""
		r.res, r.err = m.Run(ctx, spec)
		r.res.kept = true
		if r.err != nil {
			m.runs.forget(key)
		} else {
			r.res.Output.Settle()
		}
		close(r.done)
		return r.res, r.err
	}
	if r.spec != digest {
		return Result{}, fault.Newf(fault.Unprocessable, "the idempotency key %.80q was used for another command; take a new key", key)
	}
	select {
	case <-r.done:
		return r.res, r.err
	case <-ctx.Done():
		return Result{}, context.Cause(ctx)
	}
}

func (s *Spec) digest() ([32]byte, error) {
	what := any([]any{s.Script, s.Argv, s.Input})
	if s.code != nil {
		what = s.code
	}
	data, err := json.Marshal([]any{what, s.Dir, s.Env, s.Timeout, s.Split, s.User})
	if err != nil {
		return [32]byte{}, fmt.Errorf("describe a run: %w", err)
	}
	return sha256.Sum256(data), nil
}

func (r *runs) forget(key string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.byKey, key)
	if i := slices.Index(r.order, key); i >= 0 {
		r.order = slices.Delete(r.order, i, i+1)
	}
}

// evictLocked forgets the oldest ended runs that are too many.
func (r *runs) evictLocked() {
	for i := 0; len(r.order) > maxKept && i < len(r.order); {
		old := r.byKey[r.order[i]]
		select {
		case <-old.done:
			if old.res.Output != nil {
				old.res.Output.Discard()
			}
			delete(r.byKey, r.order[i])
			r.order = slices.Delete(r.order, i, i+1)
		default:
			i++
		}
	}
}
