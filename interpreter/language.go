package interpreter

import (
	"slices"
	"strings"

	"github.com/sandlot-dev/sandlot/internal/fault"
	programs "github.com/sandlot-dev/sandlot/interpreter/worker"
	"github.com/sandlot-dev/sandlot/process"
)

// language says how code of one language is run.
type language struct {
	name    string
	aliases []string
	argv    []string // of the worker; it reads its own text from descriptor 4
	text    string   // the worker's program
	parts   map[string]string
	forks   bool   // a fork server of Python can start it
	install string // what to do where argv[0] is missing
}

var languages = []language{
	{
		name:    "python",
		aliases: []string{"python3", "py"},
		argv:    []string{"python3", "-c", loader},
		text:    programs.Python,
		parts:   map[string]string{"rich": programs.Rich, "charts": programs.Charts},
		forks:   true,
		install: "install python3 in the sandbox",
	},
}

// Default is the language of a context that names none.
const Default = "python"

// languageOf finds a language by name; "" is the Default. Error: fault.Invalid.
func languageOf(name string) (language, error) {
	if name == "" {
		name = Default
	}
	names := make([]string, 0, len(languages))
	for _, l := range languages {
		if l.name == name || slices.Contains(l.aliases, name) {
			return l, nil
		}
		names = append(names, l.name)
	}
	return language{}, fault.Newf(fault.Invalid, "there is no interpreter for %q: take one of %s", name,
		strings.Join(names, ", "))
}

// fork returns what starts the language's workers without their own start, nil where nothing does.
func (l language) fork(m *Manager) process.Forker {
	if !l.forks {
		return nil
	}
	return forked{server: &m.forks}
}
