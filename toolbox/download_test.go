package toolbox_test

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/sandlot-dev/sandlot/api"
	"github.com/sandlot-dev/sandlot/internal/serve"
)

func TestDownloadServesRangesAndHead(t *testing.T) {
	base, dir := filesServer(t)
	put(t, dir+"/ä \"x\"\n", "0123456789")
	put(t, dir+"/empty", "")
	target := base + "/files/download" + query("path", "ä \"x\"\n")
	res, body := call(t, "GET", target, nil)
	if res.StatusCode != 200 || body != "0123456789" || res.ContentLength != 10 ||
		res.Header.Get("Accept-Ranges") != "bytes" ||
		res.Header.Get("Content-Type") != "application/octet-stream" || res.Header.Get("Last-Modified") == "" {
		t.Errorf("%d %q %v", res.StatusCode, body, res.Header)
	}
	want := `attachment; filename="? \"x\"?"; filename*=utf-8''%C3%A4%20%22x%22%0A`
	if got := res.Header.Get("Content-Disposition"); got != want {
		t.Errorf("disposition %s, want %s", got, want)
	}
	if res, body := call(t, "HEAD", target, nil); res.StatusCode != 200 || res.ContentLength != 10 || body != "" {
		t.Errorf("HEAD: %d, length %d", res.StatusCode, res.ContentLength)
	}
	if res, body := call(t, "GET", target, nil, "Range", "bytes=2-4"); res.StatusCode != 206 || body != "234" ||
		res.Header.Get("Content-Range") != "bytes 2-4/10" {
		t.Errorf("range: %d %q %v", res.StatusCode, body, res.Header)
	}
	if res, body := call(t, "GET", target, nil, "Range", "bytes=0-1,8-"); res.StatusCode != 206 ||
		!strings.Contains(body, "89") {
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
	for rng, want := range map[string]string{
		"bytes=-0": "", "bytes=-00, 10-": "", "bytes=-0,3-3": "3",
		"bytes=-3": "789", "bytes=-99": "0123456789", "bytes=8-99": "89",
	} {
		res, body := call(t, "GET", target, nil, "Range", rng)
		if want == "" {
			wantProblem(t, rng, res, body, 416, "RANGE_NOT_SATISFIABLE")
		} else if res.StatusCode != 206 || body != want {
			t.Errorf("%s: %d %q, want %q", rng, res.StatusCode, body, want)
		}
	}
	// in units that nobody knows, or in none
	for _, rng := range []string{"items=0-1", "seconds=1-2", "bytes", "2-4", ""} {
		if res, body := call(t, "GET", target, nil, "Range", rng); res.StatusCode != 200 || body != "0123456789" ||
			res.Header.Get("Content-Range") != "" {
			t.Errorf("Range %q: %d %q", rng, res.StatusCode, body)
		}
	}
	// the names of units have no case
	if res, body := call(t, "GET", target, nil, "Range", "Bytes=2-4"); res.StatusCode != 206 || body != "234" {
		t.Errorf("a unit in other letters: %d %q", res.StatusCode, body)
	}
	for _, rng := range []string{"bytes=0-", "bytes=0-0", "bytes=-1", "bytes=-0", "bytes=5-"} {
		if res, body := call(t, "GET", base+"/files/download?path=empty", nil, "Range", rng); res.StatusCode != 200 ||
			res.ContentLength != 0 {
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
	paths := []string{
		"./a", dir + "/a", "none", "empty", "dir", "", "a\x00", "fifo", "big", "a/b", "./a",
		"ü\" \\n\r\n", "edge",
	}
	req, _ := json.Marshal(api.FilesDownloadRequest{Paths: paths})
	res, err := http.Post(base+"/files/bulk-download", "application/json", bytes.NewReader(req))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	kind, params, err := mime.ParseMediaType(res.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/form-data" || strings.ContainsAny(res.Header.Get("Content-Type"), `"`) ||
		res.StatusCode != 200 {
		t.Fatalf("%d %v", res.StatusCode, res.Header)
	}
	parts := multipart.NewReader(res.Body, params["boundary"])
	want := map[string]string{
		"./a": "hello", dir + "/a": "hello", "empty": "", "big": string(big),
		"ü\" \\n\r\n": "odd", "edge": edge,
	}
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
			!strings.HasPrefix(disposition, `form-data; name="error"; filename="`) ||
			part.Header.Get("Content-Type") != "application/json; charset=utf-8" {
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
	res, err := http.Post(base+"/files/bulk-download", "application/json",
		strings.NewReader(`{"paths":["small","big","small"]}`))
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
