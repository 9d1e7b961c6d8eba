package lsp

import (
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/sandlot-dev/sandlot/internal/fault"
)

// maxPath is the longest path that the system takes, in bytes.
const maxPath = 4096

// resolver finds files by what callers call them.
type resolver struct {
	dir  string // that relative projects start from
	root string // of the project
}

// project returns the absolute path of a project's folder.
func (r resolver) project(name string) (string, error) {
	path := r.existing(name, r.dir)
	if err := checkPath(path); err != nil {
		return "", err
	}
	switch st, err := os.Stat(path); {
	case err != nil:
		return "", fault.Newf(fault.NotFound, "project folder %s does not exist or cannot be entered: make it, or give "+
			"another pathToProject", path)
	case !st.IsDir():
		return "", fault.Newf(fault.Invalid, "project %s is not a folder", path)
	}
	return path, nil
}

// document returns the absolute path of a document. name is a path or "file://" with a path behind it, absolute or
// relative, with or without percent escapes. A relative one starts from the project, or from the Manager's folder if
// only that has it.
func (r resolver) document(name string) (string, error) {
	path := r.existing(name, r.root, r.dir)
	return path, checkPath(path)
}

func checkPath(path string) error {
	switch {
	case strings.ContainsRune(path, 0):
		return fault.New(fault.Invalid, "the path holds a NUL byte")
	case len(path) >= maxPath:
		return fault.Newf(fault.Invalid, "the path has %d bytes; at most %d can be", len(path), maxPath-1)
	}
	return nil
}

// existing returns the first of the paths that name may mean which exists, else the first.
func (r resolver) existing(name string, starts ...string) string {
	var all []string
	for _, spelled := range spellings(name) {
		if filepath.IsAbs(spelled) {
			all = append(all, filepath.Clean(spelled))
			continue
		}
		for _, start := range starts {
			all = append(all, filepath.Join(start, spelled))
		}
	}
	for _, path := range all {
		if _, err := os.Lstat(path); err == nil {
			return path
		}
	}
	return all[0]
}

// spellings lists what a name may mean. Published clients put "file://" before a path as it is, so "%" may be just
// that; other programs send proper URIs.
func spellings(name string) []string {
	path, isURI := strings.CutPrefix(name, "file://")
	if !isURI {
		return []string{name}
	}
	all := []string{path}
	add := func(path string) {
		if decoded, err := url.PathUnescape(path); err == nil && decoded != path {
			all = append(all, decoded)
		}
	}
	add(path)
	if local, isLocal := strings.CutPrefix(path, "localhost/"); isLocal {
		all = append(all, "/"+local)
		add("/" + local)
	}
	return all
}

// fileURI returns the URI of an absolute path.
func fileURI(path string) string {
	u := url.URL{Scheme: "file", Path: path}
	return u.String()
}

// uriPath returns the path of a URI that a server has sent; ok is false when it is not that of a file.
func uriPath(uri string) (path string, ok bool) {
	if len(uri) > 3*maxPath {
		return "", false
	}
	u, err := url.Parse(uri)
	if err != nil || u.Scheme != "file" || !filepath.IsAbs(u.Path) {
		return "", false
	}
	return filepath.Clean(u.Path), true
}

// ourURI writes a server's URI as this room does, so that one file has one URI whoever names it.
func ourURI(uri string) string {
	if path, ok := uriPath(uri); ok {
		return fileURI(path)
	}
	return uri
}

// clip shortens what a peer has sent for an error's text.
func clip(text string) string {
	const most = 500
	if len(text) > most {
		return strings.ToValidUTF8(text[:most], "") + "…"
	}
	return strings.ToValidUTF8(text, "�")
}
