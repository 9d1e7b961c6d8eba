package main

import (
	"os"
	"strings"
	"testing"
)

func TestAShortKeyIsRefused(t *testing.T) {
	data := served(t, os.Getpid())
	code, _, stderr := call(t, data, map[string]string{"SANDLOT_API_KEY": "short"}, "env")
	if code == 0 || !strings.Contains(stderr, "SANDLOT_API_KEY") ||
		!strings.Contains(stderr, "at least 8 characters") || strings.Contains(stderr, "short") {
		t.Errorf("%d, %s", code, stderr)
	}
}

// TestHelpShowsWhatAVerbTakes looks for the settings of a server in the help of all verbs.
func TestHelpShowsWhatAVerbTakes(t *testing.T) {
	for verb, server := range map[string]bool{
		"up": true, "down": true, "env": true, "config": true, "doctor": true, "adopt": true,
		"run": false, "list": false, "delete": false,
	} {
		_, help, _ := call(t, t.TempDir(), nil, verb, "--help")
		for flag, want := range map[string]bool{
			"--drain": server, "--pids-limit": server, "--api-url": true, "--data": true, "--config": true, "--api-key": false,
		} {
			if strings.Contains(help, "\n      "+flag+" ") != want {
				t.Errorf("%s --help: %s is there: %v\n%s", verb, flag, !want, help)
			}
		}
	}
}
