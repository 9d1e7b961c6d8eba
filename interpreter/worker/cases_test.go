package worker_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestPlainPython runs what needs python3 and no package: the text of values, the forms of their own methods, and the
// import hook.
func TestPlainPython(t *testing.T) {
	runCases(t, "python3", "plain_cases.py")
}

// runCases runs a file of testdata. Each of its cases is a test of its own.
func runCases(t *testing.T, python, file string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), python, "-B", filepath.Join("testdata", file))
	cmd.Stderr = t.Output()
	out, err := cmd.Output()
	cases := 0
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); cases++ {
		var result struct {
			Name  string
			Error string
		}
		if err := json.Unmarshal(lines.Bytes(), &result); err != nil {
			t.Errorf("%s writes %q, which is no result: %v", file, lines.Text(), err)
			continue
		}
		t.Run(result.Name, func(t *testing.T) {
			if result.Error != "" {
				t.Error(result.Error)
			}
		})
	}
	if err != nil {
		t.Errorf("%s: %v", file, err)
	}
	if cases == 0 {
		t.Errorf("%s has no cases", file)
	}
}
