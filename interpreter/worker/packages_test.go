//go:build e2e

package worker_test

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"testing"

	"github.com/sandlot-dev/sandlot/tests/harness"
)

// TestCharts reads the charts of real figures, and draws each again from what was read.
func TestCharts(t *testing.T) { runCases(t, packages(t), "charts_cases.py") }

// TestRichValues bundles values of pandas, matplotlib, Plotly, Altair, Pillow, SymPy and IPython.
func TestRichValues(t *testing.T) { runCases(t, packages(t), "rich_cases.py") }

// packages is a Python that has what testdata/requirements.txt says: a virtual environment in the cache, made once for
// each content of that file and release of python3. An install that was cut short is done again.
func packages(t *testing.T) string {
	t.Helper()
	pins := filepath.Join("testdata", "requirements.txt")
	data, err := os.ReadFile(pins)
	if err != nil {
		t.Fatal(err)
	}
	release, err := harness.Run(nil, nil, "python3", "-VV")
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(append([]byte(release), data...))
	dir, err := harness.Cache("interpreter", hex.EncodeToString(sum[:8]))
	if err != nil {
		t.Fatal(err)
	}
	python, whole := filepath.Join(dir, "bin", "python"), filepath.Join(dir, ".whole")
	if _, err := os.Stat(whole); err == nil {
		return python
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	for _, command := range [][]string{
		{"python3", "-m", "venv", dir},
		{python, "-m", "pip", "install", "-q", "--no-deps", "-r", pins},
	} {
		if _, err := harness.Run(nil, nil, command[0], command[1:]...); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(whole, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	return python
}
