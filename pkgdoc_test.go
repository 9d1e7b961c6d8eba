package sandlot_test

import (
	"strings"
	"testing"
)

// TestEveryPackageSaysWhatItIs wants a doc comment that begins as godoc expects; doc.go is its place in a room,
// main.go in a command.
func TestEveryPackageSaysWhatItIs(t *testing.T) {
	for _, p := range packages(t) {
		if len(p.GoFiles)+len(p.CgoFiles) == 0 {
			continue // tests alone
		}
		switch {
		case p.Doc == "":
			t.Errorf("%s has no doc comment: say what it owns, its lifetimes and its limits", p.ImportPath)
		case p.Name != "main" && !strings.HasPrefix(p.Doc, "Package "+p.Name+" "):
			t.Errorf("the doc comment of %s begins %q, want \"Package %s …\"", p.ImportPath, p.Doc, p.Name)
		}
	}
}
