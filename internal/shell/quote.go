// Package shell writes commands for a POSIX shell.
package shell

import "strings"

// Quote returns a command of words that the shell takes literally.
func Quote(words ...string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
	}
	return strings.Join(quoted, " ")
}
