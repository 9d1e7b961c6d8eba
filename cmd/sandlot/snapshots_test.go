package main

import (
	"fmt"
	"testing"
)

// TestSnapshotsThereFromTheStart has the sizes of the hosted service's snapshots, as far as the settings allow them.
func TestSnapshotsThereFromTheStart(t *testing.T) {
	for _, tc := range []struct {
		name string
		cfg  config
		want string
	}{
		{
			"a large machine",
			config{DefaultSnapshot: "default", DefaultImage: "i", MaxCPU: 16, MaxMemory: 64, MaxDisk: 100},
			"daytona-small i 1/1/3, daytona-medium i 2/4/8, daytona-large i 4/8/10, default i 1/1/3, ",
		},
		{
			"a small machine",
			config{DefaultSnapshot: "default", DefaultImage: "i", MaxCPU: 2, MaxMemory: 3, MaxDisk: 9},
			"daytona-small i 1/1/3, daytona-medium i 2/3/8, daytona-large i 2/3/9, default i 1/1/3, ",
		},
	} {
		got := ""
		for _, s := range snapshots(tc.cfg) {
			got += fmt.Sprintf("%s %s %d/%d/%d, ", s.Name, s.Image, s.CPU, s.Memory, s.Disk)
		}
		if got != tc.want {
			t.Errorf("%s: %s, want %s", tc.name, got, tc.want)
		}
	}
}
