package interpreter

import (
	"errors"
	"os"
	"slices"
	"testing"
)

// TestTypeScriptTakesTheFirstRunner looks at which runner is taken, and that the program's file goes with the Prepared.
func TestTypeScriptTakesTheFirstRunner(t *testing.T) {
	for _, tc := range []struct {
		has  []string
		want string
	}{
		{[]string{"node", "tsx", "ts-node"}, "ts-node"},
		{[]string{"node", "tsx"}, "tsx"},
		{[]string{"node"}, "node"},
		{nil, "ts-node"},
	} {
		lookPath := func(name string) (string, error) {
			if !slices.Contains(tc.has, name) {
				return "", errors.New("not here")
			}
			return name, nil
		}
		cmd, err := typescript(Program{Language: "typescript", Source: "1", Argv: []string{"last"}}, lookPath)
		if err != nil {
			t.Fatal(err)
		}
		if cmd.Spec.Argv[0] != tc.want {
			t.Errorf("of %v it took %s, want %s", tc.has, cmd.Spec.Argv[0], tc.want)
		}
		if len(tc.has) > 0 {
			file := cmd.Spec.Argv[len(cmd.Spec.Argv)-2]
			_, before := os.Stat(file)
			cmd.Close()
			if _, after := os.Stat(file); before != nil || !errors.Is(after, os.ErrNotExist) {
				t.Errorf("%s before Close: %v, after it: %v", file, before, after)
			}
		}
		cmd.Close()
	}
}
