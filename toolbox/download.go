package toolbox

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/sandlot-dev/sandlot/api"
	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/internal/serve"
	"github.com/sandlot-dev/sandlot/workspace"
)

// download handles GET and HEAD /files/download, with ranges and conditions.
func (s *Server) download(c *gin.Context) error {
	name, err := need(c, "path")
	if err != nil {
		return err
	}
	file, info, err := s.files.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	c.Header("Content-Type", "application/octet-stream")
	c.Header("Content-Disposition", `attachment; `+fileName(info.Name))
	c.Header("ETag", fmt.Sprintf(`"%x-%x"`, info.ModTime.UnixNano(), info.Size))
	w := &fileWriter{ResponseWriter: c.Writer}
	http.ServeContent(w, c.Request, "", info.ModTime, file)
	if w.badRange {
		for _, h := range []string{"Content-Type", "Content-Disposition", "Content-Length"} {
			c.Writer.Header().Del(h)
		}
		return fault.Newf(fault.BadRange, "download %s: the file has %d bytes, the range lies outside of them", name, info.Size)
	}
	return nil
}

// fileWriter shows the connection's own ReadFrom (sendfile), which gin's writer hides, and holds back the library's text for a bad range.
type fileWriter struct {
	gin.ResponseWriter
	badRange bool
}

// WriteHeader passes all statuses on but the one that gets our error body.
func (w *fileWriter) WriteHeader(status int) {
	if w.badRange = status == http.StatusRequestedRangeNotSatisfiable; !w.badRange {
		w.ResponseWriter.WriteHeader(status)
	}
}

// Write drops the text of a bad range.
func (w *fileWriter) Write(p []byte) (int, error) {
	if w.badRange {
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

// fileName writes a name as both forms of the disposition's parameter: quoted with "?" for what is not Latin-1 or a control
// character, and percent-encoded whole.
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

// bulkDownload handles POST /files/bulk-download: one part for each path, in order, files and errors alike. When a file cannot be
// read to its end the connection is broken off before the closing delimiter.
func (s *Server) bulkDownload(c *gin.Context) error {
	var req api.FilesDownloadRequest
	if err := serve.Decode(c, &req); err != nil {
		return err
	}
	boundary := rand.Text() + rand.Text()
	c.Header("Content-Type", "multipart/form-data; boundary="+boundary)
	c.Status(http.StatusOK)
	buf, give := workspace.Buffer(-1)
	defer give()
	for _, name := range req.Paths {
		if err := s.sendPart(c, boundary, name, buf); err != nil {
			return err
		}
	}
	_, err := io.WriteString(c.Writer, "--"+boundary+"--\r\n")
	return err
}

func (s *Server) sendPart(c *gin.Context, boundary, name string, buf []byte) error {
	file, info, err := s.files.Open(name)
	if err != nil {
		return s.sendErrorPart(c, boundary, name, err)
	}
	defer file.Close()
	head := append(buf[:0], "--"+boundary+"\r\nContent-Disposition: form-data; name=\"file\"; "+fileName(name)+
		"\r\nContent-Length: "+strconv.FormatInt(info.Size, 10)+"\r\nContent-Type: application/octet-stream\r\n\r\n"...)
	if len(head) > len(buf) {
		return fault.Newf(fault.Internal, "download %s: the path is too long", name)
	}
	// the head and a small file go out in one write; exactly Content-Length bytes, also when the file grows meanwhile
	for left, n := info.Size, len(head); ; n = 0 {
		got, err := readUpTo(file, buf[n:min(int64(len(buf)), int64(n)+left)])
		if err != nil {
			return fault.Codef(fault.Internal, "FILE_READ_FAILED", "download %s: %w", name, err)
		}
		n, left = n+got, left-int64(got)
		if left == 0 && n+2 <= len(buf) {
			n += copy(buf[n:], "\r\n")
			left = -1
		}
		if _, err := c.Writer.Write(buf[:n]); err != nil {
			return fault.Newf(fault.Internal, "download %s: %w", name, err)
		}
		if left < 0 {
			return nil
		}
	}
}

// readUpTo fills p; a file that ends before is an error.
func readUpTo(file *os.File, p []byte) (int, error) {
	n, err := io.ReadFull(file, p)
	if err != nil {
		return n, fmt.Errorf("the file became shorter while it was sent: %w", err)
	}
	return n, nil
}

func (s *Server) sendErrorPart(c *gin.Context, boundary, name string, cause error) error {
	if fault.CodeOf(cause) == "" {
		cause = fault.Codef(fault.Internal, "FILE_READ_FAILED", "%w", cause)
	}
	problem := serve.NewBody(Source, c.Request, cause)
	problem.Path = name
	body, err := json.Marshal(problem)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.Writer, "--%s\r\nContent-Disposition: form-data; name=\"error\"; %s\r\n"+
		"Content-Type: application/json; charset=utf-8\r\n\r\n%s\r\n", boundary, fileName(name), body)
	return err
}
