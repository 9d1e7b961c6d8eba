package lsp

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Limits of a walk over a project. What lies beyond is left out, and that is told.
const (
	maxEntries = 100_000 // of folders
	maxFiles   = 5_000   // of the language
)

// skipped are folders that hold no source of the project's own. Those that begin with a dot are left out, too.
var skipped = map[string]bool{
	"node_modules": true, "venv": true, "site-packages": true, "__pycache__": true, "vendor": true, "target": true,
	"dist": true, "build": true,
}

// projectFile is a file of the language in a project.
type projectFile struct {
	path  string
	state state
}

// projectFiles lists the files of a language below root in the order of their paths, and whether those are all. Links
// are not followed.
func projectFiles(ctx context.Context, root string, l *Language) (files []projectFile, all bool) {
	entries := 0
	all = true
	for folders := []string{root}; len(folders) > 0; {
		dir := folders[len(folders)-1]
		folders = folders[:len(folders)-1]
		f, err := os.OpenFile(dir, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NONBLOCK, 0)
		if err != nil {
			continue // it has gone, or is not for us
		}
		for {
			batch, err := f.ReadDir(1024)
			entries += len(batch)
			for _, e := range batch {
				path := filepath.Join(dir, e.Name())
				switch {
				case e.IsDir():
					if !skipped[e.Name()] && !strings.HasPrefix(e.Name(), ".") && len(path) < maxPath {
						folders = append(folders, path)
					}
				case e.Type().IsRegular() && l.IDs[strings.ToLower(filepath.Ext(e.Name()))] != "":
					if st, ok := entryState(e); ok {
						files = append(files, projectFile{path: path, state: st})
					}
				}
			}
			if entries > maxEntries || len(files) > maxFiles || ctx.Err() != nil {
				folders, all = nil, false
				break
			}
			if err != nil {
				break
			}
		}
		f.Close()
	}
	slices.SortFunc(files, func(a, b projectFile) int { return strings.Compare(a.path, b.path) })
	return files[:min(len(files), maxFiles)], all
}

func entryState(e fs.DirEntry) (state, bool) {
	info, err := e.Info()
	if err != nil {
		return state{}, false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || st.Size > maxFile {
		return state{}, false
	}
	return state{
		size: st.Size, modified: unix.Timespec(st.Mtim), changed: unix.Timespec(st.Ctim), device: st.Dev, node: st.Ino,
	}, true
}
