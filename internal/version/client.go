package version

import (
	"strconv"
	"strings"
)

// AtLeast reports whether a client's release, such as "0.103.0", is major.minor or newer. One with "dev" in it is the
// newest. One that cannot be read counts as a release of the year 2025, between 0.104 and 0.166.
func AtLeast(client string, major, minor int) bool {
	if strings.Contains(client, "dev") {
		return true
	}
	core, _, _ := strings.Cut(strings.TrimPrefix(client, "v"), "-")
	parts := strings.Split(core, ".")
	if len(parts) >= 2 {
		x, errX := strconv.Atoi(parts[0])
		y, errY := strconv.Atoi(parts[1])
		if errX == nil && errY == nil {
			return x > major || x == major && y >= minor
		}
	}
	return major == 0 && minor < 167
}
