package toolbox

import (
	"net/http"
	"path"
	"strconv"

	"github.com/gin-gonic/gin"

	"github.com/sandlot-dev/sandlot/api"
	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/internal/serve"
	"github.com/sandlot-dev/sandlot/workspace"
)

// fileAPI serves /files.
type fileAPI struct {
	face    *serve.Face
	files   *workspace.Files
	watches *workspace.Manager
}

var fileRoutes = []serve.Route[*fileAPI]{
	{
		Method: "DELETE", Path: "/files", Query: []string{"path", "recursive?"}, Status: 204,
		Summary: "Delete a file, or a folder with all it holds", Do: (*fileAPI).remove,
	},
	{
		Method: "GET", Path: "/files", Query: []string{"path?", "depth?"},
		Summary: "List a folder, to any depth", Out: []api.FileInfo{}, Do: (*fileAPI).list,
	},
	{
		Method: "GET", Path: "/files/", Query: []string{"path?", "depth?"},
		Summary: "Same as /files, for older clients", Out: []api.FileInfo{}, Do: (*fileAPI).list,
	},
	{
		Method: "POST", Path: "/files/bulk-download",
		Summary: "Read many files as one form", In: api.FilesDownloadRequest{}, Do: (*fileAPI).bulkDownload,
	},
	{
		Method: "POST", Path: "/files/bulk-upload",
		Summary: "Write many files from one form", Out: api.BulkUpload{}, Do: (*fileAPI).bulkUpload,
	},
	{
		Method: "GET", Path: "/files/download", Query: []string{"path"},
		Summary: "Read a file or a range of it", Do: (*fileAPI).download,
	},
	{
		Method: "HEAD", Path: "/files/download", Query: []string{"path"},
		Summary: "Headers of a download", Do: (*fileAPI).download,
	},
	{
		Method: "GET", Path: "/files/find", Query: []string{"path", "pattern"},
		Summary: "Find lines that hold a text", Out: []api.Match{}, Do: (*fileAPI).findText,
	},
	{
		Method: "POST", Path: "/files/folder", Query: []string{"path", "mode"}, Status: 201,
		Summary: "Make a folder and its parents", Do: (*fileAPI).makeFolder,
	},
	{
		Method: "GET", Path: "/files/info", Query: []string{"path"},
		Summary: "Describe a file", Out: api.FileInfo{}, Do: (*fileAPI).info,
	},
	{
		Method: "POST", Path: "/files/move", Query: []string{"source", "destination"},
		Summary: "Rename a file or folder; nothing is overwritten", Do: (*fileAPI).move,
	},
	{
		Method: "POST", Path: "/files/permissions", Query: []string{"path", "owner?", "group?", "mode?"},
		Summary: "Change mode, owner and group", Do: (*fileAPI).setPermissions,
	},
	{
		Method: "POST", Path: "/files/replace",
		Summary: "Replace a text in files", In: api.ReplaceRequest{}, Out: []api.ReplaceResult{}, Do: (*fileAPI).replaceText,
	},
	{
		Method: "GET", Path: "/files/search", Query: []string{"path", "pattern"},
		Summary: "Find files by name", Out: api.SearchFilesResponse{}, Do: (*fileAPI).searchNames,
	},
	{
		Method: "POST", Path: "/files/upload", Query: []string{"path"},
		Summary: "Same as /files/upload-v2, for older clients", Out: api.UploadedFile{}, Do: (*fileAPI).upload,
	},
	{
		Method: "POST", Path: "/files/upload-v2", Query: []string{"path"},
		Summary: "Write one file", Out: api.UploadedFile{}, Do: (*fileAPI).upload,
	},
	{
		Method: "GET", Path: "/files/watch",
		Summary: "Follow changes below a folder, by websocket or server-sent events",
		Out:     api.FileEvent{}, Do: (*fileAPI).watch,
	},
}

// need returns a query value that must be there.
func need(c *gin.Context, key string) (string, error) {
	if v := c.Query(key); v != "" {
		return v, nil
	}
	return "", fault.Newf(fault.Invalid, "the query value %q is missing or empty", key)
}

// octal reads a mode such as 755 or 0755; one that is missing is nil.
func octal(c *gin.Context, key string) (*uint32, error) {
	text, given := c.GetQuery(key)
	if !given {
		return nil, nil
	}
	n, err := strconv.ParseUint(text, 8, 32)
	if err != nil || n > 0o7777 {
		return nil, fault.Newf(fault.Invalid, "%s %q is not an octal mode such as 0644, of 7777 at most", key, text)
	}
	mode := uint32(n)
	return &mode, nil
}

// list handles GET /files.
func (a *fileAPI) list(c *gin.Context) error {
	depth := 1
	if text := c.Query("depth"); text != "" {
		var err error
		if depth, err = strconv.Atoi(text); err != nil || depth < 1 {
			return fault.Newf(fault.Invalid, "depth %q is not a whole number from 1 on", text)
		}
	}
	out := newListing(c, "[", "]")
	var enc infoEncoder
	err := a.files.List(c.Request.Context(), c.Query("path"), depth, func(i *workspace.Info) error {
		return out.add(func(b []byte) []byte { return enc.append(b, i) })
	})
	return out.end(err)
}

// info handles GET /files/info.
func (a *fileAPI) info(c *gin.Context) error {
	name, err := need(c, "path")
	if err != nil {
		return err
	}
	info, err := a.files.Stat(name)
	if err != nil {
		return err
	}
	var enc infoEncoder
	c.Data(http.StatusOK, jsonType, enc.append(nil, &info))
	return nil
}

// makeFolder handles POST /files/folder.
func (a *fileAPI) makeFolder(c *gin.Context) error {
	name, err := need(c, "path")
	if err != nil {
		return err
	}
	mode, err := octal(c, "mode")
	if err != nil {
		return err
	}
	if mode == nil {
		return fault.New(fault.Invalid, `the query value "mode" is missing; give an octal mode such as 0755`)
	}
	if err := a.files.MakeFolder(name, *mode); err != nil {
		return err
	}
	c.Status(http.StatusCreated)
	return nil
}

// remove handles DELETE /files.
func (a *fileAPI) remove(c *gin.Context) error {
	name, err := need(c, "path")
	if err != nil {
		return err
	}
	if err := a.files.Delete(name, c.Query("recursive") == "true"); err != nil {
		return err
	}
	c.Status(http.StatusNoContent)
	return nil
}

// move handles POST /files/move.
func (a *fileAPI) move(c *gin.Context) error {
	source, err := need(c, "source")
	if err != nil {
		return err
	}
	destination, err := need(c, "destination")
	if err != nil {
		return err
	}
	return a.files.Move(source, destination)
}

// setPermissions handles POST /files/permissions.
func (a *fileAPI) setPermissions(c *gin.Context) error {
	name, err := need(c, "path")
	if err != nil {
		return err
	}
	mode, err := octal(c, "mode")
	if err != nil {
		return err
	}
	permissions := workspace.Permissions{Mode: mode, Owner: c.Query("owner"), Group: c.Query("group")}
	return a.files.SetPermissions(name, permissions)
}

// findText handles GET /files/find.
func (a *fileAPI) findText(c *gin.Context) error {
	name, err := need(c, "path")
	if err != nil {
		return err
	}
	text, err := need(c, "pattern")
	if err != nil {
		return err
	}
	out := newListing(c, "[", "]")
	return out.end(a.files.Find(c.Request.Context(), name, text, func(m workspace.Match) error {
		return out.add(func(b []byte) []byte {
			b = appendString(append(b, `{"file":`...), m.File)
			b = strconv.AppendInt(append(b, `,"line":`...), int64(m.Line), 10)
			b = appendString(append(b, `,"content":`...), m.Content)
			if m.Cut {
				b = append(b, `,"cut":true`...)
			}
			return append(b, '}')
		})
	}))
}

// searchNames handles GET /files/search.
func (a *fileAPI) searchNames(c *gin.Context) error {
	name, err := need(c, "path")
	if err != nil {
		return err
	}
	pattern, err := need(c, "pattern")
	if err != nil {
		return err
	}
	out := newListing(c, `{"files":[`, `]}`)
	return out.end(a.files.Search(c.Request.Context(), name, pattern, func(p string) error {
		return out.add(func(b []byte) []byte { return appendString(b, p) })
	}))
}

// replaceText handles POST /files/replace.
func (a *fileAPI) replaceText(c *gin.Context) error {
	var req api.ReplaceRequest
	if err := serve.Decode(c, &req); err != nil {
		return err
	}
	done, err := a.files.Replace(c.Request.Context(), req.Files, req.Pattern, *req.NewValue)
	if err != nil {
		return err
	}
	results := make([]api.ReplaceResult, len(done))
	for i, d := range done {
		results[i] = api.ReplaceResult{File: d.File, Success: d.Err == nil}
		if d.Err != nil {
			a.face.Note(c.Request, d.Err)
			results[i].Error = serve.NewBody(Source, c.Request, d.Err).Message
		}
	}
	c.JSON(http.StatusOK, results)
	return nil
}

// uploaded is the answer to an upload of one file.
func uploaded(name string) api.UploadedFile {
	return api.UploadedFile{Name: path.Base(name), Path: name, Type: "file"}
}
