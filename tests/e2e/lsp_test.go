//go:build e2e

package e2e_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/sandlot-dev/sandlot/api"
	"github.com/sandlot-dev/sandlot/tests/harness"
)

// editor asks the language server of a language and a project.
type editor struct {
	t                 *testing.T
	box               *harness.Box
	language, project string
}

func (e editor) post(path string, more map[string]any) harness.Answer {
	e.t.Helper()
	body := map[string]any{"languageId": e.language, "pathToProject": e.project}
	maps.Copy(body, more)
	return e.box.Toolbox("POST", "/lsp/"+path, body)
}

func (e editor) get(path string, pairs ...string) harness.Answer {
	e.t.Helper()
	query := harness.Query(append(pairs, "languageId", e.language, "pathToProject", e.project)...)
	return e.box.Toolbox("GET", "/lsp/"+path+query, nil)
}

// write writes a document of the project.
func (e editor) write(name, text string) {
	e.t.Helper()
	e.box.Toolbox("POST", "/files/upload-v2"+harness.Query("path", e.project+"/"+name), strings.NewReader(text)).Want(200)
}

// symbols lists the names that an answer of symbols has.
func (e editor) symbols(a harness.Answer) (names []string) {
	e.t.Helper()
	var list []api.LSPSymbol
	a.Want(200).Into(&list)
	for _, s := range list {
		names = append(names, s.Name)
	}
	slices.Sort(names)
	return names
}

// processes lists what runs in the project's folder.
func (e editor) processes() string {
	e.t.Helper()
	_, out := e.box.Exec("for p in /proc/[0-9]*; do [ \"$(readlink $p/cwd)\" = /home/daytona/" + e.project +
		" ] && echo ${p#/proc/}; done; true")
	return strings.Join(strings.Fields(out), " ")
}

func at(line, character int) map[string]any {
	return map[string]any{"line": line, "character": character}
}

// languageSamples use a name behind characters that count as two and as one.
var languageSamples = []struct {
	language, name, text string
	used                 [2]int // place of its use
	declared             api.LSPRange
	complete             string // a document's text, to be completed at its end
	label                string
	wrong, right         string
	formatted            string // right, where it is not so already
}{
	{
		language: "python", name: "a.py", text: "名 = 1\n'😀'; 名\n", used: [2]int{1, 6},
		declared: span(0, 0, 1), complete: "'😀漢'.upp", label: "upper",
		wrong: "print(undefined_name)\n", right: "x=1\n", formatted: "x = 1\n",
	},
	{
		language: "typescript", name: "a.ts", text: "const 名 = 1;\n'😀' + 名;\n", used: [2]int{1, 7},
		declared: span(0, 6, 7), complete: "'😀漢'.toUpp", label: "toUpperCase",
		wrong: "undefined_name();\n", right: "let a=1;\n", formatted: "let a = 1;\n",
	},
}

func span(line, from, to int) api.LSPRange {
	return api.LSPRange{
		Start: api.LSPPosition{Line: line, Character: from}, End: api.LSPPosition{Line: line, Character: to},
	}
}

func TestLanguageServers(t *testing.T) {
	s, c := full.up(t)
	box := c.Create(map[string]any{"cpu": 1, "memory": 2, "disk": 3})
	t.Run("what is wrong is refused", func(t *testing.T) { languageRefusals(t, box) })
	for _, sample := range languageSamples {
		one := editor{t, box, sample.language, sample.language + "/one"}
		two := editor{t, box, sample.language, sample.language + "/two"}
		one.write(sample.name, sample.text)
		two.write(sample.name, sample.text)
		t.Run(sample.language, func(t *testing.T) {
			one.t, two.t = t, t
			one.post("start", nil).Want(200)
			two.post("start", nil).Want(200)
			one.post("start", nil).Want(200)
			two.write(sample.name, strings.ReplaceAll(sample.text, "名", "other_name"))
			a, b := one.get("workspacesymbols", "query", ""), two.get("workspacesymbols", "query", "")
			if a, b := one.symbols(a), two.symbols(b); fmt.Sprint(a, b) != "[名] [other_name]" {
				t.Errorf("two projects: %v, %v", a, b)
			}

			doc := map[string]any{"uri": "file://" + sample.name, "position": at(sample.used[0], sample.used[1])}
			uri := "file:///home/daytona/" + one.project + "/" + sample.name
			use := span(sample.used[0], sample.used[1], sample.used[1]+1)
			var places []api.LSPLocation
			one.post("definition", doc).Want(200).Into(&places)
			if len(places) != 1 || places[0] != (api.LSPLocation{URI: uri, Range: sample.declared}) {
				t.Errorf("definition: %v", places)
			}
			one.post("references", doc).Want(200).Into(&places)
			if !slices.Contains(places, api.LSPLocation{URI: uri, Range: use}) {
				t.Errorf("references: %v", places)
			}
			var hover api.LSPHover
			one.post("hover", doc).Want(200).Into(&hover)
			if !strings.Contains(hover.Contents, "名") && !strings.Contains(hover.Contents, "int") {
				t.Errorf("hover: %q", hover.Contents)
			}
			var edit api.LSPWorkspaceEdit
			renamed := maps.Clone(doc)
			renamed["newName"] = "renamed"
			one.post("rename", renamed).Want(200).Into(&edit)
			want := strings.ReplaceAll(sample.text, "名", "renamed")
			if got := edited(sample.text, edit.Changes[uri]); len(edit.Changes) != 1 || got != want {
				t.Errorf("rename: %+v", edit)
			}

			one.write("b"+sample.name, sample.complete)
			for range 3 {
				asked := map[string]any{"uri": "b" + sample.name, "position": at(0, len(utf16.Encode([]rune(sample.complete))))}
				var list api.LSPCompletionList
				one.post("completions", asked).Want(200).Into(&list)
				if !slices.ContainsFunc(list.Items, func(i api.LSPCompletionItem) bool {
					return strings.HasPrefix(i.Label, sample.label) && (i.Kind == 2 || i.Kind == 3)
				}) {
					t.Errorf("completions: %+v", list)
				}
				box.MustExec("kill -9 " + one.processes())
			}

			diagnostics(t, behind(t, s, box), one, "c"+sample.name, sample.wrong, sample.right)
			if left := one.processes(); left != "" {
				t.Errorf("stop left %s", left)
			}
			if two.processes() == "" {
				t.Error("stop ended the other project's server")
			}
			if a := one.get("document-symbols", "uri", sample.name); a.Code() != "LSP_SERVER_NOT_INITIALIZED" {
				t.Errorf("after stop: %s", a.Body)
			}

			two.write("c"+sample.name, sample.right)
			var edits []api.LSPTextEdit
			two.post("formatting", map[string]any{"uri": "c" + sample.name}).Want(200).Into(&edits)
			if got := edited(sample.right, edits); got != sample.formatted {
				t.Errorf("formatted: %q", got)
			}
		})
	}
	t.Run("what is cut is marked", func(t *testing.T) {
		ts := editor{t, box, "typescript", "typescript/two"}
		var text strings.Builder
		for i := range 10_001 {
			fmt.Fprintf(&text, "let a%d;\n", i)
		}
		ts.write("many.ts", text.String())
		a := ts.get("document-symbols", "uri", "many.ts")
		if n := len(ts.symbols(a)); n != 10_000 || a.Header.Get("X-Sandlot-Truncated") != "true" {
			t.Errorf("%d symbols, %v", n, a.Header)
		}
		if a := ts.get("document-symbols", "uri", "a.ts"); a.Header.Get("X-Sandlot-Truncated") != "" {
			t.Error("a whole answer is marked")
		}
	})
	t.Run("lists", func(t *testing.T) {
		var servers []api.LSPServerRequest
		box.Toolbox("GET", "/lsp/servers", nil).Want(200).Into(&servers)
		if fmt.Sprint(servers) != "[{python python/two} {typescript typescript/two}]" {
			t.Errorf("servers: %v", servers)
		}
		var languages []api.LSPLanguage
		box.Toolbox("GET", "/lsp/languages", nil).Want(200).Into(&languages)
		installed := map[string]string{}
		for _, l := range languages {
			if installed[l.LanguageID] = l.Server; l.Install == "" {
				t.Errorf("%s: no way to install a server", l.LanguageID)
			}
		}
		if installed["python"] != "pylsp" || installed["rust"] != "" || len(installed) < 8 {
			t.Errorf("languages: %v", installed)
		}
	})
}

// edited applies the edits of one document.
func edited(text string, edits []api.LSPTextEdit) string {
	lines := strings.SplitAfter(text, "\n")
	offset := func(p api.LSPPosition) int {
		return len(utf16.Encode([]rune(strings.Join(lines[:p.Line], "")))) + p.Character
	}
	slices.SortFunc(edits, func(a, b api.LSPTextEdit) int { return offset(b.Range.Start) - offset(a.Range.Start) })
	units := utf16.Encode([]rune(text))
	for _, e := range edits {
		units = slices.Replace(units, offset(e.Range.Start), offset(e.Range.End), utf16.Encode([]rune(e.NewText))...)
	}
	return string(utf16.Decode(units))
}

// diagnostics asks what is wrong in a document, and follows it over a change until the server is stopped.
func diagnostics(t *testing.T, d *daemon, e editor, name, wrong, right string) {
	t.Helper()
	is := func(list []api.LSPDiagnostic) bool {
		return slices.ContainsFunc(list, func(d api.LSPDiagnostic) bool {
			return strings.Contains(d.Message, "undefined_name")
		})
	}
	e.write(name, wrong)
	var list []api.LSPDiagnostic
	if e.get("diagnostics", "uri", name).Want(200).Into(&list); !is(list) {
		t.Errorf("diagnostics: %+v", list)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	d.ctx = ctx
	res, err := d.open("GET", "/lsp/diagnostics/stream"+
		harness.Query("languageId", e.language, "pathToProject", e.project), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if kind := res.Header.Get("Content-Type"); res.StatusCode != 200 || kind != "text/event-stream" {
		t.Fatalf("stream: %d %s", res.StatusCode, kind)
	}
	lines := bufio.NewScanner(res.Body)
	until := func(what string, ok func([]api.LSPDiagnostic) bool) {
		t.Helper()
		for lines.Scan() {
			data, isData := strings.CutPrefix(lines.Text(), "data: ")
			var told struct {
				api.LSPDiagnosticsEvent
				Lost *bool `json:"lost"`
			}
			if !isData {
				continue
			}
			if err := json.Unmarshal([]byte(data), &told); err != nil || told.Diagnostics == nil || told.Lost == nil {
				t.Fatalf("event %s: %v", data, err)
			}
			if strings.HasSuffix(told.URI, "/"+name) && ok(told.Diagnostics) {
				return
			}
		}
		t.Fatalf("the stream ended before %s: %v", what, lines.Err())
	}
	e.post("did-open", map[string]any{"uri": name}).Want(200)
	until("the mistake was told", is)
	e.post("did-change", map[string]any{"uri": name, "text": right}).Want(200)
	until("the mistake was gone", func(list []api.LSPDiagnostic) bool { return !is(list) })
	e.post("did-close", map[string]any{"uri": name}).Want(200)
	e.post("stop", nil).Want(200)
	for lines.Scan() { // to its end, which the stop is
	}
	if err := lines.Err(); err != nil {
		t.Errorf("the stream's end: %v", err)
	}
}

func languageRefusals(t *testing.T, box *harness.Box) {
	e := editor{t, box, "python", "."}
	document := map[string]any{"uri": "a.py"}
	place := map[string]any{"uri": "a.py", "position": at(0, 0)}
	for path, body := range map[string]map[string]any{
		"did-open": document, "did-close": document, "completions": place, "hover": place, "definition": place,
		"references": place, "formatting": document, "did-change": {"uri": "a.py", "text": ""},
		"rename": {"uri": "a.py", "position": at(0, 0), "newName": "b"},
	} {
		if a := e.post(path, body).Want(400); a.Code() != "LSP_SERVER_NOT_INITIALIZED" {
			t.Errorf("%s before start: %s", path, a.Body)
		}
		for key := range body {
			less := maps.Clone(body)
			delete(less, key)
			a := e.post(path, less).Want(400)
			if a.Code() != "INVALID_REQUEST_BODY" || !strings.Contains(a.Message(), key) {
				t.Errorf("%s without %s: %s", path, key, a.Body)
			}
		}
	}
	for _, path := range []string{"document-symbols", "diagnostics", "workspacesymbols", "diagnostics/stream"} {
		if a := e.get(path, "uri", "a.py", "query", "").Want(400); a.Code() != "LSP_SERVER_NOT_INITIALIZED" {
			t.Errorf("%s before start: %s", path, a.Body)
		}
		for _, missing := range []string{"languageId=python", "pathToProject=."} {
			a := box.Toolbox("GET", "/lsp/"+path+"?uri=a.py&query=&"+missing, nil).Want(400)
			if a.Code() != "BAD_REQUEST" {
				t.Errorf("%s with %s alone: %s", path, missing, a.Body)
			}
		}
	}
	for _, position := range []string{`null`, `{}`, `{"line":0}`, `{"line":0,"character":1.5}`, `7`, `[0,0]`} {
		a := e.post("completions", map[string]any{"uri": "a.py", "position": json.RawMessage(position)}).Want(400)
		if a.Code() != "INVALID_REQUEST_BODY" || !strings.Contains(a.Message(), "position") {
			t.Errorf("position %s: %s", position, a.Body)
		}
	}
	for _, tc := range []struct {
		language, project string
		status            int
		says              []string
	}{
		{"cobol", ".", 400, []string{"cobol", "python", "typescript", "javascript", "rust"}},
		{"rust", ".", 501, []string{"rust-analyzer", "rustup component add"}},
		{"python", "none", 404, []string{"/home/daytona/none"}},
		{"python", "/etc/passwd", 400, []string{"not a folder"}},
		{"", ".", 400, []string{"languageId"}},
		{"python", "", 400, []string{"pathToProject"}},
	} {
		a := editor{t, box, tc.language, tc.project}.post("start", nil).Want(tc.status)
		for _, word := range tc.says {
			if !strings.Contains(a.Message(), word) {
				t.Errorf("start of %q in %q does not name %s: %s", tc.language, tc.project, word, a.Body)
			}
		}
	}
	e.post("stop", nil).Want(200)
	e.post("start", nil).Want(200)
	if a := e.get("workspacesymbols").Want(400); !strings.Contains(a.Message(), "query") {
		t.Errorf("without a query: %s", a.Body)
	}
	if a := e.get("document-symbols", "uri", "none.py").Want(404); a.Code() != "FILE_NOT_FOUND" {
		t.Errorf("without a file: %s", a.Body)
	}
	e.write("here.py", "")
	if a := e.get("document-symbols", "uri", "here.py").Want(200); strings.TrimSpace(string(a.Body)) != "[]" {
		t.Errorf("of an empty file: %s", a.Body)
	}
	e.post("completions", map[string]any{"uri": "here.py", "position": at(0, 0)}).Want(200)
	e.post("completions", map[string]any{"uri": "here.py", "position": at(5, 0)}).Want(400)
	e.post("formatting", map[string]any{"uri": "here.py", "tabSize": -1}).Want(400)
	e.post("stop", nil).Want(200)
}
