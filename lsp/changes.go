package lsp

import (
	"context"
	"sync"
)

// The protocol's kinds of changes of files.
const (
	fileCreated = 1
	fileChanged = 2
	fileDeleted = 3
)

// maxReported bounds the changes that a server is told of at once. The rest comes with the next request.
const maxReported = 1000

// watched is what a server that looks at no files itself was last told of them.
type watched struct {
	mu     sync.Mutex
	client *client
	states map[string]state
}

// tellChanges tells a server that looks at no files itself which ones have changed since the last time. A new server
// reads them all by itself.
func (s *Server) tellChanges(ctx context.Context, c *client) {
	if !c.program.Watch {
		return
	}
	files, whole := projectFiles(ctx, s.resolver.root, s.language)
	w := &s.watched
	w.mu.Lock()
	defer w.mu.Unlock()
	before := w.states
	if w.client != c {
		before = nil
	}
	now := make(map[string]state, len(files))
	var events []object
	tell := func(path string, kind int) bool {
		if before == nil || len(events) == maxReported {
			return false
		}
		events = append(events, object{"uri": fileURI(path), "type": kind})
		return true
	}
	for _, f := range files {
		now[f.path] = f.state
		was, known := before[f.path]
		switch {
		case !known && !tell(f.path, fileCreated) && before != nil:
			delete(now, f.path)
		case known && was != f.state && !tell(f.path, fileChanged):
			now[f.path] = was
		}
	}
	for path, was := range before {
		if _, still := now[path]; !still && (!whole || !tell(path, fileDeleted)) {
			now[path] = was
		}
	}
	w.client, w.states = c, now
	if len(events) > 0 {
		_ = c.notify("workspace/didChangeWatchedFiles", object{"changes": events}) // the request fails as well
	}
}
