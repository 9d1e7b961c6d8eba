package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestVerbsThatReadWriteNothing(t *testing.T) {
	data := served(t, os.Getpid())
	path := filepath.Join(data, "keys.yaml")
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	env := map[string]string{"SANDLOT_API_KEY": "dtn_other"}
	for _, verb := range []string{"env", "down"} {
		if code, _, stderr := call(t, data, env, verb); code != 0 {
			t.Errorf("%s: %d, %s", verb, code, stderr)
		}
	}
	if after, err := os.ReadFile(path); err != nil || !bytes.Equal(before, after) {
		t.Errorf("keys were\n%s\nand are\n%s%v", before, after, err)
	}
	held, err := lock(data) // a server runs, with the key in its folder
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close() // nothing was written
	if _, stdout, stderr := call(t, data, env, "env"); strings.Contains(stdout, "dtn_other") ||
		!strings.Contains(stdout, "dtn_") {
		t.Errorf("env names a key that the server does not know: %s%s", stdout, stderr)
	}
}
