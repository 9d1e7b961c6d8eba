package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func modes(t *testing.T, dir string) map[string]fs.FileMode {
	t.Helper()
	found := map[string]fs.FileMode{}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		found[e.Name()] = info.Mode().Perm()
	}
	return found
}

func TestDataFolderIsMadePrivate(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	if err := os.Mkdir(data, 0o755); err != nil {
		t.Fatal(err)
	}
	// Of an older version.
	for _, name := range []string{"lock", "sandlot.db", "sandlot.db-wal", "keys.yaml", "running.json", "sandlot.log"} {
		if err := os.WriteFile(filepath.Join(data, name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(data, "inject"), 0o755); err != nil {
		t.Fatal(err)
	}
	held, err := lock(data)
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close() // nothing was written
	if st, err := os.Stat(data); err != nil || st.Mode().Perm() != 0o700 {
		t.Errorf("the folder is %v, %v", st.Mode(), err)
	}
	for name, mode := range modes(t, data) {
		if want := map[bool]fs.FileMode{true: 0o755, false: 0o600}[name == "inject"]; mode != want {
			t.Errorf("%s is %v, want %v", name, mode, want)
		}
	}
	if err := writeState(data, state{}); err != nil {
		t.Fatal(err)
	}
	if mode := modes(t, data)["running.json"]; mode != 0o600 {
		t.Errorf("running.json is %v", mode)
	}
}

func TestDataFolderOfOthersIsRefused(t *testing.T) {
	base := t.TempDir()
	in := func(name string) string { return filepath.Join(base, name) }
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.Mkdir(in("others"), 0o700))
	must(os.Symlink(in("others"), in("link")))
	must(os.Mkdir(in("ours"), 0o700))
	must(os.Symlink(in("ours"), in("link-to-ours")))
	must(os.Mkdir(in("shared"), 0o755))
	must(os.WriteFile(in("shared/letter"), nil, 0o600))
	must(os.Mkdir(in("tmp"), 0o755))
	must(os.Chmod(in("tmp"), 0o777|fs.ModeSticky))
	must(os.WriteFile(in("file"), nil, 0o600))
	cases := []struct{ name, want string }{
		{"shared", "folder of its own"},
		{"tmp", "folder of its own"},
		{"file", "not a directory"},
		{"ours", ""},
		{"link-to-ours", ""},
	}
	if os.Geteuid() == 0 {
		must(os.Chown(in("others"), 12345, 12345))
		cases = append(cases, struct{ name, want string }{"others", "12345"}, struct{ name, want string }{"link", "12345"})
	}
	for _, tc := range cases {
		before, err := os.Stat(in(tc.name))
		must(err)
		held, err := lock(in(tc.name))
		if err == nil {
			must(held.Close())
		}
		if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want) ||
			!strings.Contains(err.Error(), "--data")) {
			t.Errorf("%s: %v, want %q and --data", tc.name, err, tc.want)
		}
		if after, err := os.Stat(in(tc.name)); err != nil || after.Mode() != before.Mode() {
			t.Errorf("%s was %v and is %v, %v", tc.name, before.Mode(), after.Mode(), err)
		}
	}
}
