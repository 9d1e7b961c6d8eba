package sandlot_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"
)

// bare are the rooms of toolboxd, and functions in them, that start goroutines or timers which no panic is caught in,
// and why that is right. toolboxd is process 1: a panic outside of a request's own goroutine ends the sandbox, and
// all in a sandbox is hostile.
var bare = map[string]string{
	"cmd/toolboxd": "waits or serves: net/http catches a request's panic, and one export's " +
		"in telemetry's exporter.trySend",
	"interpreter":                  "waits, ends processes, and moves bytes; messages are taken in by worker.take",
	"internal/serve Until":         "serves: net/http catches a request's panic",
	"internal/upstream":            "closes connections, and moves the bytes of a body without looking at them",
	"lsp newClient":                "waits, and ends a process",
	"lsp newStream":                "moves bytes without looking at them",
	"lsp client.watch":             "moves bytes without looking at them",
	"lsp Manager.Close":            "ends processes, and waits",
	"process":                      "waits, ends processes, and moves bytes without looking at them",
	"session":                      "waits, and moves bytes; of what programs write it reads exit codes alone",
	"session/pty Manager.Close":    "deletes and waits",
	"session/pty Terminal.Input":   "moves bytes without looking at them",
	"session/pty Terminal.watch":   "waits",
	"toolbox relay":                "moves bytes without looking at them",
	"toolbox tunnel":               "closes connections",
	"toolbox socket.close":         "sets a deadline",
	"toolbox socket.pinged":        "waits, and hands back the bytes of a ping",
	"workspace Files.Replace":      "what a file makes panic is caught in replaceIn",
	"workspace Manager.find":       "ends a watch; what runs in one is caught in watchedTree",
	"workspace/git runner.run":     "hands on what its caller gave",
	"workspace/git command.follow": "waits, and moves bytes without looking at them",
}

// TestGoroutinesOfTheDaemonCatchPanics looks at every go statement, AfterFunc and Group.Go of toolboxd: what it
// starts, or a function of the same package that this calls, begins with defer fault.Recovered.
func TestGoroutinesOfTheDaemonCatchPanics(t *testing.T) {
	all := map[string]pkg{}
	for _, p := range packages(t) {
		all[p.ImportPath] = p
	}
	linked := map[string]bool{}
	var visit func(path string)
	visit = func(path string) {
		if p, ours := all[path]; ours && !linked[path] {
			linked[path] = true
			for _, i := range p.Imports {
				visit(i)
			}
		}
	}
	visit(module + "/cmd/toolboxd")
	if len(linked) < 10 {
		t.Fatalf("toolboxd is made of %v alone", linked)
	}
	for path := range linked {
		room := strings.TrimPrefix(path, module+"/")
		for _, where := range unguarded(t, all[path]) {
			key := room + " " + where
			if bare[key] == "" && bare[room] == "" {
				t.Errorf("%s starts what may end the daemon by a panic: begin it with defer fault.Recovered(&err) and tell the "+
					"error, or say in the list here why it cannot panic", key)
			}
		}
	}
}

// unguarded names the functions of a package that start something without a guard.
func unguarded(t *testing.T, p pkg) (names []string) {
	t.Helper()
	var files []*ast.File
	functions := map[string][]*ast.BlockStmt{}
	for _, name := range p.GoFiles {
		f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, name), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Body != nil {
				functions[fn.Name.Name] = append(functions[fn.Name.Name], fn.Body)
			}
		}
	}
	for _, f := range files {
		for _, d := range f.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || fn.Body == nil {
				continue
			}
			for _, start := range starts(fn.Body) {
				if !guards(start, functions, 0) {
					names = append(names, receiver(fn)+fn.Name.Name)
				}
			}
		}
	}
	return names
}

// starts lists what a function starts: function literals, or names of functions.
func starts(body ast.Node) (all []ast.Expr) {
	ast.Inspect(body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			all = append(all, n.Call.Fun)
		case *ast.CallExpr:
			if name := called(n.Fun); (name == "Go" || name == "AfterFunc") && len(n.Args) > 0 {
				all = append(all, n.Args[len(n.Args)-1])
			}
		}
		return true
	})
	return all
}

// guards says whether what is started catches its panics, or hands its work to a function of the package that does.
func guards(start ast.Expr, functions map[string][]*ast.BlockStmt, depth int) bool {
	bodies := functions[called(start)]
	if lit, ok := start.(*ast.FuncLit); ok {
		bodies = []*ast.BlockStmt{lit.Body}
	}
	for _, body := range bodies {
		found := false
		ast.Inspect(body, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.DeferStmt:
				found = found || called(n.Call.Fun) == "Recovered"
			case *ast.CallExpr:
				found = found || depth < 2 && guards(n.Fun, functions, depth+1)
			}
			return !found
		})
		if found {
			return true
		}
	}
	return false
}

// called is the name of a function without what stands before it.
func called(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return e.Sel.Name
	}
	return ""
}

func receiver(fn *ast.FuncDecl) string {
	if fn.Recv == nil {
		return ""
	}
	e := fn.Recv.List[0].Type
	if star, ok := e.(*ast.StarExpr); ok {
		e = star.X
	}
	return called(e) + "."
}
