package git

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// locks are held by key, one holder at a time for each. The zero value is ready for use.
type locks struct {
	mu    sync.Mutex
	inUse map[string]*lock
}

type lock struct {
	held  chan struct{} // of one: full while somebody holds the lock
	users int           // holders and waiters; guarded by locks.mu
}

// lock waits until nobody else holds key, or ctx ends.
func (l *locks) lock(ctx context.Context, key string) (unlock func(), err error) {
	one := l.enter(key)
	select {
	case one.held <- struct{}{}:
		return func() { <-one.held; l.leave(key, one) }, nil
	case <-ctx.Done():
		l.leave(key, one)
		return nil, context.Cause(ctx)
	}
}

func (l *locks) enter(key string) *lock {
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

func (l *locks) leave(key string, one *lock) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if one.users--; one.users == 0 {
		delete(l.inUse, key)
	}
}

// repositoryKey is the real path of the folder that all work trees of the repository at path have in common: for the
// main one its own.
func repositoryKey(path string) string {
	tree, err := filepath.EvalSymlinks(path)
	if err != nil {
		return path // not made yet
	}
	own := pathIn(tree, ".git", "gitdir: ")
	if own == "" {
		return tree
	}
	common := pathIn(own, "commondir", "")
	if common == "" {
		return tree // a submodule
	}
	return strings.TrimSuffix(common, "/.git")
}

// pathIn is the path that a small file in dir holds behind a prefix, "" when there is none.
func pathIn(dir, file, prefix string) string {
	file = filepath.Join(dir, file)
	if st, err := os.Lstat(file); err != nil || !st.Mode().IsRegular() || st.Size() > 4<<10 {
		return ""
	}
	text, _ := os.ReadFile(file)
	path, ok := strings.CutPrefix(strings.TrimSpace(string(text)), prefix)
	switch {
	case !ok || path == "":
		return ""
	case !filepath.IsAbs(path):
		path = filepath.Join(dir, path)
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	return path
}
