package api

// FileInfo describes a file; docs/wire.md, "Files", has the forms. ModTime is deprecated, yet required by clients.
type FileInfo struct {
	Name        string `json:"name"`
	Path        string `json:"path"` // absolute
	Size        int64  `json:"size"` // bytes
	Mode        string `json:"mode"` // as ls shows it, in Go's spelling: -rw-r--r--
	ModTime     string `json:"modTime"`
	ModifiedAt  string `json:"modifiedAt"` // RFC 3339
	IsDir       bool   `json:"isDir"`
	Owner       string `json:"owner"`       // user id in decimal
	Group       string `json:"group"`       // group id in decimal
	Permissions string `json:"permissions"` // four octal digits
}

// Match is one line found by GET /files/find.
type Match struct {
	File    string `json:"file"`
	Line    int    `json:"line"` // from 1
	Content string `json:"content"`
	Cut     bool   `json:"cut,omitempty"` // an addition: content is only a part of a long line
}

// SearchFilesResponse answers GET /files/search.
type SearchFilesResponse struct {
	Files []string `json:"files"`
}

// ReplaceRequest is the body of POST /files/replace.
type ReplaceRequest struct {
	Files    []string `json:"files" binding:"required"`
	Pattern  string   `json:"pattern" binding:"required"`
	NewValue *string  `json:"newValue" binding:"required"` // "" deletes
}

// ReplaceResult is what became of one file of a ReplaceRequest.
type ReplaceResult struct {
	File    string `json:"file"`
	Success bool   `json:"success"`
	Error   string `json:"error,omitempty"`
}

// FilesDownloadRequest is the body of POST /files/bulk-download.
type FilesDownloadRequest struct {
	Paths []string `json:"paths" binding:"required,min=1"`
}

// UploadedFile answers POST /files/upload-v2.
type UploadedFile struct {
	Name string `json:"name"`
	Path string `json:"path"` // as the caller gave it
	Type string `json:"type"` // always "file"
}

// StoredFile is one file of a bulk upload.
type StoredFile struct {
	Path  string `json:"path"` // as the caller gave it
	Bytes int64  `json:"bytes"`
}

// BulkUpload answers POST /files/bulk-upload; with a status of 400 the whole error body is in the same object.
type BulkUpload struct {
	Files  []StoredFile `json:"files"`
	Errors []string     `json:"errors"` // "path: reason", one for each file that failed
}

// FileEvent is one message of GET /files/watch, an addition to the contract. The first is of type "ready".
type FileEvent struct {
	Type   string `json:"type"` // ready, create, write, remove, rename, chmod; overflow when events are missing
	Path   string `json:"path"` // absolute; the watched folder for ready and overflow
	IsDir  bool   `json:"isDir,omitempty"`
	Cursor string `json:"cursor"` // in the query of a later call, it goes on behind this event
}
