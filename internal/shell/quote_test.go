package shell_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/sandlot-dev/sandlot/internal/shell"
)

// TestTheShellTakesQuotedWordsLiterally has sh print words that would mean something to it.
func TestTheShellTakesQuotedWordsLiterally(t *testing.T) {
	words := []string{
		"plain", "", "two words", "it's", "''", "$HOME `id` $(id)", "a\\b", "new\nline", "*", "~", "-n",
		"\xff;#&|<>",
	}
	out, err := exec.CommandContext(t.Context(), "sh", "-c", `printf '%s\0' `+shell.Quote(words...)).Output()
	if got := strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00"); err != nil || !slices.Equal(got, words) {
		t.Errorf("%q became %q, %v", words, got, err)
	}
}
