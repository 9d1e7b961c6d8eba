// Package worker holds the programs that run inside an interpreter's contexts, one for each language, and their parts.
package worker

import _ "embed" // the programs are files beside this one

// The programs.
var (
	// Python runs cells; Rich and Charts are its parts.
	//go:embed python.py
	Python string
	// Run runs one program; Charts is a part of it.
	//go:embed run.py
	Run string
	// Serve forks the processes that the others run in.
	//go:embed serve.py
	Serve string
	//go:embed rich.py
	Rich string
	//go:embed charts.py
	Charts string
)
