//go:build e2e

package lsp_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sandlot-dev/sandlot/lsp"
	"github.com/sandlot-dev/sandlot/tests/harness"
)

// servers installs the real servers, once for each content of the pins, and returns the folders of their programs.
func servers(t *testing.T) (path string) {
	t.Helper()
	var pins []byte
	for _, name := range []string{"requirements.txt", "package-lock.json", "package.json", "gopls.txt"} {
		data, err := os.ReadFile(filepath.Join("testdata", "servers", name))
		if err != nil {
			t.Fatal(err)
		}
		pins = append(pins, data...)
	}
	sum := sha256.Sum256(pins)
	dir, err := harness.Cache("lsp", hex.EncodeToString(sum[:8]))
	if err != nil {
		t.Fatal(err)
	}
	whole, venv := filepath.Join(dir, ".whole"), filepath.Join(dir, "venv")
	path = strings.Join([]string{filepath.Join(venv, "bin"), filepath.Join(dir, "node_modules", ".bin"), filepath.Join(dir, "bin")}, ":")
	if _, err := os.Stat(whole); err == nil {
		return path
	}
	pinned := filepath.Join("testdata", "servers")
	gopls, err := os.ReadFile(filepath.Join(pinned, "gopls.txt"))
	if err != nil {
		t.Fatal(err)
	}
	for _, command := range [][]string{
		{"rm", "-rf", venv},
		{"cp", filepath.Join(pinned, "package.json"), filepath.Join(pinned, "package-lock.json"), dir},
		{"python3", "-m", "venv", venv},
		{filepath.Join(venv, "bin", "pip"), "install", "-q", "--no-deps", "-r", filepath.Join(pinned, "requirements.txt")},
		{"npm", "ci", "--prefix", dir, "--no-audit", "--no-fund", "--loglevel=error"},
		{"go", "install", strings.TrimSpace(string(gopls))},
	} {
		if _, err := harness.Run(nil, []string{"GOBIN=" + filepath.Join(dir, "bin")}, command[0], command[1:]...); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(whole, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// realBench is a bench of the real servers. only leaves one of a language's servers, by the index in the table.
func realBench(t *testing.T, language string, only ...int) *bench {
	t.Helper()
	table := lsp.Languages()
	if i := slices.IndexFunc(table, func(l lsp.Language) bool { return l.Name == language }); len(only) > 0 {
		table[i].Servers = table[i].Servers[only[0] : only[0]+1]
	}
	env := append(os.Environ(), "PATH="+servers(t)+":"+os.Getenv("PATH"))
	env = slices.DeleteFunc(env, func(v string) bool { return strings.HasPrefix(v, "PATH=") && v != env[len(env)-1] })
	b := newBench(t, lsp.Config{Languages: table, Processes: processes(t, t.TempDir(), env)})
	b.key.Language = language
	return b
}

// A sample is a language with a generated project.
type sample struct {
	language, extension string
	file                func(i int) (name, text string)
	more                map[string]string
	method              lsp.Position // behind the dot of a call in each file
}

var samples = []sample{
	{
		language: "python", extension: ".py", more: map[string]string{"pkg/__init__.py": ""},
		file: func(i int) (name, text string) {
			var b strings.Builder
			fmt.Fprintf(&b, "\"\"\"Module %d.\"\"\"\nfrom pkg.mod%d import Class%d\nfirst = Class%d().\n\n\nclass Class%d:\n", i, max(0, i-1), max(0, i-1), max(0, i-1), i)
			for j := range 8 {
				fmt.Fprintf(&b, "    def method_%d(self, a, b):\n        \"\"\"Adds.\"\"\"\n        return a + b + %d\n\n", j, j)
			}
			fmt.Fprintf(&b, "\ndef func%d(x):\n    return Class%d().method_0(x, 1)\n", i, i)
			return fmt.Sprintf("pkg/mod%d.py", i), b.String()
		},
		method: lsp.Position{Line: 2, Character: 999},
	},
	{
		language: "typescript", extension: ".ts",
		more: map[string]string{"tsconfig.json": `{"compilerOptions":{"strict":true,"target":"es2022","module":"commonjs"},"include":["src"]}`},
		file: func(i int) (name, text string) {
			var b strings.Builder
			fmt.Fprintf(&b, "import { Class%d } from './mod%d';\n\nnew Class%d().\nexport class Class%d {\n", max(0, i-1), max(0, i-1), max(0, i-1), i)
			for j := range 8 {
				fmt.Fprintf(&b, "  method_%d(a: number, b: number): number { return a + b + %d; }\n", j, j)
			}
			fmt.Fprintf(&b, "}\nexport function func%d(x: number) { return new Class%d().method_0(x, 1); }\n", i, i)
			return fmt.Sprintf("src/mod%d.ts", i), b.String()
		},
		method: lsp.Position{Line: 2, Character: 999},
	},
}

func (s sample) fill(b *bench, files int) {
	for name, text := range s.more {
		b.file(name, text)
	}
	for i := range files {
		b.file(s.file(i))
	}
}

// TestCompletionsOf500Files holds the first and the later completions to what was promised for this size.
func TestCompletionsOf500Files(t *testing.T) {
	for _, sample := range samples {
		t.Run(sample.language, func(t *testing.T) {
			b := realBench(t, sample.language)
			sample.fill(b, 500)
			var starts, firsts, later []time.Duration
			complete := func(s *lsp.Server, i int) time.Duration {
				name, _ := sample.file(i)
				began := time.Now()
				list, err := s.Completions(t.Context(), name, sample.method, lsp.CompletionContext{TriggerKind: 2, TriggerCharacter: "."})
				took := time.Since(began)
				if err != nil || !slices.ContainsFunc(list.Items, func(i lsp.CompletionItem) bool { return strings.HasPrefix(i.Label, "method_3") }) {
					t.Fatalf("completions of %s: %v, %v", name, list, err)
				}
				return took
			}
			for range 3 {
				began := time.Now()
				s := b.start()
				starts = append(starts, time.Since(began))
				firsts = append(firsts, complete(s, 250))
				for i := range 20 {
					later = append(later, complete(s, 240+i%3))
				}
				if err := b.Stop(b.key); err != nil {
					t.Fatal(err)
				}
			}
			slices.Sort(later)
			t.Logf("start %v; first completion %v; later: median %v, 90%% %v, worst %v",
				starts, firsts, later[len(later)/2], later[len(later)*9/10], later[len(later)-1])
			if load := loadPerCPU(t); load > 1 {
				t.Logf("not judged: %.1f programs wait for each processor", load)
				return
			}
			if best := slices.Min(firsts); best > 2*time.Second {
				t.Errorf("the best first completion took %v", best)
			}
			if median := later[len(later)/2]; median > 100*time.Millisecond {
				t.Errorf("half of the later ones took %v", median)
			}
		})
	}
}

// loadPerCPU returns how many programs wanted each processor in the last minute.
func loadPerCPU(t *testing.T) (load float64) {
	t.Helper()
	if _, err := fmt.Sscan(readText(t, "/proc/loadavg"), &load); err != nil {
		t.Fatal(err)
	}
	return load / float64(runtime.NumCPU())
}

func TestSymbolsOf500Files(t *testing.T) {
	for _, sample := range samples {
		t.Run(sample.language, func(t *testing.T) {
			b := realBench(t, sample.language)
			sample.fill(b, 500)
			s := b.start()
			for _, tc := range []struct {
				query string
				least int // of what is found
				first string
			}{
				{"func499", 1, "func499"},
				{"Class25", 11, "Class25"},
				{"class25", 11, "Class25"},
				{"Class25", 11, "Class25"},
				{"no_such_name", 0, ""},
				{"Class", 500, ""},
				{"Class", 500, ""},
			} {
				began := time.Now()
				found, err := s.WorkspaceSymbols(t.Context(), tc.query)
				t.Logf("%q: %d in %v, truncated %t", tc.query, len(found.List), time.Since(began), found.Truncated)
				if err != nil {
					t.Fatal(err)
				}
				if len(found.List) < min(tc.least, 256) || tc.least == 0 && len(found.List) > 0 || tc.first != "" && found.List[0].Name != tc.first {
					t.Errorf("%q: %d, first %v", tc.query, len(found.List), found.List[:min(1, len(found.List))])
				}
			}
			name, _ := sample.file(7)
			symbols, err := s.DocumentSymbols(t.Context(), name)
			var names []string
			for _, one := range symbols.List {
				if one.Location.URI != "file://"+b.project+"/"+name || one.Kind == 0 {
					t.Errorf("%+v", one)
				}
				names = append(names, one.Name)
			}
			for _, want := range []string{"Class7", "method_7", "func7"} {
				if !slices.Contains(names, want) {
					t.Errorf("%s declares %v, %v; not %s", name, names, err, want)
				}
			}
			b.file(name, strings.ReplaceAll(readText(t, filepath.Join(b.project, name)), "func7", "renamed7"))
			if found, err := s.WorkspaceSymbols(t.Context(), "renamed7"); err != nil || len(found.List) != 1 {
				t.Errorf("after a change on disk: %v, %v", found, err)
			}
		})
	}
}

func readText(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// TestLooseFilesAreSearched is a folder without any configuration, as agents make them.
func TestLooseFilesAreSearched(t *testing.T) {
	for language, files := range map[string]map[string]string{
		"typescript": {"a.ts": "export class Alpha {}\n", "deep/er/b.ts": "export const alphabet = 1\n", "c.ts": "let x = 1\n", "sub/tsconfig.json": "{}", "sub/d.ts": "class AlphaToo {}\n"},
		"javascript": {"a.js": "class Alpha {}\n", "deep/er/b.mjs": "export const alphabet = 1\n", "c.js": "let x = 1\n", "sub/d.cjs": "class AlphaToo {}\n"},
		"python":     {"a.py": "class Alpha: pass\n", "deep/er/b.py": "alphabet = 1\n", "c.py": "x = 1\n", "sub/d.py": "class AlphaToo:\n  pass\n"},
	} {
		t.Run(language, func(t *testing.T) {
			b := realBench(t, language)
			for name, text := range files {
				b.file(name, text)
			}
			s := b.start()
			found, err := s.WorkspaceSymbols(t.Context(), "alpha")
			var names []string
			for _, one := range found.List {
				names = append(names, one.Name)
			}
			slices.Sort(names)
			if got := strings.Join(names, " "); err != nil || got != "Alpha AlphaToo alphabet" {
				t.Errorf("found %s, %v", got, err)
			}
			empty := realBench(t, language)
			if found, err := empty.start().WorkspaceSymbols(t.Context(), ""); err != nil || len(found.List) != 0 {
				t.Errorf("an empty project: %v, %v", found, err)
			}
		})
	}
}

// TestRealServersCountInUTF16 puts characters of two units and of three bytes before what is asked about.
func TestRealServersCountInUTF16(t *testing.T) {
	for language, text := range map[string]string{
		"python":     "class Ding:\n    def methode(self): pass\n\n\nname = Ding()\nlist_ = ['😀😀漢字', name.methode(), name]\n",
		"typescript": "class Ding { methode() {} }\n\n\n\nlet name = new Ding();\nlet list = ['😀😀漢字', name.methode(), name];\nexport {};\n",
	} {
		t.Run(language, func(t *testing.T) {
			b := realBench(t, language)
			path := b.file(map[string]string{"python": "a.py", "typescript": "a.ts"}[language], text)
			s := b.start()
			l := strings.Split(text, "\n")[5]
			column := func(of string) int { // in UTF-16
				units := 0
				for _, r := range l[:strings.Index(l, of)] {
					units++
					if r > 0xFFFF {
						units++
					}
				}
				return units
			}
			at := lsp.Position{Line: 5, Character: column("name.methode")}
			declared := lsp.Position{Line: 4, Character: strings.Index(strings.Split(text, "\n")[4], "name")}
			places, err := s.Definition(t.Context(), path, at)
			if err != nil || len(places.List) != 1 || places.List[0].Range.Start != declared {
				t.Errorf("definition: %v, %v", places, err)
			}
			places, err = s.References(t.Context(), path, declared, true)
			var starts []lsp.Position
			for _, one := range places.List {
				starts = append(starts, one.Range.Start)
				if length := one.Range.End.Character - one.Range.Start.Character; length != 4 {
					t.Errorf("%v", one)
				}
			}
			want := []lsp.Position{declared, at, {Line: 5, Character: column("name]")}}
			if err != nil || !slices.Equal(starts, want) {
				t.Errorf("references: %v, want %v, %v", starts, want, err)
			}
			list, err := s.Completions(t.Context(), path, lsp.Position{Line: 5, Character: column("methode")}, lsp.CompletionContext{})
			if err != nil || len(list.Items) == 0 || !slices.ContainsFunc(list.Items, func(i lsp.CompletionItem) bool { return strings.HasPrefix(i.Label, "methode") }) {
				t.Errorf("completions: %v, %v", list, err)
			}
			hover, err := s.Hover(t.Context(), path, lsp.Position{Line: 5, Character: column("methode") + 1})
			if err != nil || !strings.Contains(hover.Contents, "methode") {
				t.Errorf("hover: %v, %v", hover, err)
			}
			edit, err := s.Rename(t.Context(), path, at, "andere")
			if err != nil {
				t.Fatal(err)
			}
			if got, want := applied(text, edit.Changes["file://"+path]), strings.ReplaceAll(text, "name", "andere"); len(edit.Changes) != 1 || got != want {
				t.Errorf("renamed to\n%s\nwant\n%s", got, want)
			}
		})
	}
}

// applied returns a text after edits, whose positions count UTF-16.
func applied(text string, edits []lsp.TextEdit) string {
	offset := func(at lsp.Position) int {
		lines := strings.SplitAfter(text, "\n")
		n := len(strings.Join(lines[:min(at.Line, len(lines))], ""))
		if at.Line >= len(lines) {
			return n
		}
		for _, r := range lines[at.Line] {
			if at.Character <= 0 {
				break
			}
			n += len(string(r))
			if at.Character--; r > 0xFFFF {
				at.Character--
			}
		}
		return n
	}
	edits = slices.Clone(edits)
	slices.SortFunc(edits, func(a, b lsp.TextEdit) int { return offset(b.Range.Start) - offset(a.Range.Start) })
	result := text
	for _, e := range edits {
		result = result[:offset(e.Range.Start)] + e.NewText + result[offset(e.Range.End):]
	}
	return result
}

func TestRealDiagnosticsAndFormatting(t *testing.T) {
	for language, tc := range map[string]struct{ name, bad, good, wants, formatted string }{
		"python":     {"a.py", "print(undefined_name, '😀')\n", "print( 1 )\n", "undefined_name", "print( 1 )\n"}, // no formatter is installed
		"typescript": {"a.ts", "let a: number = '😀';\nundefined_name();\n", "let a  =  1;\n", "undefined_name", "let a = 1;\n"},
		"javascript": {"a.js", "let a = ;\n", "let a  =  1;\n", "Expression expected", "let a = 1;\n"},
	} {
		t.Run(language, func(t *testing.T) {
			b := realBench(t, language)
			path := b.file(tc.name, tc.bad)
			s := b.start()
			news := s.Subscribe()
			has := func(list []lsp.Diagnostic) bool {
				return slices.ContainsFunc(list, func(d lsp.Diagnostic) bool {
					return strings.Contains(d.Message, tc.wants) && (tc.name != "a.py" || d.Range.Start.Character == 6)
				})
			}
			list, err := s.Diagnostics(t.Context(), path)
			if err != nil || !has(list) {
				t.Errorf("diagnostics: %+v, %v", list, err)
			}
			for within, cancel := context.WithTimeout(t.Context(), 20*time.Second); ; {
				got, err := news.Next(within)
				if err != nil {
					t.Fatalf("published: %v", err)
				}
				if got.URI == "file://"+path && has(got.Diagnostics) {
					cancel()
					break
				}
			}
			b.file(tc.name, tc.good)
			if list, err := s.Diagnostics(t.Context(), path); err != nil || slices.ContainsFunc(list, func(d lsp.Diagnostic) bool { return d.Severity == 1 }) {
				t.Errorf("after a change on disk: %+v, %v", list, err)
			}
			edits, err := s.Format(t.Context(), path, lsp.FormatOptions{InsertSpaces: true})
			if err != nil || applied(tc.good, edits) != tc.formatted {
				t.Errorf("formatted: %q, %v", applied(tc.good, edits), err)
			}
		})
	}
}

func TestRealServersSurviveKillAndLeaveNothing(t *testing.T) {
	for _, sample := range samples {
		t.Run(sample.language, func(t *testing.T) {
			b := realBench(t, sample.language)
			sample.fill(b, 3)
			name, _ := sample.file(1)
			other := filepath.Join(b.dir, "other")
			if err := os.Mkdir(other, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := b.Start(t.Context(), lsp.Key{Language: sample.language, Project: other}); err != nil {
				t.Fatal(err)
			}
			s := b.start()
			if err := s.OpenDocument(t.Context(), name); err != nil {
				t.Fatal(err)
			}
			for range 3 {
				list, err := s.Completions(t.Context(), name, sample.method, lsp.CompletionContext{})
				if err != nil || len(list.Items) < 8 {
					t.Fatalf("%v, %v", list, err)
				}
				for _, pid := range inFolder(t, b.project) {
					if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
						t.Fatal(err)
					}
				}
			}
			if err := b.Stop(b.key); err != nil {
				t.Fatal(err)
			}
			if left := inFolder(t, b.project); len(left) > 0 {
				t.Errorf("stop left %v", left)
			}
			if len(inFolder(t, other)) == 0 {
				t.Error("stop ended the other project's server")
			}
			b.Close()
			if left := inFolder(t, other); len(left) > 0 {
				t.Errorf("Close left %v", left)
			}
		})
	}
}

// inFolder lists the processes that have a folder as their working folder.
func inFolder(t *testing.T, dir string) (pids []int) {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		var pid int
		if _, err := fmt.Sscan(e.Name(), &pid); err != nil {
			continue
		}
		if cwd, err := os.Readlink(filepath.Join("/proc", e.Name(), "cwd")); err == nil && cwd == dir {
			pids = append(pids, pid)
		}
	}
	return pids
}

// An example is a document of a language.
type example struct {
	name, text string
	more       map[string]string
	symbol     string       // in the document
	at         lsp.Position // of something that can be completed
	label      string
	wrong      string // a text with something wrong, "" where the server says nothing of it
}

// TestEveryLanguageOfTheTable asks each server that is installed what an editor asks first.
func TestEveryLanguageOfTheTable(t *testing.T) {
	for language, tc := range map[string]example{
		"python":     {"a.py", "class Ding:\n    pass\nDi\n", nil, "Ding", lsp.Position{Line: 2, Character: 2}, "Ding", "def f(:\n"},
		"typescript": {"a.ts", "class Ding {}\nDi\n", nil, "Ding", lsp.Position{Line: 1, Character: 2}, "Ding", "let x: number = '';\n"},
		"javascript": {"a.js", "class Ding {}\nDi\n", nil, "Ding", lsp.Position{Line: 1, Character: 2}, "Ding", "let x = ;\n"},
		"go":         {"a.go", "package main\n\ntype Ding int\n\nfunc main() { Di }\n", map[string]string{"go.mod": "module x\n\ngo 1.24\n"}, "Ding", lsp.Position{Line: 4, Character: 16}, "Ding", "package main\n\nfunc main() { x }\n"},
		"bash":       {"a.sh", "ding() { echo; }\ndi\n", nil, "ding", lsp.Position{Line: 1, Character: 2}, "ding", ""},
		"json":       {"package.json", "{\"ding\": 1, \"\": 2}\n", nil, "ding", lsp.Position{Line: 0, Character: 13}, "", "{\n"},
		"yaml":       {"a.yaml", "ding:\n  dong: 1\n", nil, "ding", lsp.Position{Line: 1, Character: 2}, "", "a: [\n"},
		"html":       {"a.html", "<p id=\"ding\"><\n</p>\n", nil, "p#ding", lsp.Position{Line: 0, Character: 14}, "div", ""},
		"css":        {"a.css", ".ding { col }\n", nil, ".ding", lsp.Position{Line: 0, Character: 11}, "color", "a { color }\n"},
	} {
		t.Run(language, func(t *testing.T) {
			i := slices.IndexFunc(lsp.Languages(), func(l lsp.Language) bool { return l.Name == language })
			for i, program := range lsp.Languages()[i].Servers {
				t.Run(program.Argv[0], func(t *testing.T) { try(t, realBench(t, language, i), tc) })
			}
		})
	}
}

// try asks for all that an example says.
func try(t *testing.T, b *bench, tc example) {
	if a := b.Available(); !slices.ContainsFunc(a, func(a lsp.Available) bool { return a.Language == b.key.Language && a.Server != "" }) {
		t.Skip("it is not installed")
	}
	for name, text := range tc.more {
		b.file(name, text)
	}
	path := b.file(tc.name, tc.text)
	s := b.start()
	symbols, err := s.DocumentSymbols(t.Context(), path)
	named := func(one lsp.Symbol) bool { return one.Name == tc.symbol }
	if i := slices.IndexFunc(symbols.List, named); err != nil || i < 0 || symbols.List[i].Location.URI != "file://"+path {
		t.Errorf("symbols: %v, %v", symbols, err)
	}
	found, err := s.WorkspaceSymbols(t.Context(), strings.TrimLeft(tc.symbol, ".p#"))
	if err != nil || !slices.ContainsFunc(found.List, named) {
		t.Errorf("symbols of the project: %v, %v", found, err)
	}
	list, err := s.Completions(t.Context(), path, tc.at, lsp.CompletionContext{})
	if err != nil || tc.label != "" && !slices.ContainsFunc(list.Items, func(i lsp.CompletionItem) bool { return strings.HasPrefix(i.Label, tc.label) }) {
		t.Errorf("completions: %v, %v", list, err)
	}
	if _, err := s.Hover(t.Context(), path, tc.at); err != nil {
		t.Errorf("hover: %v", err)
	}
	other := b.file("wrong"+filepath.Ext(tc.name), tc.wrong)
	if list, err := s.Diagnostics(t.Context(), other); tc.wrong != "" && (err != nil || len(list) == 0) {
		t.Errorf("diagnostics: %v, %v", list, err)
	}
	if err := b.Stop(b.key); err != nil {
		t.Error(err)
	}
}

// TestServersThatWatchNothingAreTold changes a file that was never opened.
func TestServersThatWatchNothingAreTold(t *testing.T) {
	b := realBench(t, "go")
	b.file("go.mod", "module x\n\ngo 1.24\n")
	path := b.file("a.go", "package main\n\nfunc main() { Di }\n")
	b.file("b.go", "package main\n")
	s := b.start()
	labelled := func() bool {
		list, err := s.Completions(t.Context(), path, lsp.Position{Line: 2, Character: 16}, lsp.CompletionContext{})
		if err != nil {
			t.Fatal(err)
		}
		return slices.ContainsFunc(list.Items, func(i lsp.CompletionItem) bool { return i.Label == "Ding" })
	}
	if labelled() {
		t.Error("what is nowhere is completed")
	}
	b.file("b.go", "package main\n\ntype Ding int\n")
	if !labelled() {
		t.Error("a change of a file that is not open is not known")
	}
	b.file("b.go", "package main\n")
	b.file("c.go", "package main\n\ntype Ding int\n")
	if !labelled() {
		t.Error("a new file is not known")
	}
	if err := os.Remove(filepath.Join(b.project, "c.go")); err != nil {
		t.Fatal(err)
	}
	if labelled() {
		t.Error("a removed file is not known")
	}
}
