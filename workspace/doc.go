// Package workspace works on the files of a sandbox: list, read, write, move, find, replace.
//
// A Files value stands for the file system as the daemon's user sees it; nothing fences it in. Paths are bytes without
// NUL, up to 4,095 of them; relative ones start from the folder given to New, "~" and "$X" mean nothing, ".." is
// resolved by the kernel. Only regular files are read and written: FIFOs, sockets and devices are refused without being
// opened, so nothing here blocks on them.
//
// A write becomes visible as a whole or not at all. Content goes to a temporary file (TempPrefix) beside the target,
// which then takes the target's name, mode, owner, access list and extended attributes. A small new file is made under
// its own name, and removed again if it cannot be filled. The file is written in place where a temporary one cannot
// take its place: in a folder that may not be written, at a mount point, for a file with several names, for an owner
// that cannot be given or attributes that cannot be read. An error then says how much of the content the file holds. A
// Replace in place writes its new content to a temporary folder first. Symbolic links are written through.
//
// Memory is bounded whatever the size of files and the depth of trees: buffers of at most 1 MiB come from pools,
// results are handed out while the work goes on, and of a tree only the names of the folders on the way are held (some
// 60 bytes each). What lies deeper than a path can lead is not listed or searched, but deleted with the rest. Files is
// safe for concurrent use and owns nothing that would have to be closed. Errors carry a wire code, such as
// FILE_NOT_FOUND.
//
// A Manager follows changes below folders by inotify, up to 64 folders at a time. Each has a log of its last 4,096
// events, so that a reader that was away for less than a minute goes on where it was. The event Lost stands for events
// that are missing.
//
//	files, err := workspace.New("/home/daytona")
//	info, err := files.Stat("notes.txt")
package workspace
