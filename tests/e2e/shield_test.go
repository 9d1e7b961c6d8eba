//go:build e2e

package e2e_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/sandlot-dev/sandlot/api"
)

// TestDaemonIsShieldedAndChildrenAreNot needs a daemon that may run before others: one that runs as root.
func TestDaemonIsShieldedAndChildrenAreNot(t *testing.T) {
	d, p := straight(t)
	task := fmt.Sprintf("/proc/%d", p.PID())
	read := func(file string) int {
		raw, err := os.ReadFile(file)
		score, convErr := strconv.Atoi(strings.TrimSpace(string(raw)))
		if err != nil || convErr != nil {
			t.Fatal(err, convErr)
		}
		return score
	}
	score := read("/proc/self/oom_score_adj")
	if own := read(task + "/oom_score_adj"); own != -999 { // not permitted here, so the children go up
		score += 300
		if own >= score {
			t.Errorf("oom_score_adj of the daemon = %d, not less than the %d of its children", own, score)
		}
	}
	threads, err := filepath.Glob(task + "/task/*/stat")
	if err != nil || len(threads) == 0 {
		t.Fatalf("no threads: %v", err)
	}
	for _, file := range threads {
		stat, err := os.ReadFile(file)
		if err != nil {
			continue // the thread has ended
		}
		f := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
		if nice := f[16]; nice != "-5" {
			t.Errorf("%s: nice %s, want -5", file, nice)
		}
	}
	want := fmt.Sprintf("0\n%d\n", score)
	const look = "sleep 0.1; nice; cat /proc/self/oom_score_adj"
	if code, got := d.exec(look); code != 0 || got != want {
		t.Errorf("execute: nice and oom_score_adj = %d, %q, want %q", code, got, want)
	}
	d.session("s")
	var out api.SessionExecuteResponse
	d.call("POST", "/process/session/s/exec", api.SessionExecuteRequest{Command: look}, &out)
	if out.Output == nil || !strings.HasSuffix(*out.Output, want) {
		t.Errorf("session: nice and oom_score_adj = %+v, want %q", out, want)
	}
}
