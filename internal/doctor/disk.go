package doctor

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// Disk checks that the disk of path has needMiB free. A path that does not exist yet counts as its nearest folder.
func Disk(check, path string, needMiB uint64) Finding {
	for {
		if _, err := os.Stat(path); err == nil || len(path) < 2 {
			break
		}
		path = path[:max(1, strings.LastIndexByte(path, '/'))]
	}
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return Finding{check, Warning, path + ": " + err.Error(), ""}
	}
	free := st.Bavail * uint64(st.Bsize) >> 20
	detail := fmt.Sprintf("%s, %d MiB free", path, free)
	if free < needMiB {
		return Finding{check, Broken, detail, fmt.Sprintf("free at least %d MiB there", needMiB)}
	}
	return Finding{check, OK, detail, ""}
}
