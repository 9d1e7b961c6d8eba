//go:build e2e

package e2e_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sandlot-dev/sandlot/api"
	"github.com/sandlot-dev/sandlot/tests/harness"
)

const secretHeader = "X-Sandlot-Secret"

func hashOf(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

// operations are all of the toolbox's, from its own description, with some value for each parameter.
func operations(t *testing.T) (all [][2]string) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(harness.Root(), "api/openapi/toolbox.gen.json"))
	if err != nil {
		t.Fatal(err)
	}
	var doc struct{ Paths map[string]map[string]any }
	if err := json.Unmarshal(data, &doc); err != nil || len(doc.Paths) < 50 {
		t.Fatal(err, len(doc.Paths))
	}
	fill := strings.NewReplacer("{port}", "3000", "{", "", "}", "")
	for path, methods := range doc.Paths {
		for method := range methods {
			all = append(all, [2]string{strings.ToUpper(method), fill.Replace(path)})
		}
	}
	return append(all, [2]string{"GET", "/proxy/3000/"}, [2]string{"GET", "/none"})
}

// TestAnUnclaimedToolboxWaitsForItsSandbox starts a toolbox ahead of its sandbox, tries what it must refuse, and
// claims it.
func TestAnUnclaimedToolboxWaitsForItsSandbox(t *testing.T) {
	d, p := straight(t, "SANDLOT_CLAIM_SHA256="+hashOf("born"), "FROM_IMAGE=kept", "OVER=old")
	claimer := d.with(secretHeader, "born")
	for _, op := range operations(t) {
		if op[1] == "/version" || op[1] == "/init" {
			continue
		}
		for _, who := range []*daemon{d, claimer} {
			if op[0] == "HEAD" {
				if res, err := who.open(op[0], op[1], nil); err != nil || res.StatusCode != 503 {
					t.Errorf("%v before the claim: %v %v", op, res, err)
				}
			} else if a := who.ask(op[0], op[1], nil); a.status != 503 || a.Code != "SERVICE_UNAVAILABLE" {
				t.Errorf("%v before the claim: %v", op, a)
			}
		}
	}
	if a := d.ask("GET", "/version", nil); a.status != 200 || !strings.Contains(string(a.body), `"state":"unclaimed"`) {
		t.Errorf("version before the claim: %v; want it to say that this is no sandbox yet", a)
	}
	work := t.TempDir()
	claim := api.InitializeRequest{
		Token: "tok", SandboxID: "sb-1", Env: map[string]string{"OVER": "new", "A": "1 2"}, WorkDir: work,
		SecretHash: hashOf("access"),
		Entrypoint: []string{"/bin/sh", "-c", `echo "$DAYTONA_SANDBOX_ID $FROM_IMAGE $OVER $A $(pwd)"; exec sleep 1000`},
	}
	for name, body := range map[string]any{
		"no body": nil, "no JSON": strings.NewReader("{"), "wrong type": strings.NewReader(`{"env":["A=1"]}`),
		"wrong type of token": strings.NewReader(`{"token":5}`),
		"bad name":            api.InitializeRequest{Env: map[string]string{"A=B": "c"}},
		"NUL":                 api.InitializeRequest{Env: map[string]string{"A": "b\x00"}},
		"NUL in the id":       api.InitializeRequest{SandboxID: "a\x00"}, "no hash": api.InitializeRequest{SecretHash: "abc"},
		"relative folder": api.InitializeRequest{WorkDir: "tmp"},
		"missing folder":  api.InitializeRequest{WorkDir: work + "/none"},
	} {
		if a := claimer.ask("POST", "/init", body); a.status != 400 ||
			!strings.Contains(string(a.body), `"source":"DAYTONA_DAEMON"`) {
			t.Errorf("%s: %v", name, a)
		}
	}
	for _, who := range []*daemon{
		d, d.with(secretHeader, "wrong"), d.with(secretHeader, ""),
		d.with(secretHeader, hashOf("born")),
	} {
		if a := who.ask("POST", "/init", claim); a.status != 401 || a.Code != "UNAUTHORIZED" {
			t.Errorf("claim without its secret: %v", a)
		}
	}
	if a := d.ask("GET", "/version", nil); a.status != 200 {
		t.Errorf("version of one that waits: %v", a)
	}
	if kids := children(t, p); len(kids) > 0 {
		t.Errorf("it runs %v", kids)
	}

	var mu sync.Mutex
	taken := map[int]int{}
	var all sync.WaitGroup
	for range 8 { // at a time
		all.Go(func() {
			a := claimer.ask("POST", "/init", claim)
			mu.Lock()
			defer mu.Unlock()
			taken[a.status]++
		})
	}
	all.Wait()
	if taken[200] != 1 || taken[409] != 7 {
		t.Errorf("eight claims were answered %v; want one 200 and seven 409", taken)
	}
	mine := d.with(secretHeader, "access")
	for name, tc := range map[string]struct {
		who    *daemon
		body   any
		status int
	}{
		"again": {claimer, claim, 409}, "the token alone, with the claim's secret": {
			claimer,
			map[string]string{"token": "t"},
			409,
		},
		"with the sandbox's secret": {mine, claim, 409}, "as clients send it": {
			mine,
			map[string]string{"token": "t"},
			200,
		}, "nobody": {d, claim, 401},
	} {
		if a := tc.who.ask("POST", "/init", tc.body); a.status != tc.status {
			t.Errorf("%s: %v, want %d", name, a, tc.status)
		}
	}
	for _, who := range []*daemon{d, claimer} {
		for _, path := range []string{"/version", "/work-dir", "/proxy/3000/"} {
			if a := who.ask("GET", path, nil); a.status != 401 {
				t.Errorf("%s after the claim: %v", path, a)
			}
		}
	}
	var dir api.Dir
	if mine.call("GET", "/work-dir", nil, &dir); dir.Dir != work {
		t.Errorf("work folder %q, want %q", dir.Dir, work)
	}
	if code, out := mine.exec(`echo "$DAYTONA_SANDBOX_ID $FROM_IMAGE $OVER $A $(pwd)"; env | grep SANDLOT_CLAIM`); code != 1 || out != "sb-1 kept new 1 2 "+work+"\n" {
		t.Errorf("a command sees %d, %q", code, out)
	}
	if status := mine.call("POST", "/files/upload-v2?path=here", strings.NewReader("x"), nil); status != 200 {
		t.Errorf("upload: %d", status)
	} else if _, err := os.Stat(work + "/here"); err != nil {
		t.Error(err)
	}
	harness.Until(t, 5*time.Second, "the entrypoint's line", func() bool {
		return strings.Contains(mine.text("/process/session/entrypoint/logs"), "sb-1 kept new 1 2 "+work+"\n")
	})
	if log := p.Tail(); strings.Contains(log, "access") || strings.Contains(log, "born") || strings.Contains(log, "tok ") {
		t.Errorf("a secret is in the log: %s", log)
	}
}

// TestAClaimWithNothingKeepsItsSecret: all fields of a claim may be missing.
func TestAClaimWithNothingKeepsItsSecret(t *testing.T) {
	d, _ := straight(t, "SANDLOT_CLAIM_SHA256="+hashOf("born"))
	claimer := d.with(secretHeader, "born")
	if a := claimer.ask("POST", "/init", map[string]any{}); a.status != 200 {
		t.Fatalf("claim: %v", a)
	}
	if a := d.ask("GET", "/version", nil); a.status != 401 {
		t.Errorf("without the secret: %v", a)
	}
	if code, out := claimer.exec("echo $DAYTONA_SANDBOX_ID"); code != 0 || out != "test\n" {
		t.Errorf("%d %q", code, out)
	}
	if a := claimer.ask("POST", "/init", map[string]any{}); a.status != 409 {
		t.Errorf("again: %v", a)
	}
}

// TestAToolboxWithItsSandboxTakesTheTokenAlone is what published clients' platforms send.
func TestAToolboxWithItsSandboxTakesTheTokenAlone(t *testing.T) {
	d, _ := straight(t)
	for body, status := range map[string]int{
		`{"token":"t"}`: 200, `{}`: 200, `{"token":null,"other":1}`: 200, ``: 400,
		`{"sandboxId":"x"}`: 409, `{"env":{"A":"b"}}`: 409,
	} {
		if a := d.ask("POST", "/init", strings.NewReader(body)); a.status != status {
			t.Errorf("%s: %v, want %d", body, a, status)
		}
	}
}

// TestAToolboxThatCannotStartSaysSo by the exit code 2, as those who start it expect.
func TestAToolboxThatCannotStartSaysSo(t *testing.T) {
	_, p := straight(t)
	taken := strings.TrimPrefix(strings.Fields(p.Tail()[strings.Index(p.Tail(), "addr="):])[0], "addr=")
	program, err := harness.Bin("toolboxd")
	if err != nil {
		t.Fatal(err)
	}
	for name, start := range map[string]struct{ env, listen string }{
		"address": {"A=b", taken}, "hash": {"SANDLOT_SECRET_SHA256=abc", "127.0.0.1:0"},
		"hash of the claim": {"SANDLOT_CLAIM_SHA256=abc", "127.0.0.1:0"},
		"limit":             {"SANDLOT_OUTPUT_FILE=x", "127.0.0.1:0"},
	} {
		var ended *exec.ExitError
		out, err := harness.Run(nil, []string{start.env}, program, "--listen", start.listen)
		if !errors.As(err, &ended) || ended.ExitCode() != 2 {
			t.Errorf("%s: %v, %s", name, err, out)
		}
	}
}

// TestSlowClaimersHoldNobodyUp: a claim that does not come to its end, with or without the secret, leaves the gate to
// others.
func TestSlowClaimersHoldNobodyUp(t *testing.T) {
	d, _ := straight(t, "SANDLOT_CLAIM_SHA256="+hashOf("born"))
	for _, secret := range []string{"born", "wrong"} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(d.base, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprintf(conn, "POST /init HTTP/1.1\r\nHost: x\r\n%s: %s\r\nContent-Length: 1000\r\n\r\n{\"token\":",
			secretHeader, secret)
	}
	if a := d.with(secretHeader, "born").ask("POST", "/init", map[string]any{}); a.status != 200 || a.took > time.Second {
		t.Errorf("claim: %v", a)
	}
}
