package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// call runs a verb in this process, with a data folder and no other setting.
func call(t *testing.T, data string, env map[string]string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(args, func(name string) string {
		if name == "SANDLOT_DATA" {
			return data
		}
		return env[name]
	}, &out, &errs)
	return code, out.String(), errs.String()
}

// served makes a data folder as a server that was killed leaves it.
func served(t *testing.T, pid int) string {
	t.Helper()
	data := filepath.Join(t.TempDir(), "data")
	held, err := lock(data)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := loadKeys(data, &config{}); err != nil {
		t.Fatal(err)
	}
	if err := writeState(data, state{PID: pid, APIURL: "http://127.0.0.1:1/api"}); err != nil {
		t.Fatal(err)
	}
	if err := held.Close(); err != nil {
		t.Fatal(err)
	}
	return data
}

func TestVerbsThatReadDoNotTakeTheLock(t *testing.T) {
	data := served(t, os.Getpid())
	ctx, cancel := context.WithCancel(t.Context())
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			for ctx.Err() == nil {
				if _, _, err := readState(data); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for i := range 200 {
		held, err := lock(data)
		if err != nil {
			t.Errorf("start %d beside readers: %v", i, err)
			break
		}
		if _, err := lock(data); !errors.Is(err, errRunning) {
			t.Errorf("a second server: %v, want %v", err, errRunning)
		}
		if s, running, err := readState(data); err != nil || !running || s.PID != os.Getpid() {
			t.Errorf("the server is not seen: %+v, %v, %v", s, running, err)
		}
		if err := held.Close(); err != nil {
			t.Fatal(err)
		}
	}
	cancel()
	readers.Wait()
	if _, running, err := readState(data); running || err != nil {
		t.Errorf("after its end the server runs: %v, %v", running, err)
	}
}

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
	if _, stdout, stderr := call(t, data, env, "env"); strings.Contains(stdout, "dtn_other") || !strings.Contains(stdout, "dtn_") {
		t.Errorf("env names a key that the server does not know: %s%s", stdout, stderr)
	}
}

// TestDownEndsTheHolderOfTheLockAlone starts a server over the state of one that was killed, whose process id is a stranger's by now.
func TestDownEndsTheHolderOfTheLockAlone(t *testing.T) {
	stranger := exec.CommandContext(t.Context(), "cat")
	in, err := stranger.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := stranger.Start(); err != nil {
		t.Fatal(err)
	}
	data := served(t, stranger.Process.Pid)
	path := filepath.Join(data, "lock")
	held, err := lock(data)
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close() // nothing was written
	// The id that the lock tells is a stranger's too: as seen from another pid namespace.
	raw, err := json.Marshal(map[string]int{"pid": stranger.Process.Pid, "started": 1})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	if code, stdout, stderr := call(t, data, nil, "down"); code != 1 || !strings.Contains(stderr, "cannot be seen") {
		t.Errorf("down: %d, %s%s", code, stdout, stderr)
	}
	if err := errors.Join(in.Close(), stranger.Wait()); err != nil {
		t.Errorf("the stranger ended with %v", err)
	}
}

func TestEnvironmentNamesTheServer(t *testing.T) {
	data := served(t, os.Getpid())
	const url, key = "DAYTONA_API_URL", "DAYTONA_API_KEY"
	for _, verb := range [][]string{{"list"}, {"delete", "x"}, {"run", "--", "true"}} {
		for _, tc := range []struct {
			name string
			env  map[string]string
			want string
		}{
			{"both", map[string]string{url: "http://127.0.0.1:2/api", key: "dtn_k"}, "127.0.0.1:2"},
			{"no key for another server", map[string]string{url: "http://127.0.0.1:2/api"}, key},
			{"a key for this machine's", map[string]string{key: "dtn_k"}, "127.0.0.1:3001"},
			{"neither", nil, "127.0.0.1:3001"},
		} {
			code, _, stderr := call(t, data, tc.env, append(verb, "--api-url", "http://127.0.0.1:3001/api")...)
			if verb[0] == "run" {
				code, _, stderr = call(t, data, tc.env, append([]string{"--api-url", "http://127.0.0.1:3001/api"}, verb...)...)
			}
			if code != 1 || !strings.Contains(stderr, tc.want) {
				t.Errorf("%v, %s: %d, %q does not name %s", verb, tc.name, code, stderr, tc.want)
			}
		}
	}
}

// TestEveryVerbSaysWhichServer reads the help of all verbs.
func TestEveryVerbSaysWhichServer(t *testing.T) {
	for _, cmd := range command(func(string) string { return "" }).Commands() {
		if slices.Contains([]string{"help", "completion"}, cmd.Name()) {
			continue
		}
		_, help, _ := call(t, t.TempDir(), nil, cmd.Name(), "--help")
		if !strings.Contains(help, "DAYTONA_API_URL") {
			t.Errorf("%s --help does not say whether DAYTONA_API_URL is looked at:\n%.600s", cmd.Name(), help)
		}
	}
}

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
	for _, name := range []string{"lock", "sandlot.db", "sandlot.db-wal", "keys.yaml", "running.json", "sandlot.log"} { // of an older version
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
		{"shared", "folder of its own"}, {"tmp", "folder of its own"}, {"file", "not a directory"}, {"ours", ""}, {"link-to-ours", ""},
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
		if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), "--data")) {
			t.Errorf("%s: %v, want %q and --data", tc.name, err, tc.want)
		}
		if after, err := os.Stat(in(tc.name)); err != nil || after.Mode() != before.Mode() {
			t.Errorf("%s was %v and is %v, %v", tc.name, before.Mode(), after.Mode(), err)
		}
	}
}

func TestAShortKeyIsRefused(t *testing.T) {
	data := served(t, os.Getpid())
	code, _, stderr := call(t, data, map[string]string{"SANDLOT_API_KEY": "short"}, "env")
	if code == 0 || !strings.Contains(stderr, "SANDLOT_API_KEY") || !strings.Contains(stderr, "at least 8 characters") || strings.Contains(stderr, "short") {
		t.Errorf("%d, %s", code, stderr)
	}
}
