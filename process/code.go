package process

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sandlot-dev/sandlot/internal/fault"
)

// Code is a program given as text.
type Code struct {
	Language string   // python, javascript or typescript
	Source   string   // the program
	Argv     []string // its arguments, passed verbatim
	Spec     Spec     // the rest; Script, Argv and Input are filled in here
}

// RunCode runs a program in the default folder and waits for its Result, as Run does. Arguments are where the wire has them: in
// sys.argv[1:] of Python, whose sys.argv[0] is "-", and from process.argv[1] of JavaScript and TypeScript (toolbox.md 3.2).
func (m *Manager) RunCode(ctx context.Context, code Code) (Result, error) {
	if strings.TrimSpace(code.Source) == "" {
		return Result{}, fault.New(fault.Invalid, "the code is empty")
	}
	spec := code.Spec
	spec.code = append([]string{code.Language, code.Source}, code.Argv...)
	switch code.Language {
	case "python":
		spec.Argv, spec.Input = append([]string{"python3", "-u", "-"}, code.Argv...), []byte(code.Source)
	case "javascript":
		spec.program, spec.Input = javascript(code)
		spec.Argv = spec.program.argv
	case "typescript":
		dir, err := scratchDir()
		if err != nil {
			return Result{}, err
		}
		defer os.RemoveAll(dir) // a folder of ours in the temporary one; the program may have removed it
		if spec.Argv, err = m.typescript(code, dir); err != nil {
			return Result{}, err
		}
	default:
		return Result{}, fault.Newf(fault.Invalid, "language %q is not one of python, javascript, typescript", code.Language)
	}
	return m.Run(ctx, spec)
}

// javascript passes the program as an argument, which is not shown, since node then leaves no name of it in process.argv; one that is too long
// for that comes by standard input, and takes the name out itself.
func javascript(code Code) (p program, input []byte) {
	if len(code.Source) <= maxArgument && !strings.Contains(code.Source, "\x00") {
		source := code.Source
		if strings.HasPrefix(source, "-") {
			source = " " + source // it is no option
		}
		argv := append([]string{"node", "-e", "--"}, code.Argv...)
		return program{argv: argv, hidden: source, at: 2, other: func() other {
			return other{argv: slices.Insert(slices.Clone(argv), 2, source)}
		}}, nil
	}
	return program{argv: append([]string{"node", "-"}, code.Argv...)}, []byte(withoutName(code.Source))
}

// withoutName makes a program remove its own name from process.argv, without moving any of its lines.
func withoutName(source string) string {
	if strings.HasPrefix(source, "#!") {
		source = "//" + source[2:]
	}
	return "process.argv.splice(1,1);" + source
}

// typescript takes the first of the runners that the image has; none of them needs the network.
func (m *Manager) typescript(code Code, dir string) ([]string, error) {
	file := filepath.Join(dir, "main.ts")
	if err := os.WriteFile(file, []byte(withoutName(code.Source)), 0o644); err != nil { // it may run as another user
		return nil, fault.Newf(fault.Internal, "write the program: %w", err)
	}
	path := lookup(m.Environ(), "PATH")
	for _, runner := range [][]string{
		{"ts-node", "--transpileOnly", "--compilerOptions", `{"module":"CommonJS"}`},
		{"tsx"},
		{"node", "--experimental-strip-types", "--no-warnings"},
	} {
		if _, err := LookPath(runner[0], path, m.cfg.Dir); err == nil {
			return append(append(runner, file), code.Argv...), nil
		}
	}
	return []string{"ts-node"}, nil // Run says that it is not there
}

// scratchDir makes a folder in the first place that takes one.
func scratchDir() (string, error) {
	var err error
	for _, parent := range []string{os.TempDir(), "/var/tmp", "/dev/shm"} {
		var dir string
		if dir, err = os.MkdirTemp(parent, "sandlot-"); err == nil {
			return dir, os.Chmod(dir, 0o711) // a program of another user finds its file
		}
	}
	return "", fault.Newf(fault.Internal, "no folder takes a temporary file: %w", err)
}
