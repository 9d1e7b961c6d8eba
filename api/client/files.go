package client

import (
	"context"
	"io"
	"net/http"
	"net/url"

	"github.com/sandlot-dev/sandlot/api"
)

// Paths of files are absolute, or relative to the toolbox's work dir.

// ListFiles lists what a folder holds.
func (t *Toolbox) ListFiles(ctx context.Context, path string) (list []api.FileInfo, err error) {
	return list, t.call(ctx, http.MethodGet, "/files?"+query("path", path), nil, &list)
}

// FileInfo describes a file or folder.
func (t *Toolbox) FileInfo(ctx context.Context, path string) (info api.FileInfo, err error) {
	return info, t.call(ctx, http.MethodGet, "/files/info?"+query("path", path), nil, &info)
}

// MakeFolder makes a folder and its parents. mode is octal, such as 0755.
func (t *Toolbox) MakeFolder(ctx context.Context, path, mode string) error {
	return t.call(ctx, http.MethodPost, "/files/folder?"+query("path", path, "mode", mode), nil, nil)
}

// DeleteFile deletes a file or an empty folder, and with recursive a folder with all that it holds.
func (t *Toolbox) DeleteFile(ctx context.Context, path string, recursive bool) error {
	q := query("path", path)
	if recursive {
		q += "&recursive=true"
	}
	return t.call(ctx, http.MethodDelete, "/files?"+q, nil, nil)
}

// MoveFile renames a file or folder. It overwrites nothing.
func (t *Toolbox) MoveFile(ctx context.Context, source, destination string) error {
	return t.call(ctx, http.MethodPost, "/files/move?"+query("source", source, "destination", destination), nil, nil)
}

// Download returns the content of a file, which the caller closes.
func (t *Toolbox) Download(ctx context.Context, path string) (io.ReadCloser, error) {
	res, err := t.do(ctx, http.MethodGet, "/files/download?"+query("path", path), "", nil)
	if err != nil {
		return nil, err
	}
	return res.Body, nil
}

// Upload writes a file, which is there as a whole or not at all.
func (t *Toolbox) Upload(ctx context.Context, path string, content io.Reader) error {
	res, err := t.do(ctx, http.MethodPost, "/files/upload-v2?"+query("path", path), "application/octet-stream", content)
	if err != nil {
		return err
	}
	return res.Body.Close()
}

// FindText returns the lines of files at and below path that hold pattern.
func (t *Toolbox) FindText(ctx context.Context, path, pattern string) (found []api.Match, err error) {
	return found, t.call(ctx, http.MethodGet, "/files/find?"+query("path", path, "pattern", pattern), nil, &found)
}

// SearchFiles returns the files below path whose name matches a pattern of the shell.
func (t *Toolbox) SearchFiles(ctx context.Context, path, pattern string) (res api.SearchFilesResponse, err error) {
	return res, t.call(ctx, http.MethodGet, "/files/search?"+query("path", path, "pattern", pattern), nil, &res)
}

// query encodes pairs of name and value.
func query(pairs ...string) string {
	q := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		q.Set(pairs[i], pairs[i+1])
	}
	return q.Encode()
}
