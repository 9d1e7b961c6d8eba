// Package code tells how a program that is given as text is run.
//
//	cmd, err := code.New(code.Program{Language: "python", Source: "print(1)"}, m.LookPath)
//	defer cmd.Close()
//	input := process.Capture{Input: cmd.Input}
//	res, err := m.Run(ctx, process.Spec{Argv: cmd.Argv, Hidden: cmd.Hidden, Streams: input})
//
// It starts nothing and keeps nothing between calls. Its functions are safe for concurrent use.
//
// # Arguments
//
// Published clients expect arguments where these languages' usual commands put them: in sys.argv[1:] of Python, whose
// sys.argv[0] is "-", and from process.argv[1] on of JavaScript and TypeScript, without a name of the program.
package code
