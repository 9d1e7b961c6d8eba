package code

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/internal/linux"
)

// Program is a program given as text.
type Program struct {
	Language string   // python, javascript or typescript
	Source   string   // the text
	Argv     []string // arguments, passed verbatim
}

// Command is how a Program is run. Its fields are those of a process.Spec and of its process.Capture.
type Command struct {
	Argv   []string
	Hidden int    // index in Argv of the source, 0 when it is not there
	Input  []byte // the source, nil when it is not standard input

	dir string // holds the source; "" when it is not in a file
}

// New returns how p is run. lookPath finds a program in the PATH that p will have. The caller calls Close when p has
// ended. Errors: fault.Invalid for an empty program or an unknown language, fault.Internal where no folder takes a
// file.
func New(p Program, lookPath func(program string) (string, error)) (*Command, error) {
	if strings.TrimSpace(p.Source) == "" {
		return nil, fault.New(fault.Invalid, "the code is empty")
	}
	switch p.Language {
	case "python":
		return &Command{Argv: append([]string{"python3", "-u", "-"}, p.Argv...), Input: []byte(p.Source)}, nil
	case "javascript":
		return javascript(p), nil
	case "typescript":
		return typescript(p, lookPath)
	default:
		return nil, fault.Newf(fault.Invalid, "language %q is not one of python, javascript, typescript", p.Language)
	}
}

// Close removes the file that the source was written to, if any.
func (c *Command) Close() {
	if c.dir != "" {
		_ = os.RemoveAll(c.dir) // the program may have removed it
	}
}

// maxArgument is the longest source that is passed as an argument. The kernel's limit for one argument is 128 KiB.
const maxArgument = 100 << 10

// javascript passes the source as an argument, because node then puts no name of the program into process.argv, as
// clients expect (docs/wire.md, "Code"). A source that cannot be an argument comes by standard input and removes the
// name itself.
func javascript(p Program) *Command {
	if len(p.Source) > maxArgument || strings.Contains(p.Source, "\x00") {
		return &Command{Argv: append([]string{"node", "-"}, p.Argv...), Input: []byte(withoutName(p.Source))}
	}
	source := p.Source
	if strings.HasPrefix(source, "-") {
		source = " " + source // else node takes it for an option
	}
	return &Command{Argv: append([]string{"node", "-e", source, "--"}, p.Argv...), Hidden: 2}
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
func typescript(p Program, lookPath func(string) (string, error)) (*Command, error) {
	dir, err := linux.ScratchFolder()
	if err != nil {
		return nil, fault.Newf(fault.Internal, "no folder takes a temporary file: %w", err)
	}
	c := &Command{dir: dir}
	file := filepath.Join(dir, "main.ts")
	err = os.WriteFile(file, []byte(withoutName(p.Source)), 0o644)
	if err = errors.Join(err, os.Chmod(dir, 0o711)); err != nil { // another user may run it
		c.Close()
		return nil, fault.Newf(fault.Internal, "write the program: %w", err)
	}
	c.Argv = []string{"ts-node"} // without any runner, the start says that this one is missing
	for _, runner := range runners {
		if _, err := lookPath(runner[0]); err == nil {
			c.Argv = slices.Concat(runner, []string{file}, p.Argv)
			break
		}
	}
	return c, nil
}
