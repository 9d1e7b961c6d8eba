package toolbox

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/sandlot-dev/sandlot/api"
	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/internal/serve"
	"github.com/sandlot-dev/sandlot/workspace"
)

// download handles GET and HEAD /files/download, with ranges and conditions.
func (a *fileAPI) download(c *gin.Context) error {
	name, err := need(c, "path")
	if err != nil {
		return err
	}
	file, info, err := a.files.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	c.Header("Content-Type", "application/octet-stream")
	c.Header("Content-Disposition", `attachment; `+fileName(info.Name))
	c.Header("ETag", fmt.Sprintf(`"%x-%x"`, info.ModTime.UnixNano(), info.Size))
	tidyRange(c.Request.Header, info.Size)
	w := &fileWriter{ResponseWriter: c.Writer}
	http.ServeContent(w, c.Request, "", info.ModTime, file)
	if w.refused == 0 {
		return nil
	}
	for _, h := range []string{"Content-Type", "Content-Disposition", "Content-Length"} {
		c.Writer.Header().Del(h)
	}
	switch w.refused {
	case http.StatusPreconditionFailed:
		return fault.Newf(fault.Stale,
			"download %s: the file is not the one that If-Match or If-Unmodified-Since means", name)
	case http.StatusRequestedRangeNotSatisfiable:
		return fault.Newf(fault.BadRange,
			"download %s: the file has %d bytes, the range lies outside of them", name, info.Size)
	}
	return fault.Codef(fault.Internal, "FILE_READ_FAILED",
		"download %s: the file could not be read from the place that was asked for", name)
}

// tidyRange changes what the library gets wrong: ranges in another unit than bytes are ignored (RFC 9110, 14.2),
// nothing of an empty file can be asked for, so all of it is sent, and the last 0 bytes ("-0") are no range.
func tidyRange(h http.Header, size int64) {
	unit, specs, ok := strings.Cut(h.Get("Range"), "=")
	switch {
	case !ok, !strings.EqualFold(unit, "bytes"), size == 0:
		h.Del("Range")
	default:
		kept := slices.DeleteFunc(strings.Split(specs, ","), func(spec string) bool {
			last, ok := strings.CutPrefix(strings.TrimSpace(spec), "-")
			return ok && last != "" && strings.Trim(last, "0") == ""
		})
		if len(kept) == 0 {
			kept = []string{strconv.FormatInt(size, 10) + "-"} // behind the end
		}
		h.Set("Range", "bytes="+strings.Join(kept, ","))
	}
}

// fileWriter shows the connection's own ReadFrom (sendfile), which gin's writer hides, and holds back the library's
// answers to bad ranges and conditions that do not hold.
type fileWriter struct {
	gin.ResponseWriter
	refused int // the status held back
}

// WriteHeader passes all statuses on but those that get our error body.
func (w *fileWriter) WriteHeader(status int) {
	if status >= http.StatusBadRequest {
		w.refused = status
		return
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write drops the text of what is refused.
func (w *fileWriter) Write(p []byte) (int, error) {
	if w.refused != 0 {
		return len(p), nil
	}
	return w.ResponseWriter.Write(p)
}

// ReadFrom implements io.ReaderFrom.
func (w *fileWriter) ReadFrom(r io.Reader) (int64, error) {
	w.WriteHeaderNow()
	if under, ok := w.ResponseWriter.(interface{ Unwrap() http.ResponseWriter }); ok {
		if rf, ok := under.Unwrap().(io.ReaderFrom); ok {
			return rf.ReadFrom(r)
		}
	}
	return io.Copy(struct{ io.Writer }{w.ResponseWriter}, r)
}

// fileName writes a name as both forms of the disposition's parameter: quoted with "?" for what is not Latin-1 or a
// control character, and percent-encoded whole.
func fileName(name string) string {
	var b strings.Builder
	b.WriteString(`filename="`)
	for _, r := range name {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r < 0x20 || r > 0x7e:
			b.WriteByte('?')
		default:
			b.WriteRune(r)
		}
	}
	b.WriteString(`"; filename*=utf-8''`)
	for _, c := range []byte(name) {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._~", c) >= 0 {
			b.WriteByte(c)
			continue
		}
		b.WriteByte('%')
		b.WriteByte("0123456789ABCDEF"[c>>4])
		b.WriteByte("0123456789ABCDEF"[c&15])
	}
	return b.String()
}

// bulkDownload handles POST /files/bulk-download: one part for each path, in order, files and errors alike. When a
// file cannot be read to its end the connection is broken off before the closing delimiter.
func (a *fileAPI) bulkDownload(c *gin.Context) error {
	var req api.FilesDownloadRequest
	if err := serve.Decode(c, &req); err != nil {
		return err
	}
	boundary := rand.Text() + rand.Text()
	c.Header("Content-Type", "multipart/form-data; boundary="+boundary)
	c.Status(http.StatusOK)
	buf, give := workspace.Buffer(-1)
	defer give()
	p := &parts{c: c, face: a.face, boundary: boundary, buf: buf}
	for _, name := range req.Paths {
		if err := p.add(a.files, name); err != nil {
			return err
		}
	}
	if err := p.text("--" + boundary + "--\r\n"); err != nil {
		return err
	}
	return p.flush()
}

// parts gathers what fits into its buffer: small files go out together. An answer in chunks cannot go out by
// sendfile; copying through a buffer of this size takes less processor time than that, too.
type parts struct {
	c        *gin.Context
	face     *serve.Face
	boundary string
	buf      []byte
	n        int // bytes of buf that wait
	flushes  int
}

func (p *parts) flush() error {
	_, err := p.c.Writer.Write(p.buf[:p.n])
	p.n, p.flushes = 0, p.flushes+1
	if err != nil {
		return fault.Newf(fault.Internal, "bulk download: %w", err)
	}
	return nil
}

func (p *parts) text(s string) error {
	for s != "" {
		if p.n == len(p.buf) {
			if err := p.flush(); err != nil {
				return err
			}
		}
		n := copy(p.buf[p.n:], s)
		p.n, s = p.n+n, s[n:]
	}
	return nil
}

// add sends one file: exactly as many bytes as its head says, also when it grows meanwhile.
func (p *parts) add(files *workspace.Files, name string) error {
	file, info, err := files.Open(name)
	if err != nil {
		return p.problem(name, err)
	}
	defer file.Close()
	began, flushes := p.n, p.flushes
	head := "--" + p.boundary + "\r\nContent-Disposition: form-data; name=\"file\"; " + fileName(name) +
		"\r\nContent-Length: " + strconv.FormatInt(info.Size, 10) + "\r\nContent-Type: application/octet-stream\r\n\r\n"
	if err := p.text(head); err != nil {
		return err
	}
	for left := info.Size; left > 0; {
		if p.n == len(p.buf) {
			if err := p.flush(); err != nil {
				return err
			}
		}
		got, err := readUpTo(file, p.buf[p.n:min(int64(len(p.buf)), int64(p.n)+left)])
		if err != nil {
			err = fault.Codef(fault.Internal, "FILE_READ_FAILED", "%w", fault.System("download "+name, err))
			if p.flushes != flushes {
				return err // a part of it is out: the connection is broken off
			}
			p.n = began
			return p.problem(name, err)
		}
		p.n, left = p.n+got, left-int64(got)
	}
	return p.text("\r\n")
}

// readUpTo fills p; a file that ends before is an error.
func readUpTo(file *os.File, p []byte) (int, error) {
	n, err := io.ReadFull(file, p)
	if err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			err = fmt.Errorf("the file became shorter while it was sent: %w", err)
		}
		return n, err
	}
	return n, nil
}

func (p *parts) problem(name string, cause error) error {
	if fault.CodeOf(cause) == "" {
		cause = fault.Codef(fault.Internal, "FILE_READ_FAILED", "%w", cause)
	}
	p.face.Note(p.c.Request, cause)
	problem := serve.NewBody(Source, p.c.Request, cause)
	problem.Path = name
	body, err := json.Marshal(problem)
	if err != nil {
		return err
	}
	return p.text("--" + p.boundary + "\r\nContent-Disposition: form-data; name=\"error\"; " + fileName(name) +
		"\r\nContent-Type: application/json; charset=utf-8\r\n\r\n" + string(body) + "\r\n")
}
