package lsp

import (
	"cmp"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// maxSymbols bounds the symbols of one answer.
const maxSymbols = 10_000

// DocumentSymbols returns what a document declares, in the server's order; what is nested comes behind what it is in.
func (s *Server) DocumentSymbols(ctx context.Context, uri string) (Symbols, error) {
	found := Symbols{List: []Symbol{}}
	err := s.about(ctx, uri, func(ctx context.Context, c *client, doc document) error {
		list, err := s.symbolsOf(ctx, c, doc.uri)
		found = cut(list)
		return err
	})
	return found, err
}

func cut(list []Symbol) Symbols {
	if list == nil {
		list = []Symbol{}
	}
	return Symbols{List: list[:min(len(list), maxSymbols)], Truncated: len(list) > maxSymbols}
}

// treeSymbol is either of the two forms that a server may answer with. The hierarchical one has no Location.
type treeSymbol struct {
	Symbol
	Range    Range        `json:"range"`
	Children []treeSymbol `json:"children"`
}

// symbolsOf asks a server for a document's symbols.
func (s *Server) symbolsOf(ctx context.Context, c *client, uri string) ([]Symbol, error) {
	if err := need(c, c.caps.DocumentSymbol, "list symbols"); err != nil {
		return nil, err
	}
	var tree []treeSymbol
	err := c.call(ctx, "textDocument/documentSymbol", object{"textDocument": object{"uri": uri}}, &tree)
	if err != nil {
		return nil, err
	}
	list := flatten(nil, tree, uri, "")
	cols := s.columns(c)
	for i := range list {
		cols.fix(uri, &list[i].Location.Range)
	}
	return list, nil
}

// flatten appends a tree to a list: each symbol before what is in it, whose container it is.
func flatten(list []Symbol, tree []treeSymbol, uri, container string) []Symbol {
	for _, t := range tree {
		if len(list) > maxSymbols {
			break
		}
		one := t.Symbol
		if one.Location.URI == "" {
			one.Location = Location{URI: uri, Range: t.Range}
			one.ContainerName = container
		}
		one.Location.URI = ourURI(one.Location.URI)
		list = append(list, one)
		list = flatten(list, t.Children, uri, t.Name)
	}
	return list
}

// WorkspaceSymbols returns what the project declares under names that contain query, which may be empty, whatever
// their case; a server with a search of its own may find more. Truncated says that the search did not get through: it
// is bound by files, symbols and time.
func (s *Server) WorkspaceSymbols(ctx context.Context, query string) (found Symbols, err error) {
	found.List = []Symbol{}
	err = s.do(ctx, func(ctx context.Context, c *client) (err error) {
		if err := s.refresh(ctx, c); err != nil {
			return err
		}
		if has(c.caps.WorkspaceSymbol) {
			found, err = s.askForSymbols(ctx, c, query)
		} else {
			found, err = s.searchSymbols(ctx, c, query)
		}
		return err
	})
	slices.SortStableFunc(found.List, func(a, b Symbol) int {
		return cmp.Compare(rank(a.Name, query), rank(b.Name, query))
	})
	return found, err
}

// rank orders what was found: the name itself, names that begin with it, all others.
func rank(name, query string) int {
	switch name, query = strings.ToLower(name), strings.ToLower(query); {
	case name == query:
		return 0
	case strings.HasPrefix(name, query):
		return 1
	}
	return 2
}

// askForSymbols uses the server's own search.
func (s *Server) askForSymbols(ctx context.Context, c *client, query string) (Symbols, error) {
	whole := true
	if c.program.KnowsOpened {
		var err error
		if whole, err = s.openProjects(ctx, c, query); err != nil {
			return Symbols{List: []Symbol{}}, err
		}
	}
	var list []Symbol
	var err error
	if c.program.search != nil {
		list, err = c.program.search(ctx, c, query)
	} else {
		err = c.call(ctx, "workspace/symbol", object{"query": query}, &list)
	}
	if err != nil {
		return Symbols{List: []Symbol{}}, err
	}
	cols := s.columns(c)
	for i := range list {
		list[i].Location.URI = ourURI(list[i].Location.URI)
		cols.fix(list[i].Location.URI, &list[i].Location.Range)
	}
	found := cut(list)
	found.Truncated = found.Truncated || !whole
	return found, nil
}

// Limits of the documents that are opened for one search.
const (
	maxProjects = 16 // one for each ProjectFile
	maxLoose    = 64 // those that contain the query and belong to none
)

// openProjects opens documents so that the server's search finds what the project has: one below each ProjectFile, and
// those below none whose text contains query.
func (s *Server) openProjects(ctx context.Context, c *client, query string) (whole bool, err error) {
	files, whole := projectFiles(ctx, s.resolver.root, s.language)
	projects := map[string][]string{} // paths by the folder of the ProjectFile
	nearest := map[string]string{}    // that folder by a file's folder
	for _, f := range files {
		in := s.projectOf(filepath.Dir(f.path), c.program.ProjectFile, nearest)
		projects[in] = append(projects[in], f.path)
	}
	var open []string
	for in, paths := range projects {
		if in != "" && !slices.ContainsFunc(paths, s.docs.isOpen) {
			open = append(open, paths[0])
		}
	}
	if len(open) > maxProjects {
		open, whole = open[:maxProjects], false
	}
	loose := 0
	for _, path := range projects[""] {
		if s.docs.isOpen(path) || !s.contains(path, query) {
			continue
		}
		if loose++; loose > maxLoose {
			whole = false
			break
		}
		open = append(open, path)
	}
	for _, path := range open {
		if _, err := s.docs.sync(c, path, s.language.id); errors.Is(err, ErrCrashed) {
			return whole, err
		} // a file that has gone declares nothing
	}
	return whole, nil
}

// projectOf returns the nearest folder at or above dir that has a file of that name, "" for none in the project.
func (s *Server) projectOf(dir, name string, known map[string]string) string {
	if in, ok := known[dir]; ok {
		return in
	}
	in := ""
	if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
		in = dir
	} else if dir != s.resolver.root && len(dir) > 1 {
		in = s.projectOf(filepath.Dir(dir), name, known)
	}
	known[dir] = in
	return in
}

func (s *Server) contains(path, query string) bool {
	return strings.Contains(strings.ToLower(s.docs.text(path)), strings.ToLower(query))
}

// index keeps the symbols of files as they were found. It is safe for concurrent use.
type index struct {
	mu      sync.Mutex
	byPath  map[string]indexed
	symbols int
}

type indexed struct {
	state state
	list  []Symbol
}

// maxIndexed bounds the symbols of an index. When it is full, it starts anew.
const maxIndexed = 100_000

func newIndex() *index { return &index{byPath: map[string]indexed{}} }

func (x *index) get(f projectFile) ([]Symbol, bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	one, ok := x.byPath[f.path]
	return one.list, ok && one.state == f.state
}

func (x *index) put(f projectFile, list []Symbol) {
	if time.Since(time.Unix(f.state.changed.Unix())) < recent {
		return // the next change may leave the same state
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.symbols += len(list) - len(x.byPath[f.path].list)
	if x.symbols > maxIndexed || len(x.byPath) > 2*maxFiles {
		x.byPath, x.symbols = map[string]indexed{}, len(list)
	}
	x.byPath[f.path] = indexed{state: f.state, list: list}
}

// searchTime is how much of a request's time is left for the answer when a search gives up.
const searchTime = 2 * time.Second

// searchSymbols goes through the project's files for a server that has no search: it asks for the symbols of those
// that contain the query, unless they are known from before.
func (s *Server) searchSymbols(ctx context.Context, c *client, query string) (Symbols, error) {
	files, whole := projectFiles(ctx, s.resolver.root, s.language)
	deadline, _ := ctx.Deadline() // do has set one
	query = strings.ToLower(query)
	found := []Symbol{}
	for _, f := range files {
		if time.Until(deadline) < min(searchTime, s.m.cfg.Timeout/4) {
			whole = false
			break
		}
		list, err := s.fileSymbols(ctx, c, f, query)
		if err != nil {
			return Symbols{List: []Symbol{}}, err
		}
		for _, one := range list {
			if strings.Contains(strings.ToLower(one.Name), query) {
				found = append(found, one)
			}
		}
		if len(found) > maxSymbols {
			break
		}
	}
	result := cut(found)
	result.Truncated = result.Truncated || !whole
	return result, nil
}

// fileSymbols returns the symbols of a file if it contains query, which is in lower case.
func (s *Server) fileSymbols(ctx context.Context, c *client, f projectFile, query string) ([]Symbol, error) {
	opened := s.docs.isOpen(f.path) // its text may be a caller's
	if list, ok := s.index.get(f); ok && !opened {
		return list, nil
	}
	if !s.contains(f.path, query) {
		return nil, nil
	}
	if opened || !c.program.ReadsClosed {
		if _, err := s.docs.sync(c, f.path, s.language.id); err != nil {
			return nil, ignoreFile(err)
		}
	}
	list, err := s.symbolsOf(ctx, c, fileURI(f.path))
	if !opened && !c.program.ReadsClosed {
		_ = s.docs.close(c, f.path) // it never fails
	}
	if err != nil {
		return nil, err
	}
	if !opened {
		s.index.put(f, list)
	}
	return list, nil
}

// ignoreFile leaves the errors that are not about one file alone.
func ignoreFile(err error) error {
	if errors.Is(err, ErrCrashed) {
		return err
	}
	return nil
}
