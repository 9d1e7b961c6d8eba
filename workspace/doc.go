// Package workspace works on the files of a sandbox: list, read, write, move, find, replace.
//
// A Files value stands for the file system as the daemon's user sees it; nothing fences it in. Paths are bytes without
// NUL, up to 4,095 of them; relative ones start from the folder given to New, "~" and "$X" mean nothing, ".." is
// resolved by the kernel. Only regular files are read and written: FIFOs, sockets and devices are refused without being
// opened, so nothing here blocks on them.
//
// A write becomes visible as a whole or not at all: content goes to a temporary file (TempPrefix) beside the target,
// which then takes the target's name, mode, owner, access list and extended attributes; a new file that is small is
// made under its own name, and is gone again if it cannot be filled. Where that cannot be (a folder that may not be
// written, a mount point, a file with several names, an owner that cannot be given, attributes that cannot be read) the
// file is written in place, and an error says what it holds. A Replace writes its new content to /tmp, /var/tmp or
// /dev/shm first then. Symbolic links are written through.
//
// Memory is bounded whatever the size of files and the depth of trees: buffers of at most 1 MiB come from pools,
// results are handed out while the work goes on, the names of the folders on the way are held (some 60 bytes each).
// What lies deeper than a path can lead is not listed or searched, but deleted with the rest. Files is safe for
// concurrent use and owns nothing that would have to be closed. The rules are those of toolbox.md, section 1.
//
// A Manager follows changes below folders, up to 64 at a time, by inotify. Of each it keeps the last 4,096 events, so
// that a reader that was away for less than a minute goes on where it was; events that are missing are told as Lost.
//
//	files, err := workspace.New("/home/daytona")
//	info, err := files.Stat("notes.txt")
package workspace
