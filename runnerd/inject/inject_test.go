package inject_test

import (
	"bytes"
	"debug/elf"
	"errors"
	"os"
	"testing"

	"github.com/sandlot-dev/sandlot/runnerd/inject"
)

func TestToolboxdIsStaticOrSaidToBeMissing(t *testing.T) {
	program, err := inject.Toolboxd()
	if _, stat := os.Stat("bin/toolboxd"); errors.Is(stat, os.ErrNotExist) {
		if !errors.Is(err, inject.ErrMissing) {
			t.Errorf("Toolboxd() without a built one = %d bytes, %v; want ErrMissing", len(program), err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	file, err := elf.NewFile(bytes.NewReader(program))
	if err != nil {
		t.Fatal(err)
	}
	if libs, err := file.ImportedLibraries(); err != nil || len(libs) > 0 {
		t.Errorf("toolboxd needs the libraries %v (%v); it must run in images that have none", libs, err)
	}
}
