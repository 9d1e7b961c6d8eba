package keyed

import (
	"context"
	"sync"
)

// Locks are locks by key. The zero value is ready for use, by any number of goroutines.
type Locks struct {
	mu    sync.Mutex
	inUse map[string]*lock
}

type lock struct {
	held  chan struct{} // of one: full while somebody holds the lock
	users int           // holders and waiters; guarded by Locks.mu
}

// Lock waits until nobody else holds key, or ctx ends; then it returns the cause. unlock is to be called once.
func (l *Locks) Lock(ctx context.Context, key string) (unlock func(), err error) {
	one := l.enter(key)
	select {
	case one.held <- struct{}{}:
		return func() { <-one.held; l.leave(key, one) }, nil
	case <-ctx.Done():
		l.leave(key, one)
		return nil, context.Cause(ctx)
	}
}

// InUse reports whether somebody holds key or waits for it.
func (l *Locks) InUse(key string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.inUse[key] != nil
}

func (l *Locks) enter(key string) *lock {
	l.mu.Lock()
	defer l.mu.Unlock()
	one := l.inUse[key]
	if one == nil {
		if l.inUse == nil {
			l.inUse = map[string]*lock{}
		}
		one = &lock{held: make(chan struct{}, 1)}
		l.inUse[key] = one
	}
	one.users++
	return one
}

func (l *Locks) leave(key string, one *lock) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if one.users--; one.users == 0 {
		delete(l.inUse, key)
	}
}
