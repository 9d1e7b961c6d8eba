package lsp

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sandlot-dev/sandlot/internal/fault"
)

// Language is a language and the servers that know it.
type Language struct {
	Name    string            // canonical, in lower case
	Aliases []string          // further names
	IDs     map[string]string // the protocol's language id by extension, such as ".tsx"; other files have Name
	Servers []Program         // the first that is found on PATH is used; at least one
	Install string            // a command that installs the first of them
}

// Program is a language server that can be started.
type Program struct {
	Argv []string

	// Options returns what the server is told for a project; nil means nothing.
	Options func(root string) Options

	// Snippets says that the server completes nothing for a client that takes no snippets.
	Snippets bool

	// CodePoints says that the server counts characters by code points, whatever was agreed.
	CodePoints bool

	// ReadsClosed says that the server reads a document that was never opened from disk.
	ReadsClosed bool

	// KnowsOpened says that the server searches the projects of opened documents alone: the one that the nearest
	// ProjectFile describes, or what an opened document without one imports.
	KnowsOpened bool
	ProjectFile string

	// Watch says that the server must be told which files of the project have changed.
	Watch bool

	// diagnose and search ask the server by means of its own. nil means by the protocol.
	diagnose diagnose
	search   search
}

// Options are what a server is told. nil maps are not sent.
type Options struct {
	Init     map[string]any // initializationOptions
	Settings map[string]any // the configuration by sections, sent and handed out
}

// Languages returns the languages that are known by default.
func Languages() []Language {
	typescript := func(projectFile string) []Program {
		return []Program{{
			Argv: []string{"typescript-language-server", "--stdio"}, Options: tsserverOptions,
			KnowsOpened: true, ProjectFile: projectFile, diagnose: tsserverDiagnose, search: tsserverSearch,
		}}
	}
	vscode := func(name string) []Program {
		argv := []string{"vscode-" + name + "-language-server", "--stdio"}
		return []Program{{Argv: argv, Options: vscodeOptions, Snippets: true}}
	}
	const (
		installTypeScript = "npm install -g typescript typescript-language-server"
		installVSCode     = "npm install -g vscode-langservers-extracted"
	)
	return []Language{
		{
			Name: "python", Aliases: []string{"py", "python3"}, IDs: ids("python", ".py", ".pyi"),
			Servers: []Program{
				{Argv: []string{"pylsp"}, Options: pylspOptions, CodePoints: true, ReadsClosed: true},
				{Argv: []string{"basedpyright-langserver", "--stdio"}},
				{Argv: []string{"pyright-langserver", "--stdio"}},
				{Argv: []string{"jedi-language-server"}},
			},
			Install: "pip install python-lsp-server",
		},
		{
			Name: "typescript", Aliases: []string{"ts", "tsx", "typescriptreact"},
			IDs:     merged(ids("typescript", ".ts", ".mts", ".cts"), ids("typescriptreact", ".tsx")),
			Servers: typescript("tsconfig.json"), Install: installTypeScript,
		},
		{
			Name: "javascript", Aliases: []string{"js", "jsx", "javascriptreact"},
			IDs:     merged(ids("javascript", ".js", ".mjs", ".cjs"), ids("javascriptreact", ".jsx")),
			Servers: typescript("jsconfig.json"), Install: installTypeScript,
		},
		{
			Name: "go", Aliases: []string{"golang"}, IDs: merged(ids("go", ".go"), ids("go.mod", ".mod")),
			Servers: []Program{{Argv: []string{"gopls"}, Watch: true}},
			Install: "go install golang.org/x/tools/gopls@latest",
		},
		{
			Name: "rust", Aliases: []string{"rs"}, IDs: ids("rust", ".rs"),
			Servers: []Program{{Argv: []string{"rust-analyzer"}}}, Install: "rustup component add rust-analyzer",
		},
		{
			Name: "bash", Aliases: []string{"sh", "shell", "shellscript"}, IDs: ids("shellscript", ".sh", ".bash"),
			Servers: []Program{{Argv: []string{"bash-language-server", "start"}}},
			Install: "npm install -g bash-language-server",
		},
		{
			Name: "json", Aliases: []string{"jsonc"}, IDs: merged(ids("json", ".json"), ids("jsonc", ".jsonc")),
			Servers: vscode("json"), Install: installVSCode,
		},
		{
			Name: "yaml", Aliases: []string{"yml"}, IDs: ids("yaml", ".yaml", ".yml"),
			Servers: []Program{{Argv: []string{"yaml-language-server", "--stdio"}, Options: yamlOptions}},
			Install: "npm install -g yaml-language-server",
		},
		{
			Name: "html", Aliases: []string{"htm"}, IDs: ids("html", ".html", ".htm"),
			Servers: vscode("html"), Install: installVSCode,
		},
		{
			Name:    "css",
			IDs:     merged(ids("css", ".css"), ids("scss", ".scss"), ids("less", ".less")),
			Servers: vscode("css"), Install: installVSCode,
		},
	}
}

func ids(id string, extensions ...string) map[string]string {
	byExtension := make(map[string]string, len(extensions))
	for _, e := range extensions {
		byExtension[e] = id
	}
	return byExtension
}

func merged(all ...map[string]string) map[string]string {
	one := map[string]string{}
	for _, m := range all {
		maps.Copy(one, m)
	}
	return one
}

// id returns the protocol's language id of a file.
func (l *Language) id(path string) string {
	if id, known := l.IDs[strings.ToLower(filepath.Ext(path))]; known {
		return id
	}
	return l.Name
}

// program returns the first server that lookPath finds. Error: fault.NotBuilt, with how to install one.
func (l *Language) program(lookPath func(string) (string, error)) (Program, error) {
	var names []string
	for _, p := range l.Servers {
		if _, err := lookPath(p.Argv[0]); err == nil {
			return p, nil
		}
		names = append(names, p.Argv[0])
	}
	return Program{}, fault.Newf(fault.NotBuilt, "no language server for %s is on PATH (looked for %s): install one by `%s`",
		l.Name, strings.Join(names, ", "), l.Install)
}

// languages finds a Language by any of its names.
type languages struct {
	byName map[string]*Language
	names  []string // canonical, sorted
}

func newLanguages(table []Language) languages {
	ls := languages{byName: map[string]*Language{}}
	for i := range table {
		l := &table[i]
		ls.names = append(ls.names, l.Name)
		for _, name := range append([]string{l.Name}, l.Aliases...) {
			ls.byName[name] = l
		}
	}
	slices.Sort(ls.names)
	return ls
}

// find ignores case. Error: fault.Invalid, with the list of what there is.
func (ls *languages) find(name string) (*Language, error) {
	if l := ls.byName[strings.ToLower(name)]; l != nil {
		return l, nil
	}
	return nil, fault.Newf(fault.Invalid, "language %q is not known: use one of %s", clip(name), strings.Join(ls.names, ", "))
}

// pylspOptions leave imports out of a document's symbols and matters of style out of its diagnostics, and let the server
// know the packages of the project's own virtual environment.
func pylspOptions(root string) Options {
	plugins := map[string]any{
		"jedi_symbols": map[string]any{"include_import_symbols": false},
		"pycodestyle":  map[string]any{"enabled": false},
	}
	for _, name := range []string{".venv", "venv"} {
		dir := filepath.Join(root, name)
		if _, err := os.Stat(filepath.Join(dir, "bin", "python")); err == nil {
			plugins["jedi"] = map[string]any{"environment": dir}
			break
		}
	}
	all := map[string]any{"pylsp": map[string]any{"plugins": plugins}}
	return Options{Init: all, Settings: all}
}

// tsserverOptions turn off the second process that answers from the opened document alone while the project is being
// loaded: its answers lack what other files declare, and do not say so. No types are fetched from the network.
func tsserverOptions(string) Options {
	return Options{Init: map[string]any{
		"tsserver":                          map[string]any{"useSyntaxServer": "never"},
		"disableAutomaticTypingAcquisition": true,
	}}
}

// vscodeOptions turn on what the servers for JSON, HTML and CSS do only when told to.
func vscodeOptions(string) Options {
	validate := map[string]any{"validate": true}
	return Options{
		Init: map[string]any{"provideFormatter": true},
		Settings: map[string]any{
			"json": map[string]any{"validate": map[string]any{"enable": true}, "format": map[string]any{"enable": true}},
			"html": map[string]any{}, "css": validate, "scss": validate, "less": validate,
		},
	}
}

// yamlOptions turn off the catalogue of schemas on the network, which answers wait for: some 20 s where there is no
// network.
func yamlOptions(string) Options {
	return Options{Settings: map[string]any{"yaml": map[string]any{
		"schemaStore": map[string]any{"enable": false}, "format": map[string]any{"enable": true},
		"validate": true, "hover": true, "completion": true,
	}}}
}
