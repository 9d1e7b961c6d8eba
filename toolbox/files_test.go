package toolbox_test

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

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
		WorkDir: dir, Home: dir, Version: "v0.0.0", Logger: slog.New(log), Process: processes, Sessions: sessions,
		SecretHash: secretHash,
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
	if res.StatusCode != status || b.StatusCode != status || b.Code != code || b.Source != "DAYTONA_DAEMON" ||
		b.Message == "" ||
		b.Timestamp.IsZero() || b.Path == "" || b.Method == "" ||
		res.Header.Get("Content-Type") != "application/json; charset=utf-8" {
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
		{
			"GET", "/files/find?path=n&pattern=old", "", 200,
			`[{"file":"n/text","line":1,"content":"old text"},{"file":"n/text","line":2,"content":"old"}]`,
		},
		{"GET", "/files/find?path=n&pattern=old+text", "", 200, `[{"file":"n/text","line":1,"content":"old text"}]`},
		{"GET", "/files/search?path=.&pattern=te*", "", 200, `{"files":["n/text"]}`},
		{"GET", "/files/find?path=n&pattern=none", "", 200, `[]`},
		{"GET", "/files/search?path=n&pattern=none", "", 200, `{"files":[]}`},
		{"POST", "/files/replace", `{"files":[],"pattern":"x","newValue":""}`, 200, `[]`},
		{
			"POST", "/files/replace", `{"files":["n/text","none"],"pattern":"old","newValue":""}`, 200,
			`[{"file":"n/text","success":true},{"file":"none","success":false,"error":"replace none: no such file or folder"}]`,
		},
		{"DELETE", "/files?path=n&recursive=true", "", 204, ""},
	} {
		res, body := call(t, tc.method, base+tc.target, strings.NewReader(tc.body), "Content-Type",
			"application/x-www-form-urlencoded")
		if res.StatusCode != tc.status || body != tc.want {
			t.Errorf("%s %s: %d %s; want %d %s", tc.method, tc.target, res.StatusCode, body, tc.status, tc.want)
		}
	}
	if st, err := os.Stat(dir + "/c"); err != nil || st.Mode() != 0o777|os.ModeDir|os.ModeSticky {
		t.Errorf("c: %v %v", st, err)
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
