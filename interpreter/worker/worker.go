// Package worker holds the programs that run inside an interpreter's contexts, one for each language, and their parts.
package worker

import _ "embed" // the programs are files beside this one

// The programs.
var (
	//go:embed python.py
	Python string
	//go:embed rich.py
	Rich string
	//go:embed charts.py
	Charts string
)
