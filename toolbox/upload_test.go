package toolbox_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/sandlot-dev/sandlot/api"
)

func TestBulkUploadInAllOrders(t *testing.T) {
	base, dir := filesServer(t)
	big := strings.Repeat("0123456789", 300_000)
	for name, fields := range map[string][]string{
		"pairs":           {"files[0].path", "p/a", "files[0].file", "hello", "files[1].path", "p/b", "files[1].file", big},
		"all paths first": {"files[0].path", "p/a", "files[1].path", "p/b", "files[0].file", "hello", "files[1].file", big},
		"other fields too": {
			"x", "y", "files[7].path", "p/a", "other.file", "z", "files[7].file", "hello",
			"files[1].path", "p/b", "files[1].file", big,
		},
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
	if res, answer := call(t, "POST", base+"/files/bulk-upload", bytes.NewReader(body), "Content-Type",
		ct); res.StatusCode != 200 || answer != `{"files":[],"errors":[]}` {
		t.Errorf("no files: %d %s", res.StatusCode, answer)
	}
}

func TestBulkUploadTellsEachFailure(t *testing.T) {
	base, dir := filesServer(t)
	_ = os.Mkdir(dir+"/dir", 0o755)
	body, ct := formOf("files[0].path", "dir", "files[0].file", "x", "files[1].path", "ok", "files[1].file", "fine",
		"files[2].file", "no path",
		"files[3].path", "no file")
	res, answer := call(t, "POST", base+"/files/bulk-upload", bytes.NewReader(body), "Content-Type", ct)
	wantProblem(t, "failures", res, answer, 400, "BAD_REQUEST")
	var got api.BulkUpload
	if err := json.Unmarshal([]byte(answer), &got); err != nil || len(got.Files) != 1 ||
		got.Files[0] != (api.StoredFile{Path: "ok", Bytes: 4}) || len(got.Errors) != 3 ||
		!strings.HasPrefix(got.Errors[0], "dir: ") || !strings.HasPrefix(got.Errors[1], "files[2].file: ") ||
		!strings.HasPrefix(got.Errors[2], "no file: ") {
		t.Errorf("%s %v", answer, err)
	}
	body, ct = formOf("files[0].path", "dir", "files[0].file", strings.Repeat("x", 2<<20))
	res, answer = call(t, "POST", base+"/files/bulk-upload", bytes.NewReader(body), "Content-Type", ct)
	wantProblem(t, "one failure", res, answer, 400, "INVALID_FILE_PATH")
	body, ct = formOf("files[0].path", "a", "files[0].file", "complete", "files[1].path", "b", "files[1].file",
		strings.Repeat("x", 100_000))
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
	}{{"/files/upload-v2", ct, form}, {"/files/upload", ct, form}, {
		"/files/upload-v2", "application/octet-stream",
		[]byte(content),
	}, {"/files/upload-v2", "", []byte(content)}} {
		_ = os.RemoveAll(dir + "/p")
		for range 2 {
			res, answer := call(t, "POST", base+tc.path+"?path=p/f&expires=0&signature=v1_x", bytes.NewReader(tc.body),
				"Content-Type", tc.ct)
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
	res, answer = call(t, "POST", base+"/files/upload-v2?path=p/f", bytes.NewReader(form), "Content-Type",
		"multipart/form-data")
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
