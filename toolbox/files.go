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

// listFiles handles GET /files.
func (s *Server) listFiles(c *gin.Context) error {
	depth := 1
	if text := c.Query("depth"); text != "" {
		var err error
		if depth, err = strconv.Atoi(text); err != nil || depth < 1 {
			return fault.Newf(fault.Invalid, "depth %q is not a whole number from 1 on", text)
		}
	}
	out := newListing(c, "[", "]")
	var enc infoEncoder
	err := s.files.List(c.Request.Context(), c.Query("path"), depth, func(i *workspace.Info) error {
		return out.add(func(b []byte) []byte { return enc.append(b, i) })
	})
	return out.end(err)
}

// fileInfo handles GET /files/info.
func (s *Server) fileInfo(c *gin.Context) error {
	name, err := need(c, "path")
	if err != nil {
		return err
	}
	info, err := s.files.Stat(name)
	if err != nil {
		return err
	}
	var enc infoEncoder
	c.Data(http.StatusOK, jsonType, enc.append(nil, &info))
	return nil
}

// makeFolder handles POST /files/folder.
func (s *Server) makeFolder(c *gin.Context) error {
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
	if err := s.files.MakeFolder(name, *mode); err != nil {
		return err
	}
	c.Status(http.StatusCreated)
	return nil
}

// deleteFile handles DELETE /files.
func (s *Server) deleteFile(c *gin.Context) error {
	name, err := need(c, "path")
	if err != nil {
		return err
	}
	if err := s.files.Delete(name, c.Query("recursive") == "true"); err != nil {
		return err
	}
	c.Status(http.StatusNoContent)
	return nil
}

// moveFile handles POST /files/move.
func (s *Server) moveFile(c *gin.Context) error {
	source, err := need(c, "source")
	if err != nil {
		return err
	}
	destination, err := need(c, "destination")
	if err != nil {
		return err
	}
	return s.files.Move(source, destination)
}

// setPermissions handles POST /files/permissions.
func (s *Server) setPermissions(c *gin.Context) error {
	name, err := need(c, "path")
	if err != nil {
		return err
	}
	mode, err := octal(c, "mode")
	if err != nil {
		return err
	}
	return s.files.SetPermissions(name, workspace.Permissions{Mode: mode, Owner: c.Query("owner"), Group: c.Query("group")})
}

// findText handles GET /files/find.
func (s *Server) findText(c *gin.Context) error {
	name, err := need(c, "path")
	if err != nil {
		return err
	}
	text, err := need(c, "pattern")
	if err != nil {
		return err
	}
	out := newListing(c, "[", "]")
	return out.end(s.files.Find(c.Request.Context(), name, text, func(m workspace.Match) error {
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
func (s *Server) searchNames(c *gin.Context) error {
	name, err := need(c, "path")
	if err != nil {
		return err
	}
	pattern, err := need(c, "pattern")
	if err != nil {
		return err
	}
	out := newListing(c, `{"files":[`, `]}`)
	return out.end(s.files.Search(c.Request.Context(), name, pattern, func(p string) error {
		return out.add(func(b []byte) []byte { return appendString(b, p) })
	}))
}

// replaceText handles POST /files/replace.
func (s *Server) replaceText(c *gin.Context) error {
	var req api.ReplaceRequest
	if err := serve.Decode(c, &req); err != nil {
		return err
	}
	done, err := s.files.Replace(c.Request.Context(), req.Files, req.Pattern, *req.NewValue)
	if err != nil {
		return err
	}
	results := make([]api.ReplaceResult, len(done))
	for i, d := range done {
		results[i] = api.ReplaceResult{File: d.File, Success: d.Err == nil}
		if d.Err != nil {
			s.face.Note(c.Request, d.Err)
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
