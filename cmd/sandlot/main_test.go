package main

import (
	"bytes"
	"path/filepath"
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
	if _, err := makeKeys(&config{Data: data}); err != nil {
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
