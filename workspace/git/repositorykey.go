package git

import (
	"os"
	"path/filepath"
	"strings"
)

// repositoryKey returns the key of the repository's lock: the real path of the folder that all of its work trees
// share, which is the main one's.
func repositoryKey(path string) string {
	tree, err := filepath.EvalSymlinks(path)
	if err != nil {
		return path // not made yet
	}
	own := pathIn(tree, ".git", "gitdir: ")
	if own == "" {
		return tree
	}
	common := pathIn(own, "commondir", "")
	if common == "" {
		return tree // a submodule
	}
	return strings.TrimSuffix(common, "/.git")
}

// pathIn returns the path that a small file in dir holds after a prefix, "" when there is none.
func pathIn(dir, file, prefix string) string {
	file = filepath.Join(dir, file)
	if st, err := os.Lstat(file); err != nil || !st.Mode().IsRegular() || st.Size() > 4<<10 {
		return ""
	}
	text, _ := os.ReadFile(file)
	path, ok := strings.CutPrefix(strings.TrimSpace(string(text)), prefix)
	switch {
	case !ok || path == "":
		return ""
	case !filepath.IsAbs(path):
		path = filepath.Join(dir, path)
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	return path
}
