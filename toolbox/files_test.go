package toolbox_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sandlot-dev/sandlot/api"
	"github.com/sandlot-dev/sandlot/internal/serve"
	"github.com/sandlot-dev/sandlot/process"
	"github.com/sandlot-dev/sandlot/session"
	"github.com/sandlot-dev/sandlot/toolbox"
)

// newToolbox returns a toolbox that works in dir.
func newToolbox(tb testing.TB, dir string) *toolbox.Server {
	tb.Helper()
	return newToolboxWith(tb, dir, slog.DiscardHandler)
}

func newToolboxWith(tb testing.TB, dir string, log slog.Handler) *toolbox.Server {
	tb.Helper()
	return guardedToolbox(tb, dir, log, "")
}

// guardedToolbox is one that is entered with the secret of a hash.
func guardedToolbox(tb testing.TB, dir string, log slog.Handler, secretHash string) *toolbox.Server {
	tb.Helper()
	processes, err := process.NewManager(process.Config{Dir: dir, Env: append(os.Environ(), "HOME="+dir)})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = processes.Close(0) })
	sessions, err := session.NewManager(session.Config{Processes: processes})
	if err != nil {
		tb.Fatal(err)
	}
	s, err := toolbox.New(toolbox.Config{
		WorkDir: dir, Home: dir, Version: "v0.0.0", Logger: slog.New(log), Process: processes, Sessions: sessions, SecretHash: secretHash,
	})
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// filesServer serves a toolbox that works in a folder of its own.
func filesServer(t *testing.T) (base, dir string) {
	t.Helper()
	dir = t.TempDir()
	srv := httptest.NewServer(newToolbox(t, dir).Handler())
	t.Cleanup(srv.Close)
	return srv.URL, dir
}

// call sends one request and returns the answer with its whole body.
func call(t *testing.T, method, target string, body io.Reader, header ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, target, body)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil && method != http.MethodHead {
		t.Fatal(err)
	}
	return res, string(b)
}

func query(kv ...string) string {
	v := url.Values{}
	for i := 0; i < len(kv); i += 2 {
		v.Set(kv[i], kv[i+1])
	}
	return "?" + v.Encode()
}

func put(t *testing.T, name, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// wantProblem holds an answer to the whole error body.
func wantProblem(t *testing.T, what string, res *http.Response, body string, status int, code string) {
	t.Helper()
	var b serve.Body
	if err := json.Unmarshal([]byte(body), &b); err != nil {
		t.Errorf("%s: %d %q: %v", what, res.StatusCode, body, err)
		return
	}
	if res.StatusCode != status || b.StatusCode != status || b.Code != code || b.Source != "DAYTONA_DAEMON" || b.Message == "" ||
		b.Timestamp.IsZero() || b.Path == "" || b.Method == "" || res.Header.Get("Content-Type") != "application/json; charset=utf-8" {
		t.Errorf("%s: %d %s; want %d %s", what, res.StatusCode, body, status, code)
	}
}

func TestFileErrorsHaveStatusAndCode(t *testing.T) {
	base, dir := filesServer(t)
	put(t, dir+"/file", "x")
	_ = os.Mkdir(dir+"/dir", 0o755)
	_ = syscall.Mkfifo(dir+"/fifo", 0o644)
	for _, tc := range []struct {
		method, target, body string
		status               int
		code                 string
	}{
		{"GET", "/files?path=none", "", 404, "FILE_NOT_FOUND"},
		{"GET", "/files?path=file", "", 400, "INVALID_FILE_PATH"},
		{"GET", "/files?depth=0", "", 400, "BAD_REQUEST"},
		{"GET", "/files?depth=x", "", 400, "BAD_REQUEST"},
		{"GET", "/files?path=a%00b", "", 400, "INVALID_FILE_PATH"},
		{"GET", "/files/info", "", 400, "BAD_REQUEST"},
		{"GET", "/files/info?path=none", "", 404, "FILE_NOT_FOUND"},
		{"POST", "/files/folder?path=x", "", 400, "BAD_REQUEST"},
		{"POST", "/files/folder?path=x&mode=9", "", 400, "BAD_REQUEST"},
		{"POST", "/files/folder?path=file&mode=755", "", 400, "INVALID_FILE_PATH"},
		{"DELETE", "/files?path=dir", "", 400, "BAD_REQUEST"},
		{"DELETE", "/files?path=dir&recursive=TRUE", "", 400, "BAD_REQUEST"},
		{"DELETE", "/files?path=none", "", 404, "FILE_NOT_FOUND"},
		{"POST", "/files/move?source=file&destination=dir", "", 409, "CONFLICT"},
		{"POST", "/files/move?source=none&destination=x", "", 404, "FILE_NOT_FOUND"},
		{"POST", "/files/move?source=file", "", 400, "BAD_REQUEST"},
		{"POST", "/files/permissions?path=file&mode=rwx", "", 400, "BAD_REQUEST"},
		{"POST", "/files/permissions?path=file&owner=nobody-such", "", 400, "BAD_REQUEST"},
		{"POST", "/files/permissions?path=file&mode=77777", "", 400, "BAD_REQUEST"},
		{"POST", "/files/permissions?path=file&mode=10000", "", 400, "BAD_REQUEST"},
		{"POST", "/files/permissions?path=file&mode=", "", 400, "BAD_REQUEST"},
		{"POST", "/files/permissions?path=file&mode=%20755", "", 400, "BAD_REQUEST"},
		{"POST", "/files/permissions?path=file&mode=-1", "", 400, "BAD_REQUEST"},
		{"POST", "/files/folder?path=x&mode=77777", "", 400, "BAD_REQUEST"},
		{"POST", "/files/folder?path=x&mode=", "", 400, "BAD_REQUEST"},
		{"GET", "/files/find?path=none&pattern=x", "", 404, "FILE_NOT_FOUND"},
		{"GET", "/files/search?path=none&pattern=*", "", 404, "FILE_NOT_FOUND"},
		{"GET", "/files/find?path=.", "", 400, "BAD_REQUEST"},
		{"GET", "/files/search?path=.&pattern=%5B", "", 400, "BAD_REQUEST"},
		{"POST", "/files/replace", `{"files":[],"pattern":"x"}`, 400, "INVALID_REQUEST_BODY"},
		{"POST", "/files/replace", `{"files":[],"pattern":"","newValue":""}`, 400, "INVALID_REQUEST_BODY"},
		{"POST", "/files/replace", `{"files":"x","pattern":"x","newValue":""}`, 400, "INVALID_REQUEST_BODY"},
		{"GET", "/files/download?path=dir", "", 400, "INVALID_FILE_PATH"},
		{"GET", "/files/download?path=fifo", "", 400, "INVALID_FILE_PATH"},
		{"GET", "/files/download?path=/dev/zero", "", 400, "INVALID_FILE_PATH"},
		{"POST", "/files/bulk-download", `{"paths":[]}`, 400, "INVALID_REQUEST_BODY"},
		{"POST", "/files/bulk-download", ``, 400, "INVALID_REQUEST_BODY"},
		{"POST", "/files/upload-v2", "content", 400, "BAD_REQUEST"},
		{"POST", "/files/upload-v2?path=dir", "content", 400, "INVALID_FILE_PATH"},
		{"POST", "/files/upload-v2?path=fifo", "content", 400, "INVALID_FILE_PATH"},
		{"POST", "/files/bulk-upload", "content", 400, "BAD_REQUEST"},
	} {
		res, body := call(t, tc.method, base+tc.target, strings.NewReader(tc.body))
		wantProblem(t, tc.method+" "+tc.target, res, body, tc.status, tc.code)
	}
}

// TestListIsWhatTheEncoderOfTheLibraryWrites holds the hand-written JSON to the type's own.
func TestListIsWhatTheEncoderOfTheLibraryWrites(t *testing.T) {
	base, dir := filesServer(t)
	put(t, dir+"/plain", "12345")
	put(t, dir+"/quote\"back\\slash\n\t\x01\x7f", "")
	put(t, dir+"/日本 <&>\u2028", "")
	_ = os.Mkdir(dir+"/sub", 0o755)
	_ = os.Chmod(dir+"/sub", 0o755|os.ModeSticky)
	_ = os.Chmod(dir+"/plain", 0o751|os.ModeSetuid)
	_ = os.Chtimes(dir+"/sub", time.Unix(1_600_000_000, 0), time.Unix(1_600_000_000, 0))
	_ = os.Chtimes(dir+"/plain", time.Unix(1_600_000_000, 120_000), time.Unix(1_600_000_000, 120_000))
	for _, target := range []string{"/files", "/files/", "/files?path=.&depth=3"} {
		res, body := call(t, "GET", base+target, nil)
		var got []api.FileInfo
		if err := json.Unmarshal([]byte(body), &got); err != nil || res.StatusCode != 200 || len(got) != 4 {
			t.Fatalf("%s: %d %s %v", target, res.StatusCode, body, err)
		}
		for _, g := range got {
			st, err := os.Stat(g.Path)
			if err != nil {
				t.Fatal(err)
			}
			sys := st.Sys().(*syscall.Stat_t)
			want := api.FileInfo{
				Name: st.Name(), Path: dir + "/" + st.Name(), Size: st.Size(), Mode: st.Mode().String(), ModTime: st.ModTime().String(),
				ModifiedAt: st.ModTime().Format(time.RFC3339Nano), IsDir: st.IsDir(), Owner: strconv.Itoa(int(sys.Uid)),
				Group: strconv.Itoa(int(sys.Gid)), Permissions: fmt.Sprintf("%04o", st.Mode().Perm()),
			}
			if g != want {
				t.Errorf("got  %+v\nwant %+v", g, want)
			}
		}
	}
	if _, body := call(t, "GET", base+"/files?path=sub", nil); body != "[]" {
		t.Errorf("empty folder: %s", body)
	}
	if _, body := call(t, "GET", base+"/files/info?path=sub", nil); !strings.Contains(body, `"mode":"dtrwxr-xr-x"`) {
		t.Errorf("info: %s", body)
	}
}

func TestSimpleChangesAnswerExactly(t *testing.T) {
	base, dir := filesServer(t)
	for _, tc := range []struct {
		method, target, body string
		status               int
		want                 string
	}{
		{"POST", "/files/folder?path=a/b&mode=0750", "", 201, ""},
		{"POST", "/files/folder?path=a/b&mode=755", "", 201, ""},
		{"POST", "/files/move?source=a/b&destination=c", "", 200, ""},
		{"POST", "/files/permissions?path=c&mode=1777", "", 200, ""},
		{"POST", "/files/permissions?path=c", "", 200, ""},
		{"POST", "/files/upload-v2?path=n/text", "old text\nold", 200, `{"name":"text","path":"n/text","type":"file"}`},
		{"GET", "/files/find?path=n&pattern=old", "", 200, `[{"file":"n/text","line":1,"content":"old text"},{"file":"n/text","line":2,"content":"old"}]`},
		{"GET", "/files/find?path=n&pattern=old+text", "", 200, `[{"file":"n/text","line":1,"content":"old text"}]`},
		{"GET", "/files/search?path=.&pattern=te*", "", 200, `{"files":["n/text"]}`},
		{"GET", "/files/find?path=n&pattern=none", "", 200, `[]`},
		{"GET", "/files/search?path=n&pattern=none", "", 200, `{"files":[]}`},
		{"POST", "/files/replace", `{"files":[],"pattern":"x","newValue":""}`, 200, `[]`},
		{"POST", "/files/replace", `{"files":["n/text","none"],"pattern":"old","newValue":""}`, 200, `[{"file":"n/text","success":true},{"file":"none","success":false,"error":"replace none: no such file or folder"}]`},
		{"DELETE", "/files?path=n&recursive=true", "", 204, ""},
	} {
		res, body := call(t, tc.method, base+tc.target, strings.NewReader(tc.body), "Content-Type", "application/x-www-form-urlencoded")
		if res.StatusCode != tc.status || body != tc.want {
			t.Errorf("%s %s: %d %s; want %d %s", tc.method, tc.target, res.StatusCode, body, tc.status, tc.want)
		}
	}
	if st, err := os.Stat(dir + "/c"); err != nil || st.Mode() != 0o777|os.ModeDir|os.ModeSticky {
		t.Errorf("c: %v %v", st, err)
	}
}

func TestDownloadServesRangesAndHead(t *testing.T) {
	base, dir := filesServer(t)
	put(t, dir+"/ä \"x\"\n", "0123456789")
	put(t, dir+"/empty", "")
	target := base + "/files/download" + query("path", "ä \"x\"\n")
	res, body := call(t, "GET", target, nil)
	if res.StatusCode != 200 || body != "0123456789" || res.ContentLength != 10 || res.Header.Get("Accept-Ranges") != "bytes" ||
		res.Header.Get("Content-Type") != "application/octet-stream" || res.Header.Get("Last-Modified") == "" {
		t.Errorf("%d %q %v", res.StatusCode, body, res.Header)
	}
	if got, want := res.Header.Get("Content-Disposition"), `attachment; filename="? \"x\"?"; filename*=utf-8''%C3%A4%20%22x%22%0A`; got != want {
		t.Errorf("disposition %s, want %s", got, want)
	}
	if res, body := call(t, "HEAD", target, nil); res.StatusCode != 200 || res.ContentLength != 10 || body != "" {
		t.Errorf("HEAD: %d, length %d", res.StatusCode, res.ContentLength)
	}
	if res, body := call(t, "GET", target, nil, "Range", "bytes=2-4"); res.StatusCode != 206 || body != "234" || res.Header.Get("Content-Range") != "bytes 2-4/10" {
		t.Errorf("range: %d %q %v", res.StatusCode, body, res.Header)
	}
	if res, body := call(t, "GET", target, nil, "Range", "bytes=0-1,8-"); res.StatusCode != 206 || !strings.Contains(body, "89") {
		t.Errorf("two ranges: %d %q", res.StatusCode, body)
	}
	if res, _ := call(t, "GET", target, nil, "If-None-Match", res.Header.Get("ETag")); res.StatusCode != 304 {
		t.Errorf("unchanged: %d", res.StatusCode)
	}
	badRange, body := call(t, "GET", target, nil, "Range", "bytes=20-")
	wantProblem(t, "range beyond the end", badRange, body, 416, "RANGE_NOT_SATISFIABLE")
	if badRange.Header.Get("Content-Range") != "bytes */10" {
		t.Errorf("416 with %v", badRange.Header)
	}
	for rng, want := range map[string]string{"bytes=-0": "", "bytes=-00, 10-": "", "bytes=-0,3-3": "3", "bytes=-3": "789", "bytes=-99": "0123456789", "bytes=8-99": "89"} {
		res, body := call(t, "GET", target, nil, "Range", rng)
		if want == "" {
			wantProblem(t, rng, res, body, 416, "RANGE_NOT_SATISFIABLE")
		} else if res.StatusCode != 206 || body != want {
			t.Errorf("%s: %d %q, want %q", rng, res.StatusCode, body, want)
		}
	}
	for _, rng := range []string{"items=0-1", "seconds=1-2", "bytes", "2-4", ""} { // in units that nobody knows, or in none
		if res, body := call(t, "GET", target, nil, "Range", rng); res.StatusCode != 200 || body != "0123456789" || res.Header.Get("Content-Range") != "" {
			t.Errorf("Range %q: %d %q", rng, res.StatusCode, body)
		}
	}
	if res, body := call(t, "GET", target, nil, "Range", "Bytes=2-4"); res.StatusCode != 206 || body != "234" { // the names of units have no case
		t.Errorf("a unit in other letters: %d %q", res.StatusCode, body)
	}
	for _, rng := range []string{"bytes=0-", "bytes=0-0", "bytes=-1", "bytes=-0", "bytes=5-"} {
		if res, body := call(t, "GET", base+"/files/download?path=empty", nil, "Range", rng); res.StatusCode != 200 || res.ContentLength != 0 {
			t.Errorf("%s of an empty file: %d %q", rng, res.StatusCode, body)
		}
	}
	stale, body := call(t, "GET", target, nil, "If-Match", `"other"`)
	wantProblem(t, "a condition that does not hold", stale, body, 412, "PRECONDITION_FAILED")
	if res, body := call(t, "GET", base+"/files/download?path=empty", nil); res.StatusCode != 200 || body != "" {
		t.Errorf("empty: %d %q", res.StatusCode, body)
	}
	res, _ = call(t, "HEAD", base+"/files/download?path=none", nil)
	if res.StatusCode != 404 {
		t.Errorf("HEAD of nothing: %d", res.StatusCode)
	}
}

func TestBulkDownloadSendsAPartForEachPath(t *testing.T) {
	base, dir := filesServer(t)
	big := make([]byte, 3<<20)
	_, _ = rand.Read(big)
	put(t, dir+"/big", string(big))
	put(t, dir+"/a", "hello")
	put(t, dir+"/empty", "")
	put(t, dir+"/ü\" \\n\r\n", "odd")
	edge := strings.Repeat("e", 512<<10)
	put(t, dir+"/edge", edge)
	_ = os.Mkdir(dir+"/dir", 0o755)
	_ = syscall.Mkfifo(dir+"/fifo", 0o644)
	paths := []string{"./a", dir + "/a", "none", "empty", "dir", "", "a\x00", "fifo", "big", "a/b", "./a", "ü\" \\n\r\n", "edge"}
	req, _ := json.Marshal(api.FilesDownloadRequest{Paths: paths})
	res, err := http.Post(base+"/files/bulk-download", "application/json", bytes.NewReader(req))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	kind, params, err := mime.ParseMediaType(res.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/form-data" || strings.ContainsAny(res.Header.Get("Content-Type"), `"`) || res.StatusCode != 200 {
		t.Fatalf("%d %v", res.StatusCode, res.Header)
	}
	parts := multipart.NewReader(res.Body, params["boundary"])
	want := map[string]string{"./a": "hello", dir + "/a": "hello", "empty": "", "big": string(big), "ü\" \\n\r\n": "odd", "edge": edge}
	codes := map[string]string{
		"none": "FILE_NOT_FOUND", "dir": "INVALID_FILE_PATH", "": "INVALID_FILE_PATH", "a\x00": "INVALID_FILE_PATH",
		"fifo": "INVALID_FILE_PATH", "a/b": "INVALID_FILE_PATH",
	}
	for _, p := range paths {
		part, err := parts.NextRawPart()
		if err != nil {
			t.Fatalf("%q: %v", p, err)
		}
		body, err := io.ReadAll(part)
		if err != nil {
			t.Fatal(err)
		}
		disposition := part.Header.Get("Content-Disposition")
		_, encoded, _ := strings.Cut(disposition, "filename*=utf-8''")
		if name, err := url.PathUnescape(encoded); err != nil || name != p {
			t.Errorf("%q: name %q %v", p, name, err)
		}
		if content, ok := want[p]; ok {
			if string(body) != content || !strings.HasPrefix(disposition, `form-data; name="file"; filename="`) ||
				part.Header.Get("Content-Length") != strconv.Itoa(len(content)) {
				t.Errorf("%q: %d bytes, %v", p, len(body), part.Header)
			}
			continue
		}
		var b serve.Body
		if err := json.Unmarshal(body, &b); err != nil || b.Code != codes[p] || b.Source != "DAYTONA_DAEMON" || b.Path != p ||
			!strings.HasPrefix(disposition, `form-data; name="error"; filename="`) || part.Header.Get("Content-Type") != "application/json; charset=utf-8" {
			t.Errorf("%q: %s %v %v", p, body, part.Header, err)
		}
	}
	if _, err := parts.NextRawPart(); !errors.Is(err, io.EOF) {
		t.Errorf("after the last: %v", err)
	}
}

// TestBulkDownloadOfAShrinkingFileIsBrokenOff has a file become shorter when more of it is on its way than sockets
// hold.
func TestBulkDownloadOfAShrinkingFileIsBrokenOff(t *testing.T) {
	base, dir := filesServer(t)
	put(t, dir+"/small", "hello")
	put(t, dir+"/big", "")
	if err := os.Truncate(dir+"/big", 512<<20); err != nil {
		t.Fatal(err)
	}
	res, err := http.Post(base+"/files/bulk-download", "application/json", strings.NewReader(`{"paths":["small","big","small"]}`))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	first := make([]byte, 1000)
	if _, err := io.ReadFull(res.Body, first); err != nil || !bytes.Contains(first, []byte("hello")) {
		t.Fatalf("%q, %v", first, err)
	}
	if err := os.Truncate(dir+"/big", 1<<20); err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, res.Body); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("the answer ended after %d bytes with %v, want it broken off", n, err)
	}
}

// formOf writes fields in order; a name that ends in .file becomes a file.
func formOf(fields ...string) (body []byte, contentType string) {
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for i := 0; i < len(fields); i += 2 {
		if strings.HasSuffix(fields[i], "file") {
			p, _ := w.CreateFormFile(fields[i], "ignored")
			_, _ = io.WriteString(p, fields[i+1])
		} else {
			_ = w.WriteField(fields[i], fields[i+1])
		}
	}
	_ = w.Close()
	return b.Bytes(), w.FormDataContentType()
}

func TestBulkUploadInAllOrders(t *testing.T) {
	base, dir := filesServer(t)
	big := strings.Repeat("0123456789", 300_000)
	for name, fields := range map[string][]string{
		"pairs":            {"files[0].path", "p/a", "files[0].file", "hello", "files[1].path", "p/b", "files[1].file", big},
		"all paths first":  {"files[0].path", "p/a", "files[1].path", "p/b", "files[0].file", "hello", "files[1].file", big},
		"other fields too": {"x", "y", "files[7].path", "p/a", "other.file", "z", "files[7].file", "hello", "files[1].path", "p/b", "files[1].file", big},
	} {
		t.Run(name, func(t *testing.T) {
			body, ct := formOf(fields...)
			for _, chunked := range []bool{false, true} {
				_ = os.RemoveAll(dir + "/p")
				var r io.Reader = bytes.NewReader(body)
				if chunked {
					r = struct{ io.Reader }{r}
				}
				res, answer := call(t, "POST", base+"/files/bulk-upload", r, "Content-Type", ct)
				want := fmt.Sprintf(`{"files":[{"path":"p/a","bytes":5},{"path":"p/b","bytes":%d}],"errors":[]}`, len(big))
				if res.StatusCode != 200 || answer != want {
					t.Errorf("%d %s, want %s", res.StatusCode, answer, want)
				}
				for name, content := range map[string]string{"a": "hello", "b": big} {
					if got, _ := os.ReadFile(dir + "/p/" + name); string(got) != content {
						t.Errorf("%s holds %d bytes", name, len(got))
					}
				}
			}
		})
	}
	body, ct := formOf()
	if res, answer := call(t, "POST", base+"/files/bulk-upload", bytes.NewReader(body), "Content-Type", ct); res.StatusCode != 200 || answer != `{"files":[],"errors":[]}` {
		t.Errorf("no files: %d %s", res.StatusCode, answer)
	}
}

func TestBulkUploadTellsEachFailure(t *testing.T) {
	base, dir := filesServer(t)
	_ = os.Mkdir(dir+"/dir", 0o755)
	body, ct := formOf("files[0].path", "dir", "files[0].file", "x", "files[1].path", "ok", "files[1].file", "fine", "files[2].file", "no path",
		"files[3].path", "no file")
	res, answer := call(t, "POST", base+"/files/bulk-upload", bytes.NewReader(body), "Content-Type", ct)
	wantProblem(t, "failures", res, answer, 400, "BAD_REQUEST")
	var got api.BulkUpload
	if err := json.Unmarshal([]byte(answer), &got); err != nil || len(got.Files) != 1 || got.Files[0] != (api.StoredFile{Path: "ok", Bytes: 4}) || len(got.Errors) != 3 ||
		!strings.HasPrefix(got.Errors[0], "dir: ") || !strings.HasPrefix(got.Errors[1], "files[2].file: ") || !strings.HasPrefix(got.Errors[2], "no file: ") {
		t.Errorf("%s %v", answer, err)
	}
	body, ct = formOf("files[0].path", "dir", "files[0].file", strings.Repeat("x", 2<<20))
	res, answer = call(t, "POST", base+"/files/bulk-upload", bytes.NewReader(body), "Content-Type", ct)
	wantProblem(t, "one failure", res, answer, 400, "INVALID_FILE_PATH")
	body, ct = formOf("files[0].path", "a", "files[0].file", "complete", "files[1].path", "b", "files[1].file", strings.Repeat("x", 100_000))
	res, answer = call(t, "POST", base+"/files/bulk-upload", bytes.NewReader(body[:len(body)-5000]), "Content-Type", ct)
	wantProblem(t, "cut form", res, answer, 400, "BAD_REQUEST")
	if !strings.Contains(answer, `"files":[{"path":"a","bytes":8}]`) {
		t.Errorf("cut form: %s", answer)
	}
	if _, err := os.Stat(dir + "/b"); err == nil {
		t.Error("half of b is there")
	}
	res, answer = call(t, "POST", base+"/files/bulk-upload", strings.NewReader("{}"), "Content-Type", "application/json")
	wantProblem(t, "no form", res, answer, 400, "BAD_REQUEST")
	if !strings.Contains(answer, `"files":[]`) || !strings.Contains(answer, `"errors":["`) {
		t.Errorf("no form: %s", answer)
	}
}

func TestUploadTakesFormsAndBytes(t *testing.T) {
	base, dir := filesServer(t)
	content := strings.Repeat("\r\n--b", 200_000)
	form, ct := formOf("other", "x", "file", content, "file", "second")
	for _, tc := range []struct {
		path, ct string
		body     []byte
	}{{"/files/upload-v2", ct, form}, {"/files/upload", ct, form}, {"/files/upload-v2", "application/octet-stream", []byte(content)}, {"/files/upload-v2", "", []byte(content)}} {
		_ = os.RemoveAll(dir + "/p")
		for range 2 {
			res, answer := call(t, "POST", base+tc.path+"?path=p/f&expires=0&signature=v1_x", bytes.NewReader(tc.body), "Content-Type", tc.ct)
			if res.StatusCode != 200 || answer != `{"name":"f","path":"p/f","type":"file"}` {
				t.Errorf("%s %s: %d %s", tc.path, tc.ct, res.StatusCode, answer)
			}
			if got, _ := os.ReadFile(dir + "/p/f"); string(got) != content {
				t.Errorf("%s %s: %d bytes", tc.path, tc.ct, len(got))
			}
		}
	}
	empty, ct := formOf("other", "x")
	res, answer := call(t, "POST", base+"/files/upload-v2?path=p/f", bytes.NewReader(empty), "Content-Type", ct)
	wantProblem(t, "no field", res, answer, 400, "BAD_REQUEST")
	res, answer = call(t, "POST", base+"/files/upload-v2?path=p/f", bytes.NewReader(form), "Content-Type", "multipart/form-data")
	wantProblem(t, "no boundary", res, answer, 400, "BAD_REQUEST")
}

// TestAbortedUploadLeavesNothing breaks connections in the middle of uploads.
func TestAbortedUploadLeavesNothing(t *testing.T) {
	base, dir := filesServer(t)
	put(t, dir+"/old", "old")
	for _, name := range []string{"old", "new"} {
		ctx, cancel := context.WithCancel(t.Context())
		r, w := io.Pipe()
		req, _ := http.NewRequestWithContext(ctx, "POST", base+"/files/upload-v2?path="+name, r)
		done := make(chan error, 1)
		go func() {
			res, err := http.DefaultClient.Do(req)
			if err == nil {
				res.Body.Close()
			}
			done <- err
		}()
		_, _ = w.Write(bytes.Repeat([]byte("x"), 2<<20))
		cancel()
		_ = w.CloseWithError(context.Canceled)
		if err := <-done; err == nil {
			t.Error("the request was answered")
		}
	}
	deadline := time.Now().Add(5 * time.Second)
	for {
		entries, _ := os.ReadDir(dir)
		if len(entries) == 1 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("left: %v", entries)
		}
		<-time.After(5 * time.Millisecond)
	}
	if got, _ := os.ReadFile(dir + "/old"); string(got) != "old" {
		t.Errorf("old holds %d bytes", len(got))
	}
}
