package toolbox_test

import (
	"bytes"
	"errors"
	"log/slog"
	"net/http/httptest"
	"os"
	osexec "os/exec"
	"strings"
	"sync"
	"testing"
)

// recorded is a log that a test reads while others write it.
type recorded struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *recorded) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

// take returns what has been written since the last call.
func (j *recorded) take() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	text := j.text.String()
	j.text.Reset()
	return text
}

// TestFailuresOfTheSystemAreNotTheCallers also where they are told inside of an answer about several files: each is
// 5xx with the system's name for it, and logged.
func TestFailuresOfTheSystemAreNotTheCallers(t *testing.T) {
	dir := t.TempDir()
	var log recorded
	srv := httptest.NewServer(newToolboxWith(t, dir, slog.NewTextHandler(&log, nil)).Handler())
	defer srv.Close()
	sleep, err := osexec.LookPath("sleep")
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(sleep)
	if err != nil {
		t.Fatal(err)
	}
	// so it is written in place
	if err := errors.Join(os.WriteFile(dir+"/run", program, 0o700), os.Link(dir+"/run", dir+"/other")); err != nil {
		t.Fatal(err)
	}
	running := osexec.CommandContext(t.Context(), dir+"/run", "1000")
	if err := running.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = errors.Join(running.Process.Kill(), running.Wait()) }()
	const unreadable = "/proc/self/mem" // nothing is mapped at its beginning
	form, ct := formOf("files[0].path", "run", "files[0].file", "x", "files[1].path", "ok", "files[1].file", "fine")
	for _, tc := range []struct {
		what, method, path, body, ct string
		status                       int
		part                         string // of the answer
		name, level                  string
	}{
		{"download", "GET", "/files/download?path=" + unreadable, "", "", 500, `"INTERNAL_SERVER_ERROR"`, "EIO", "ERROR"},
		{
			"bulk download", "POST", "/files/bulk-download", `{"paths":["` + unreadable + `","run"]}`, "", 200,
			`"statusCode":500`, "EIO", "ERROR",
		},
		{
			"replace", "POST", "/files/replace", `{"files":["` + unreadable + `"],"pattern":"a","newValue":"b"}`, "", 200,
			`"success":false`, "EIO", "ERROR",
		},
		{"upload", "POST", "/files/upload-v2?path=run", "x", "", 503, `"SERVICE_UNAVAILABLE"`, "ETXTBSY", "WARN"},
		{
			"bulk upload", "POST", "/files/bulk-upload", string(form), ct, 503, `"files":[{"path":"ok","bytes":4}]`,
			"ETXTBSY", "WARN",
		},
	} {
		res, answer := call(t, tc.method, srv.URL+tc.path, strings.NewReader(tc.body), "Content-Type", tc.ct)
		if res.StatusCode != tc.status || !strings.Contains(answer, tc.part) || !strings.Contains(answer, tc.name) {
			t.Errorf("%s: %d %.600s; want %d with %s and %s", tc.what, res.StatusCode, answer, tc.status, tc.part, tc.name)
		}
		if got := log.take(); strings.Count(got, "\n") != 1 || !strings.Contains(got, tc.name) ||
			!strings.Contains(got, "level="+tc.level) {
			t.Errorf("%s is logged as %q; want a line with %s and %s", tc.what, got, tc.level, tc.name)
		}
	}
	for what, call := range map[string]func() (int, string){
		"a missing file": func() (int, string) {
			res, answer := call(t, "GET", srv.URL+"/files/download?path=none", nil)
			return res.StatusCode, answer
		},
		"a folder": func() (int, string) {
			res, answer := call(t, "POST", srv.URL+"/files/replace",
				strings.NewReader(`{"files":["none"],"pattern":"a","newValue":"b"}`))
			return res.StatusCode, answer
		},
	} {
		if status, answer := call(); status >= 500 || log.take() != "" {
			t.Errorf("%s: %d %s, and it is logged", what, status, answer)
		}
	}
}
