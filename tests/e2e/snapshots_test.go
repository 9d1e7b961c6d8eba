//go:build e2e

package e2e_test

import (
	"runtime"
	"testing"
)

// TestSnapshotsOfTheHostedService makes a sandbox of each name that programs written for it ask for.
func TestSnapshotsOfTheHostedService(t *testing.T) {
	_, c := small.up(t)
	for _, tc := range []struct {
		name      string
		cpu, disk int
	}{{"daytona-small", 1, 3}, {"daytona-medium", 2, 8}, {"daytona-large", 4, 10}, {"default", 1, 3}} {
		box := c.Create(map[string]any{"snapshot": tc.name})
		if box.Snapshot != tc.name || box.Disk != tc.disk || box.CPU != min(tc.cpu, runtime.NumCPU()) {
			t.Errorf("%s: a sandbox of %q with %d cores, %d GiB of disk; want %d, %d", tc.name, box.Snapshot, box.CPU,
				box.Disk, tc.cpu, tc.disk)
		}
		if out := box.MustExec("echo runs"); out != "runs" {
			t.Errorf("%s: %q", tc.name, out)
		}
	}
}
