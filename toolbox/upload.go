package toolbox

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/sandlot-dev/sandlot/api"
	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/internal/form"
	"github.com/sandlot-dev/sandlot/internal/serve"
	"github.com/sandlot-dev/sandlot/workspace"
)

// Limits of a bulk upload: paths that wait for their file, and the length of one in bytes.
const (
	maxPaths      = 65_536
	maxPathLength = 4_095
)

// upload handles POST /files/upload-v2 and the older POST /files/upload: a form with one field "file", or with any
// other content type the bytes themselves.
func (a *fileAPI) upload(c *gin.Context) error {
	name, err := need(c, "path")
	if err == nil {
		err = a.storeBody(c, name)
	}
	if err != nil {
		drain(c) // clients read an answer only after they have sent all
		return err
	}
	c.JSON(http.StatusOK, uploaded(name))
	return nil
}

func (a *fileAPI) storeBody(c *gin.Context, name string) error {
	buf, give := workspace.Buffer(c.Request.ContentLength)
	defer give()
	kind, _, _ := mime.ParseMediaType(c.GetHeader("Content-Type"))
	if kind != "multipart/form-data" {
		_, err := a.files.Write(name, &rawBody{c.Request.Body, buf, nil})
		return err
	}
	boundary, err := form.Boundary(c.GetHeader("Content-Type"))
	if err != nil {
		return badForm(err)
	}
	parts := form.NewScanner(c.Request.Body, boundary, buf)
	for {
		field, err := parts.Part()
		if errors.Is(err, io.EOF) {
			return fault.New(fault.Invalid, `upload: the form has no field "file"; send the content under that name`)
		}
		if err != nil {
			return badForm(err)
		}
		if field == "file" {
			_, err := a.files.Write(name, parts)
			return err
		}
	}
}

// badForm gives what is wrong with a form its kind, unless it has one.
func badForm(err error) error {
	if fault.KindOf(err) != fault.Unknown {
		return err
	}
	return fault.Newf(fault.Invalid, "upload: %w", err)
}

// drain reads what is left of a body, so that the client comes to read the answer.
func drain(c *gin.Context) {
	buf, give := workspace.Buffer(-1)
	defer give()
	for {
		if _, err := c.Request.Body.Read(buf); err != nil {
			return
		}
	}
}

// rawBody is a body as a workspace.Source.
type rawBody struct {
	r   io.Reader
	buf []byte
	err error
}

// Next implements workspace.Source.
func (r *rawBody) Next() ([]byte, bool, error) {
	n := 0
	for n < len(r.buf) && r.err == nil {
		var got int
		got, r.err = r.r.Read(r.buf[n:])
		n += got
	}
	if r.err != nil && !errors.Is(r.err, io.EOF) {
		return nil, false, r.err
	}
	return r.buf[:n], r.err != nil, nil
}

// uploadFailure is api.BulkUpload with the error body in the same object.
type uploadFailure struct {
	serve.Body
	api.BulkUpload
}

// bulkUpload handles POST /files/bulk-upload. Each file is tried, whatever became of the others. Failures are
// answered with 400, unless one of them is the system's.
func (a *fileAPI) bulkUpload(c *gin.Context) error {
	b := bulk{
		files: a.files, failed: func(err error) bool { return a.face.Note(c.Request, err) }, kind: fault.Invalid,
		paths: map[int]string{}, done: api.BulkUpload{Files: []api.StoredFile{}, Errors: []string{}},
	}
	buf, give := workspace.Buffer(c.Request.ContentLength)
	defer give()
	boundary, err := form.Boundary(c.GetHeader("Content-Type"))
	if err == nil {
		err = b.run(form.NewScanner(c.Request.Body, boundary, buf))
	}
	if err != nil {
		b.fail(badForm(err), "")
		drain(c)
	}
	if b.first == nil {
		c.JSON(http.StatusOK, b.done)
		return nil
	}
	problem := serve.NewBody(Source, c.Request, fault.Codef(b.kind, b.code, "%s", strings.Join(b.done.Errors, ", ")))
	c.JSON(problem.StatusCode, uploadFailure{problem, b.done})
	return nil
}

// bulk is one bulk upload under way.
type bulk struct {
	files  *workspace.Files
	paths  map[int]string // by index, of files that have not come yet
	done   api.BulkUpload
	first  error            // of the files that failed
	code   string           // wire code that all failures share
	kind   fault.Kind       // of the first failure that is the system's, else fault.Invalid
	failed func(error) bool // logs a failure that is the system's, and tells so
}

func (b *bulk) run(parts *form.Scanner) error {
	for {
		field, err := parts.Part()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		index, what, ok := splitField(field)
		switch {
		case ok && what == "path":
			if err := b.notePath(index, parts); err != nil {
				return err
			}
		case ok && what == "file":
			if err := b.store(index, parts); err != nil {
				return err
			}
		}
	}
	for _, name := range b.paths {
		b.fail(fault.New(fault.Invalid, "its file is missing from the form"), name)
	}
	return nil
}

// splitField takes `files[3].path` apart.
func splitField(field string) (index int, what string, ok bool) {
	rest, ok := strings.CutPrefix(field, "files[")
	if !ok {
		return 0, "", false
	}
	digits, what, ok := strings.Cut(rest, "].")
	index, err := strconv.Atoi(digits)
	return index, what, ok && err == nil && index >= 0
}

func (b *bulk) notePath(index int, parts *form.Scanner) error {
	if len(b.paths) >= maxPaths {
		return fault.Newf(fault.TooLarge, "over %d paths wait for their files; send each path just before its file", maxPaths)
	}
	var name []byte
	for {
		piece, last, err := parts.Next()
		if err != nil {
			return err
		}
		if name = append(name, piece...); len(name) > maxPathLength {
			name = name[:maxPathLength+1] // Write tells that it is too long
		}
		if last {
			b.paths[index] = string(name)
			return nil
		}
	}
}

// store writes one file. Only a broken body is an error to the whole.
func (b *bulk) store(index int, parts *form.Scanner) error {
	name, ok := b.paths[index]
	if !ok {
		err := fault.Newf(fault.Invalid, "no field files[%d].path came before it", index)
		b.fail(err, "files["+strconv.Itoa(index)+"].file")
		return nil
	}
	delete(b.paths, index)
	size, err := b.files.Write(name, parts)
	if err != nil {
		b.fail(err, name)
	} else {
		b.done.Files = append(b.done.Files, api.StoredFile{Path: name, Bytes: size})
	}
	return nil
}

func (b *bulk) fail(err error, name string) {
	code := fault.CodeOf(err)
	if b.first == nil {
		b.first, b.code = err, code
	} else if code != b.code {
		b.code = ""
	}
	if b.failed(err) && b.kind == fault.Invalid {
		b.kind = fault.KindOf(err)
	}
	text := err.Error()
	if name != "" {
		text = name + ": " + text
	}
	b.done.Errors = append(b.done.Errors, text)
}
