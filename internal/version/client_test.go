package version_test

import (
	"testing"

	"github.com/sandlot-dev/sandlot/internal/version"
)

func TestClientsAreToldApartByTheirVersion(t *testing.T) {
	for _, tc := range []struct {
		client string
		minor  int
		want   bool
	}{
		{"0.103.0", 104, false},
		{"0.104.0", 104, true},
		{"v0.27.1", 104, false},
		{"0.226.1", 167, true},
		{"1.2.3", 167, true},
		{"0.0.0-dev", 167, true},
		{"0.104.0-alpha.1", 104, true},
		{"nonsense", 104, true},
		{"nonsense", 167, false},
	} {
		if got := version.AtLeast(tc.client, 0, tc.minor); got != tc.want {
			t.Errorf("AtLeast(%q, 0, %d) = %v, want %v", tc.client, tc.minor, got, tc.want)
		}
	}
}
