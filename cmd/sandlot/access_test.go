package main

import (
	"os"
	"slices"
	"strings"
	"testing"
)

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
