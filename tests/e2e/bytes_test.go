//go:build e2e

package e2e_test

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"hash"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gorilla/websocket"

	"github.com/sandlot-dev/sandlot/api"
	"github.com/sandlot-dev/sandlot/tests/harness"
)

// TestBytesAreExact sends random bytes through every way out of a sandbox, straight and through the proxy, and
// compares their sums. JSON holds characters, not bytes: what is exact there are characters of all kinds, and bytes
// as base64.
func TestBytesAreExact(t *testing.T) {
	size := harness.Size(6, 100) * 1_000_000
	data := make([]byte, size)
	_, _ = rand.Read(data)
	copy(data, "\x01\x01\x01 a marker in the output \x02\x02\x02\x00")
	text := randomText(data, size/4)

	t.Run("straight", func(t *testing.T) {
		base, home, _ := harness.Toolboxd(t)
		bytesAreExact(&daemon{t: t, base: base}, home, data, text)
	})
	t.Run("through the proxy", func(t *testing.T) {
		s, c := small.up(t)
		box := c.Create(map[string]any{"memory": 1, "disk": 3})
		bytesAreExact(behind(t, s, box), "/tmp", data, text)
	})
}

// randomText makes valid UTF-8 of all planes and control characters from random bytes.
func randomText(random []byte, size int) []byte {
	text := make([]byte, 0, size+4)
	for i := 0; len(text) < size; i += 4 {
		r := rune(random[i])
		switch random[i+1] % 4 {
		case 1:
			r = rune(random[i+2])<<8 | r
		case 2:
			r = (rune(random[i+2])<<16 | rune(random[i+3])<<8 | r) % 0x110000
		}
		text = append(text, string(r)...) // what is no character becomes U+FFFD, which is one
	}
	return text
}

func bytesAreExact(d *daemon, dir string, data, text []byte) {
	t, sum := d.t, sha256.Sum256(data)
	same := func(t *testing.T, h hash.Hash, n int64) {
		t.Helper()
		if n != int64(len(data)) || [sha256.Size]byte(h.Sum(nil)) != sum {
			t.Errorf("%d bytes came back as %d others", len(data), n)
		}
	}
	file := filepath.Join(dir, "random")
	for name, content := range map[string][]byte{file: data, file + ".txt": text} {
		if status := d.call("POST", "/files/upload-v2"+harness.Query("path", name), bytes.NewReader(content),
			nil); status != 200 {
			t.Fatalf("upload of %s: %d", name, status)
		}
	}
	sub := func(name string, run func(t *testing.T, d *daemon)) {
		t.Run(name, func(t *testing.T) { run(t, &daemon{t: t, base: d.base, header: d.header}) })
	}

	sub("execute, base64", func(t *testing.T, d *daemon) {
		var res api.ExecuteResponse
		d.call("POST", "/process/execute", api.ExecuteRequest{Command: "base64 < " + file}, &res)
		h := sha256.New()
		n, err := io.Copy(h, base64.NewDecoder(base64.StdEncoding, strings.NewReader(res.Result)))
		if err != nil || res.ExitCode != 0 || res.Truncated {
			t.Errorf("%v, code %d, truncated %v", err, res.ExitCode, res.Truncated)
		}
		same(t, h, n)
	})
	sub("execute, characters, each stream", func(t *testing.T, d *daemon) {
		var res api.ExecuteResponse
		d.call("POST", "/process/execute",
			api.ExecuteRequest{Command: fmt.Sprintf("cat %s.txt; cat %s.txt >&2", file, file), Split: true}, &res)
		if res.Stdout == nil || res.Stderr == nil {
			t.Fatal("the streams are not apart")
		}
		for name, got := range map[string]string{"stdout": *res.Stdout, "stderr": *res.Stderr} {
			if sha256.Sum256([]byte(got)) != sha256.Sum256(text) {
				t.Errorf("%s: %d bytes of characters came back as %d others", name, len(text), len(got))
			}
		}
	})

	d.session("bytes")
	first := d.start("bytes", "cat "+file) // followed live, then read as it was kept
	// A client whose connection is cut comes back and skips what it has.
	resumed := func(t *testing.T, d *daemon, command string, cuts int) {
		h, have := sha256.New(), int64(0)
		for cut := range cuts {
			n, ended := followInto(t, d, h, command, have, int64(cut+1)*int64(len(data))/int64(cuts+1))
			if have += n; ended {
				t.Fatalf("the log ended after %d bytes", have)
			}
		}
		n, ended := followInto(t, d, h, command, have, -1)
		if !ended {
			t.Error("the log did not end")
		}
		same(t, h, have+n)
	}
	sub("log by websocket, live", func(t *testing.T, d *daemon) { resumed(t, d, first, 0) })
	sub("log by websocket, afterwards, cut and resumed", func(t *testing.T, d *daemon) { resumed(t, d, first, 4) })
	sub("log by websocket, live, cut and resumed", func(t *testing.T,
		d *daemon,
	) {
		resumed(t, d, d.start("bytes", "cat "+file), 3)
	})
	sub("log as text", func(t *testing.T, d *daemon) {
		h := sha256.New()
		same(t, h, copyBody(t, d, h, first+"/logs"))
	})
	sub("log as text with markers", func(t *testing.T, d *daemon) {
		var got bytes.Buffer
		copyBody(t, d.with("X-Daytona-Split-Output", "true"), &got, first+"/logs")
		body, ok := bytes.CutPrefix(got.Bytes(), []byte("\x01\x01\x01")) // one stream alone has one marker
		if h := sha256.New(); ok {
			n, _ := h.Write(body)
			same(t, h, int64(n))
		} else {
			t.Errorf("begins with %q", body[:min(8, len(body))])
		}
	})
	sub("log as JSON, characters", func(t *testing.T, d *daemon) {
		d = d.with("X-Daytona-SDK-Version", "0.226.1")
		var res api.SessionExecuteResponse
		d.call("POST", "/process/session/bytes/exec", api.SessionExecuteRequest{Command: "cat " + file + ".txt >&2"}, &res)
		var logs api.SessionCommandLogsResponse
		d.call("GET", "/process/session/bytes/command/"+res.CmdID+"/logs", nil, &logs)
		if res.Stderr == nil || sha256.Sum256([]byte(*res.Stderr)) != sha256.Sum256(text) || logs.Stderr != *res.Stderr ||
			logs.Stdout != "" {
			t.Errorf("%d bytes of characters came back as %d others", len(text), len(logs.Stderr))
		}
	})

	sub("download", func(t *testing.T, d *daemon) {
		h := sha256.New()
		same(t, h, copyBody(t, d, h, "/files/download"+harness.Query("path", file)))
	})
	sub("download in ranges", func(t *testing.T, d *daemon) {
		h, total := sha256.New(), int64(0)
		for i := range 7 {
			from, to := len(data)*i/7, len(data)*(i+1)/7-1
			res, err := d.with("Range", fmt.Sprintf("bytes=%d-%d", from, to)).open("GET",
				"/files/download"+harness.Query("path", file), nil)
			if err != nil {
				t.Fatal(err)
			}
			n, err := io.Copy(h, res.Body)
			res.Body.Close()
			if err != nil || res.StatusCode != http.StatusPartialContent {
				t.Errorf("range %d-%d: %d, %v", from, to, res.StatusCode, err)
			}
			total += n
		}
		same(t, h, total)
	})
	sub("bulk download", func(t *testing.T, d *daemon) {
		res, err := d.open("POST", "/files/bulk-download",
			api.FilesDownloadRequest{Paths: []string{file, file + ".none", file}})
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		_, params, err := mime.ParseMediaType(res.Header.Get("Content-Type"))
		if err != nil {
			t.Fatal(err)
		}
		form := multipart.NewReader(res.Body, params["boundary"])
		for _, want := range []string{"file", "error", "file"} {
			part, err := form.NextRawPart()
			if err != nil || part.FormName() != want {
				t.Fatalf("a part %v, want %s: %v", part, want, err)
			}
			h := sha256.New()
			n, err := io.Copy(h, part)
			if err != nil {
				t.Error(err)
			}
			if want == "file" {
				same(t, h, n)
			}
		}
		if _, err := form.NextRawPart(); err != io.EOF {
			t.Errorf("after the last part: %v", err)
		}
	})
	sub("bulk upload", func(t *testing.T, d *daemon) {
		r, w := io.Pipe()
		form := multipart.NewWriter(w)
		go func() {
			_ = form.WriteField("files[0].path", file+".again")
			part, err := form.CreateFormFile("files[0].file", "x")
			if err == nil {
				_, err = part.Write(data)
			}
			if err == nil {
				err = form.Close()
			}
			w.CloseWithError(err)
		}()
		var stored api.BulkUpload
		if status := d.with("Content-Type", form.FormDataContentType()).call("POST", "/files/bulk-upload", r,
			&stored); status != 200 || len(stored.Files) != 1 || stored.Files[0].Bytes != int64(len(data)) {
			t.Errorf("status %d, %+v", status, stored)
		}
		if code, out := d.exec(fmt.Sprintf("cmp %s %s.again && sha256sum < %s.again", file, file, file)); code != 0 ||
			!strings.HasPrefix(out, fmt.Sprintf("%x", sum)) {
			t.Errorf("it is another file: %d %s", code, out)
		}
	})
	if status := d.call("DELETE", "/process/session/bytes", nil, nil); status != 204 {
		t.Errorf("delete: %d", status)
	}
}

// followInto follows a command's log from its beginning and writes it to w, without the first skip bytes. It cuts the
// connection once it has the bytes up to upTo; less than 0 goes on to the end. Every frame has to begin with a
// marker.
func followInto(t *testing.T, d *daemon, w io.Writer, command string, skip, upTo int64) (n int64, ended bool) {
	t.Helper()
	ws, err := d.dial(command + "/logs?follow=true")
	if err != nil {
		t.Fatal(err)
	}
	defer ws.Close()
	for at := int64(0); ; {
		if upTo >= 0 && at >= upTo {
			return n, false
		}
		_, frame, err := ws.ReadMessage()
		if websocket.IsCloseError(err, websocket.CloseNormalClosure) {
			return n, true
		}
		if err != nil || !bytes.HasPrefix(frame, []byte("\x01\x01\x01")) {
			t.Fatalf("after %d bytes: %v, %q", at, err, frame[:min(8, len(frame))])
		}
		frame = frame[3:]
		if upTo >= 0 {
			frame = frame[:min(int64(len(frame)), upTo-at)]
		}
		fresh := frame[min(int64(len(frame)), max(skip-at, 0)):]
		at += int64(len(frame))
		n += int64(len(fresh))
		_, _ = w.Write(fresh)
	}
}

// copyBody writes the body of a 200 to w.
func copyBody(t *testing.T, d *daemon, w io.Writer, path string) int64 {
	t.Helper()
	res, err := d.open("GET", path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	n, err := io.Copy(w, res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Errorf("GET %s: %d, %v", path, res.StatusCode, err)
	}
	return n
}
