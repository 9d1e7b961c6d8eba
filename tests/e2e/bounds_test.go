//go:build e2e

package e2e_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sandlot-dev/sandlot/tests/harness"
)

func pairs(n int, value string) map[string]string {
	m := map[string]string{}
	for i := range n {
		m[fmt.Sprintf("n%d", i)] = value
	}
	return m
}

func TestACreateIsBounded(t *testing.T) {
	s, c := small.up(t)
	const kib = 1 << 10
	for name, tc := range map[string]struct {
		body   map[string]any
		status int
	}{
		"64 labels":            {map[string]any{"labels": pairs(64, strings.Repeat("v", 256))}, 200},
		"65 labels":            {map[string]any{"labels": pairs(65, "v")}, 400},
		"long label":           {map[string]any{"labels": map[string]string{"a": strings.Repeat("v", 257)}}, 400},
		"long name of a label": {map[string]any{"labels": map[string]string{strings.Repeat("v", 257): ""}}, 400},
		"NUL in a label":       {map[string]any{"labels": map[string]string{"a": "\x00"}}, 400},
		"a large variable":     {map[string]any{"env": map[string]string{"A": strings.Repeat("v", 128*kib-4)}}, 200},
		"a too large variable": {map[string]any{"env": map[string]string{"A": strings.Repeat("v", 128*kib)}}, 400},
		"too many variables":   {map[string]any{"env": pairs(1000, strings.Repeat("v", 130))}, 400},
		"a variable of ours":   {map[string]any{"env": map[string]string{"SANDLOT_CLAIM_SHA256": "x"}}, 400},
		"odd variables":        {map[string]any{"env": map[string]string{"A-B": "1", "a.b": "2"}}, 200},
		"name of a hash":       {map[string]any{"name": strings.ReplaceAll(unknown, "-", "")}, 200},
		"name like an id":      {map[string]any{"name": unknown}, 400},
		"invisible name":       {map[string]any{"name": "a\u200b"}, 400},
		"name turned around":   {map[string]any{"name": "a\u202eb"}, 400},
		"long name":            {map[string]any{"name": strings.Repeat("x", 256)}, 400},
		"long user":            {map[string]any{"user": strings.Repeat("x", 256)}, 400},
		"user with a NUL":      {map[string]any{"user": "a\x00"}, 400},
		"long snapshot":        {map[string]any{"snapshot": strings.Repeat("x", 100*kib)}, 400},
		"long target":          {map[string]any{"target": strings.Repeat("x", 256)}, 400},
		"a body over a megabyte": {
			map[string]any{"name": "x", "env": map[string]string{"A": strings.Repeat("v", 1<<20)}},
			413,
		},
	} {
		a := c.API("POST", "/sandbox", tc.body)
		if a.Status != tc.status || tc.status != 200 && (a.Code() == "" || len(a.Body) > 2000) {
			t.Errorf("%s: %d %.300s, want %d", name, a.Status, a.Body, tc.status)
		}
		if a.Status == 200 {
			var box struct{ ID string }
			a.Into(&box)
			c.API("DELETE", "/sandbox/"+box.ID, nil).Want(200)
		}
	}
	box := c.Create(nil)
	c.API("PUT", "/sandbox/"+box.ID+"/labels", map[string]any{"labels": pairs(65, "v")}).Want(400)
	_ = s
}

// TestNamesThatRoutesUseAreRefused takes the words from the description of the API.
func TestNamesThatRoutesUseAreRefused(t *testing.T) {
	_, c := small.up(t)
	words := map[string]bool{}
	for _, op := range recorded(t) {
		path := op.Path
		if rest, ok := strings.CutPrefix(path, "/sandbox/"); ok && !strings.HasPrefix(rest, "{") {
			word, _, _ := strings.Cut(rest, "/")
			words[word] = true
		}
	}
	if !words["paginated"] || len(words) < 3 {
		t.Fatalf("words of routes: %v", words)
	}
	for word := range words {
		if a := c.API("POST", "/sandbox", map[string]any{"name": word}); a.Status != 400 {
			t.Errorf("a sandbox may be called %q: %d", word, a.Status)
		}
	}
}

func TestListsTakeWhateverIsAsked(t *testing.T) {
	_, c := small.up(t)
	for _, list := range []string{"/sandbox", "/sandbox/paginated"} {
		for query, status := range map[string]int{
			"name=%00": 400, "name=" + strings.Repeat("x", 2000): 400, "name=%ff": 400, "id=%00": 400,
			"labels=" + url.QueryEscape(`{"a":"\u0000"}`): 400, "labels=nope": 400, "states=%00": 400, "snapshots=%00": 400,
			"lastEventAfter=0000-01-01T00:00:00Z": 400, "lastEventAfter=9999-12-31T23:59:59-12:00": 400,
			"lastEventBefore=99999-01-01T00:00:00Z": 400,
			"lastEventAfter=2026-01-01T00:00:00Z":   200, "minCpu=1e300": 400, "limit=1e999": 400, "limit=NaN": 400,
			"limit=-1": 400, "minCpu=9223372036854775807": 400,
			"sort=%00": 400, "sort=name": 200, "order=%00": 200,
		} {
			if a := c.API("GET", list+"?"+query, nil); a.Status != status || len(a.Body) > 3000 && status != 200 {
				t.Errorf("%s?%.60s: %d %.200s, want %d", list, query, a.Status, a.Body, status)
			}
		}
	}
	for _, page := range []string{"0", "-5", "1000000000000000000", "9223372036854775807", "1e18"} {
		if a := c.API("GET", "/sandbox/paginated?page="+page, nil); a.Status != 200 && a.Status != 400 {
			t.Errorf("page %s: %d %s", page, a.Status, a.Body)
		}
	}
	for _, cursor := range []string{
		"x", "%00", "W10", "WyJhIiwiYiJd", "WyJcdTAwMDAiLCJcdTAwMDAiXQ",
		"WyI5OTk5LTEyLTMxVDIzOjU5OjU5LTEyOjAwIiwiYSJd", strings.Repeat("A", 4000),
	} {
		for _, sort := range []string{"createdAt", "cpu", "name"} {
			if a := c.API("GET", "/sandbox?sort="+sort+"&cursor="+cursor, nil); a.Status != 400 &&
				(sort != "name" || a.Status != 200) {
				t.Errorf("cursor %.40s by %s: %d %.200s", cursor, sort, a.Status, a.Body)
			}
		}
	}
}

// TestADeleteByIDNeverFindsAName repeats the delete of one sandbox while others exist.
func TestADeleteByIDNeverFindsAName(t *testing.T) {
	_, c := small.up(t)
	gone, kept := c.Create(nil), c.Create(nil)
	c.API("DELETE", "/sandbox/"+gone.ID, nil).Want(200)
	c.API("POST", "/sandbox", map[string]any{"name": gone.ID}).Want(400)
	c.API("POST", "/sandbox", map[string]any{"name": strings.ToUpper(gone.ID)}).Want(400)
	harness.Until(t, 10*time.Second, "the record to be gone",
		func() bool { return c.API("DELETE", "/sandbox/"+gone.ID, nil).Status == 404 })
	kept.Refresh()
}

// TestARefusedRequestChangesNothing asks for everything that is not built, and looks at the sandbox before and after.
func TestARefusedRequestChangesNothing(t *testing.T) {
	_, c := small.up(t)
	box := c.Create(map[string]any{"name": "asked", "labels": map[string]string{"a": "b"}})
	before := c.API("GET", "/sandbox/"+box.ID, nil).Want(200)
	refused := 0
	for _, op := range recorded(t) {
		at := op.Path
		if !strings.HasPrefix(at, "/sandbox/{") {
			continue
		}
		for strings.Contains(at, "{") {
			head, rest, _ := strings.Cut(at, "{")
			name, tail, _ := strings.Cut(rest, "}")
			value := map[string]string{
				"port": "3000", "token": "t", "traceId": "t", "interval": "5", "ttlMinutes": "0",
				"isPublic": "false",
			}[name]
			if value == "" {
				value = box.ID
			}
			at = head + value + tail
		}
		if op.Method == "DELETE" && at == "/sandbox/"+box.ID || slices.Contains([]string{"start", "stop"}, path.Base(at)) ||
			strings.Contains(at, "/auto") || strings.Contains(at, "/ttl") || strings.HasSuffix(at, "/labels") ||
			strings.HasSuffix(at, "/rotate") {
			continue // what is asked for there is done
		}
		if a := c.API(op.Method, at, map[string]any{}); a.Status == http.StatusNotImplemented {
			refused++
		} else if a.Status >= 500 {
			t.Errorf("%s %s: %d %s", op.Method, at, a.Status, a.Body)
		}
	}
	if refused < 15 {
		t.Errorf("only %d operations on a sandbox were refused", refused)
	}
	for _, what := range []map[string]any{
		{"volumes": []any{map[string]any{"volumeId": "v", "mountPath": "/v"}}},
		{"networkBlockAll": true},
		{"networkAllowList": "10.0.0.0/8"},
		{"gpu": 1},
		{"buildInfo": map[string]any{"dockerfileContent": "FROM x"}},
		{"secrets": []any{map[string]any{}}},
		{"linkedSandbox": box.ID},
	} {
		what["name"] = "never made"
		if a := c.API("POST", "/sandbox", what); a.Status != http.StatusNotImplemented && a.Status != http.StatusBadRequest {
			t.Errorf("create with %v: %d %s", what, a.Status, a.Body)
		}
	}
	c.API("GET", "/sandbox/never%20made", nil).Want(404)
	after := c.API("GET", "/sandbox/"+box.ID, nil).Want(200)
	if quiet(before.Body) != quiet(after.Body) {
		t.Errorf("refused requests changed the sandbox:\n%s\n%s", before.Body, after.Body)
	}
	if box.MustExec("echo fine") != "fine" {
		t.Error("it does not work any more")
	}
}

type operation struct{ Method, Path string }

// recorded are the operations of the recorded contract.
func recorded(t *testing.T) []operation {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(harness.Root(), "tests/contract/testdata/api.json"))
	if err != nil {
		t.Fatal(err)
	}
	var doc struct{ Operations []operation }
	if err := json.Unmarshal(data, &doc); err != nil || len(doc.Operations) < 100 {
		t.Fatal(err, len(doc.Operations))
	}
	return doc.Operations
}

// quiet is a sandbox without what time changes.
func quiet(body []byte) string {
	var m map[string]any
	_ = json.Unmarshal(body, &m)
	delete(m, "lastActivityAt")
	delete(m, "updatedAt") // of what was asked for beside, such as closing what is closed
	raw, _ := json.Marshal(m)
	return string(raw)
}

// stall sends the head of a request and most of its body, and no more. It returns when it is answered or cut.
func stall(addr, head string, size int) string {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return err.Error()
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(6 * time.Second)) // the server would wait longer
	_, _ = fmt.Fprintf(conn, "%s\r\nContent-Length: %d\r\n\r\n{\"command\":\"", head, size)
	_, _ = conn.Write([]byte(strings.Repeat("x", size-1000)))
	answer, _ := io.ReadAll(io.LimitReader(conn, 12))
	return string(answer)
}

// TestStalledBodiesCostLittle has 60 clients that stall in the middle of large bodies, to the control API and to a
// toolbox.
func TestStalledBodiesCostLittle(t *testing.T) {
	s := harness.Start(t, harness.Options{Image: harness.Image(t, "", harness.Busybox)})
	c := s.As(t, s.Key)
	box := c.Create(nil)
	proxy, err := url.Parse(box.ToolboxProxyURL)
	if err != nil {
		t.Fatal(err)
	}
	api, err := url.Parse(s.API)
	if err != nil {
		t.Fatal(err)
	}
	before := memory(t, s.Process.PID())
	var all sync.WaitGroup
	for range 60 {
		all.Go(func() {
			stall(api.Host, "POST /api/sandbox HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "+s.Key, 15<<20)
		})
		all.Go(func() {
			stall(proxy.Host, "POST /toolbox/"+box.ID+"/process/execute HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "+s.Key,
				8<<20-10)
		})
	}
	stalled := make(chan struct{})
	go func() { all.Wait(); close(stalled) }()
	worst := 0
	for open := true; open; {
		select {
		case <-stalled:
			open = false
		case <-time.After(500 * time.Millisecond):
		}
		worst = max(worst, memory(t, s.Process.PID()))
		if code, out := box.Exec("echo fine"); code != 0 || strings.TrimSpace(out) != "fine" {
			t.Fatalf("a command beside stalled bodies: %d %q", code, out)
		}
		c.API("GET", "/sandbox/"+box.ID, nil).Want(200)
	}
	t.Logf("Sandlot's memory: %d MiB before, %d MiB at most", before, worst)
	if worst-before > 150 {
		t.Errorf("120 stalled bodies cost %d MiB of the server", worst-before)
	}
	peak, err := strconv.Atoi(strings.Fields(box.MustExec("grep VmHWM: /proc/1/status"))[1])
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("the toolbox's memory: %d MiB at most", peak>>10)
	if peak>>10 > 200 {
		t.Errorf("60 stalled bodies cost %d MiB of the toolbox", peak>>10)
	}
}

// memory is the resident memory of a process, in MiB.
func memory(t *testing.T, pid int) int {
	t.Helper()
	raw, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(raw), "VmRSS:")
	n, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		t.Fatal(err)
	}
	return n >> 10
}
