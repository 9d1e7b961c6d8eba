package interpreter

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/internal/linux"
	programs "github.com/sandlot-dev/sandlot/interpreter/worker"
	"github.com/sandlot-dev/sandlot/process"
)

// Program is a program given as text, which runs once and keeps no state.
//
// Published clients expect arguments where these languages' usual commands put them: in sys.argv[1:] of Python, whose
// sys.argv[0] is "-", and from process.argv[1] on of JavaScript and TypeScript, without a name of the program.
type Program struct {
	Language string   // python, javascript or typescript
	Source   string   // the text
	Argv     []string // arguments, passed verbatim
	Env      map[string]string
	Split    bool // keep stdout and stderr apart
}

// Prepared is how a Program is run: Spec lacks what does not depend on the language.
type Prepared struct {
	Spec process.Spec

	files []*os.File
	dir   string      // holds the source; "" when it is not in a file
	forks *forkServer // that may have been missed; may be nil
}

// Prepare returns how p is run. The caller calls Close when it has ended. What a Python program shows of figures comes
// on a line each of the stream Events, as JSON. Errors: fault.Invalid for an empty program or an unknown language, fault.Internal
// where no folder takes a file.
func (m *Manager) Prepare(p Program) (*Prepared, error) {
	if strings.TrimSpace(p.Source) == "" {
		return nil, fault.New(fault.Invalid, "the code is empty")
	}
	var c *Prepared
	var err error
	switch p.Language {
	case "python":
		c, err = m.python(p)
	case "javascript":
		c = javascript(p)
	case "typescript":
		c, err = typescript(p, m.cfg.Processes.LookPath)
	default:
		err = fault.Newf(fault.Invalid, "language %q is not one of python, javascript, typescript", p.Language)
	}
	if err != nil {
		return nil, err
	}
	c.Spec.Env = p.Env
	return c, nil
}

// Close removes what the start needed, and prepares for the next.
func (c *Prepared) Close() {
	if c.forks != nil {
		c.forks.Prepare()
	}
	for _, f := range c.files {
		_ = f.Close() // it was for the process
	}
	if c.dir != "" {
		_ = os.RemoveAll(c.dir) // the program may have removed it
	}
}

// loader is a Python program that runs the text in descriptor 4. Parts of a text are apart by a zero.
const loader = `import os;f=os.fdopen(4,"rb");parts=f.read().split(b"\0");f.close();` +
	`exec(compile(parts[0],"<sandlot>","exec"))`

// heavy finds modules whose import takes long, and of which a copy in memory serves as well as a new one.
var heavy = regexp.MustCompile(`(?m)^\s*(?:import|from)\s+` +
	`(numpy|pandas|matplotlib|seaborn|scipy|sklearn|sympy|PIL|plotly|requests)\b`)

// python runs the program by our own text, so that figures are seen, in a process that is forked if it can be.
func (m *Manager) python(p Program) (*Prepared, error) {
	c := &Prepared{}
	for _, text := range [][]byte{[]byte(programs.Run + "\x00" + programs.Charts), []byte(p.Source)} {
		f, err := linux.MemoryFile("program", text)
		if err != nil {
			c.Close()
			return nil, err
		}
		c.files = append(c.files, f)
	}
	imports := []string{}
	for _, found := range heavy.FindAllStringSubmatch(p.Source, 8) {
		name := found[1]
		if name == "matplotlib" {
			name = "matplotlib.pyplot"
		}
		imports = append(imports, name)
	}
	c.forks = &m.forks
	if len(imports) > 0 {
		c.forks = &m.heavy
	}
	c.Spec = process.Spec{
		Argv:    append([]string{"python3", "-u", "-c", loader}, p.Argv...),
		Fork:    forked{server: c.forks, argv: p.Argv, imports: imports, own: decides(p.Env)},
		Streams: process.Capture{Split: p.Split, Attachment: true, More: c.files},
	}
	return c, nil
}

// maxArgument is the longest source that is passed as an argument. The kernel's limit for one argument is 128 KiB.
const maxArgument = 100 << 10

// javascript passes the source as an argument, because node then puts no name of the program into process.argv, as
// clients expect (docs/wire.md, "Code"). A source that cannot be an argument comes by standard input and removes the
// name itself.
func javascript(p Program) *Prepared {
	if len(p.Source) > maxArgument || strings.Contains(p.Source, "\x00") {
		return &Prepared{Spec: process.Spec{
			Argv:    append([]string{"node", "-"}, p.Argv...),
			Streams: process.Capture{Input: []byte(withoutName(p.Source)), Split: p.Split},
		}}
	}
	source := p.Source
	if strings.HasPrefix(source, "-") {
		source = " " + source // else node takes it for an option
	}
	return &Prepared{Spec: process.Spec{
		Argv: append([]string{"node", "-e", source, "--"}, p.Argv...), Hidden: 2,
		Streams: process.Capture{Split: p.Split},
	}}
}

// withoutName makes a program remove its own name from process.argv, without moving any of its lines.
func withoutName(source string) string {
	if strings.HasPrefix(source, "#!") {
		source = "//" + source[2:]
	}
	return "process.argv.splice(1,1);" + source
}

// runners are what can run TypeScript without the network, in the order of preference.
var runners = [][]string{
	{"ts-node", "--transpileOnly", "--compilerOptions", `{"module":"CommonJS"}`},
	{"tsx"},
	{"node", "--experimental-strip-types", "--no-warnings"},
}

// typescript writes the source to a file and takes the first runner that the image has.
func typescript(p Program, lookPath func(string) (string, error)) (*Prepared, error) {
	dir, err := linux.ScratchFolder()
	if err != nil {
		return nil, fault.Newf(fault.Internal, "no folder takes a temporary file: %w", err)
	}
	c := &Prepared{dir: dir}
	file := filepath.Join(dir, "main.ts")
	err = os.WriteFile(file, []byte(withoutName(p.Source)), 0o644)
	if err = errors.Join(err, os.Chmod(dir, 0o711)); err != nil { // another user may run it
		c.Close()
		return nil, fault.Newf(fault.Internal, "write the program: %w", err)
	}
	c.Spec.Streams = process.Capture{Split: p.Split}
	c.Spec.Argv = []string{"ts-node"} // without any runner, the start says that this one is missing
	for _, runner := range runners {
		if _, err := lookPath(runner[0]); err == nil {
			c.Spec.Argv = slices.Concat(runner, []string{file}, p.Argv)
			break
		}
	}
	return c, nil
}
