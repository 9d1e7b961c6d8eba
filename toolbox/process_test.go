package toolbox_test

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	osexec "os/exec"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/sandlot-dev/sandlot/api"
	"github.com/sandlot-dev/sandlot/process"
	"github.com/sandlot-dev/sandlot/process/journal"
	"github.com/sandlot-dev/sandlot/toolbox"
)

// post sends a JSON body and decodes the answer into out, if there is one.
func post(t *testing.T, url string, in, out any, header ...string) *http.Response {
	t.Helper()
	body, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	res, text := call(t, "POST", url, strings.NewReader(string(body)), header...)
	if out != nil {
		if err := json.Unmarshal([]byte(text), out); err != nil {
			t.Fatalf("POST %s: %v in %.300s", url, err, text)
		}
	}
	return res
}

// failed is what clients read of an error body, and what a timeout adds.
type failed struct {
	StatusCode            int
	Message, Code, Source string
	Result                string
	TimedOut              bool
}

func TestExecute(t *testing.T) {
	base, dir := filesServer(t)
	for _, tc := range []struct {
		name   string
		req    string
		code   int
		result string
	}{
		{"output and code", `{"command":"echo out; echo err >&2; exit 7"}`, 7, "out\nerr\n"},
		{"work dir", `{"command":"pwd"}`, 0, dir + "\n"},
		{"relative folder", `{"command":"pwd","cwd":"."}`, 0, dir + "\n"},
		{"environment", `{"command":"echo $A","envs":{"A":"b c"},"cwd":null}`, 0, "b c\n"},
		{"script with stdin", `{"command":"read x\necho \"[$x]\"\ncat\necho end"}`, 0, "[]\nend\n"},
		{"not found", `{"command":"no-such-thing 2>/dev/null"}`, 127, ""},
		{"killed", `{"command":"kill -9 $$"}`, 137, ""},
		{
			"bad folder", `{"command":"pwd","cwd":"/no/such"}`, -1,
			"folder /no/such does not exist or cannot be entered: make it, or give another cwd\n",
		},
		{"not UTF-8", `{"command":"printf 'a\\377\\303\\050\\342\\202'"}`, 0, "a\uFFFD\uFFFD(\uFFFD\uFFFD"},
		{"escapes", `{"command":"printf '\"\\\\\\\\\\001\\t<>&é'"}`, 0, "\"\\\\\x01\t<>&é"},
		{"background", `{"command":"sleep 30 & echo on"}`, 0, "on\n"},
		{"timeout as a float", `{"command":"echo a","timeout":10.0}`, 0, "a\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			res, text := call(t, "POST", base+"/process/execute", strings.NewReader(tc.req))
			var got api.ExecuteResponse
			if err := json.Unmarshal([]byte(text), &got); err != nil {
				t.Fatalf("%v in %q", err, text)
			}
			// A character cut off at the end may be one replacement or one per byte; both are true.
			got.Result = strings.TrimRight(got.Result, "\uFFFD")
			if res.StatusCode != 200 || got.ExitCode != tc.code || got.Result != strings.TrimRight(tc.result, "\uFFFD") {
				t.Errorf("%d, %d, %q; want 200, %d, %q", res.StatusCode, got.ExitCode, got.Result, tc.code, tc.result)
			}
		})
	}
}

func TestExecuteRefuses(t *testing.T) {
	base, _ := filesServer(t)
	for _, req := range []string{
		``, `[]`, `{}`, `{"command":""}`, `{"command":"  "}`, `{"command":1}`, `{"command":"a","timeout":-1}`,
		`{"command":"a","timeout":1.5}`,
		`{"command":"a","timeout":"1"}`, `{"command":"a","envs":{"A=B":"c"}}`, `{"command":"a","envs":{"":"c"}}`,
		`{"command":"a","envs":{"A":"\u0000"}}`, `{"command":"a","envs":["x"]}`, `{"command":"a\u0000b"}`, `{"command":`,
	} {
		res, text := call(t, "POST", base+"/process/execute", strings.NewReader(req))
		var got failed
		if err := json.Unmarshal([]byte(text), &got); err != nil || res.StatusCode != 400 || got.StatusCode != 400 ||
			got.Source != "DAYTONA_DAEMON" {
			t.Errorf("%s: %d, %s", req, res.StatusCode, text)
		}
	}
}

func TestTimeoutKeepsTheOutput(t *testing.T) {
	base, _ := filesServer(t)
	var got failed
	res := post(t, base+"/process/execute", api.ExecuteRequest{Command: "echo part; sleep 60 & sleep 60", Timeout: 1},
		&got)
	if res.StatusCode != 408 || got.StatusCode != 408 || got.Code != "PROCESS_EXECUTION_TIMEOUT" ||
		got.Result != "part\n" || !got.TimedOut {
		t.Errorf("%d, %+v", res.StatusCode, got)
	}
}

func TestSplitAnswersBothStreams(t *testing.T) {
	base, _ := filesServer(t)
	var got api.ExecuteResponse
	post(t, base+"/process/execute", api.ExecuteRequest{Command: "echo out; echo err >&2", Split: true}, &got)
	if got.Stdout == nil || *got.Stdout != "out\n" || got.Stderr == nil || *got.Stderr != "err\n" || len(got.Result) != 8 {
		t.Errorf("%+v", got)
	}
}

func TestCodeRun(t *testing.T) {
	base, _ := filesServer(t)
	for _, tc := range []struct {
		name   string
		req    api.CodeRunRequest
		code   int
		result string
	}{
		{
			"python",
			api.CodeRunRequest{
				Language: "python",
				Code:     "import sys\nprint(sys.argv, __name__, sys.stdin.read())", Argv: []string{"a b", "$X;"},
			},
			0,
			"['-', 'a b', '$X;'] __main__ \n",
		},
		{
			"python error",
			api.CodeRunRequest{Language: "python", Code: "1/0"},
			1,
			"Traceback (most recent call last):\n  File \"<stdin>\", line 1, in <module>\n    1/0\n    ~^~\nZeroDivisionError: division by zero\n",
		},
		{"python exit", api.CodeRunRequest{
			Language: "python", Code: "import os; os._exit(3)",
			Envs: map[string]string{"A": "b"},
		}, 3, ""},
		{"javascript", api.CodeRunRequest{
			Language: "javascript",
			Code:     "'use strict'; console.log(process.argv.slice(1), (function(){return this})())", Argv: []string{
				"a b",
				"-x",
			},
		}, 0, "[ 'a b', '-x' ] undefined\n"},
		{
			"javascript that begins like an option",
			api.CodeRunRequest{Language: "javascript", Code: "-1; console.log(7)"},
			0, "7\n",
		},
		{
			"long javascript",
			api.CodeRunRequest{
				Language: "javascript",
				Code:     "#!x\nconsole.log(process.argv.slice(1)) //" + strings.Repeat("x", 200_000), Argv: []string{"a b"},
			},
			0,
			"[ 'a b' ]\n",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if _, err := osexec.LookPath(map[string]string{
				"python":     "python3",
				"javascript": "node",
			}[tc.req.Language]); err != nil {
				t.Skip(err)
			}
			var got api.ExecuteResponse
			post(t, base+"/process/code-run", tc.req, &got)
			if got.ExitCode != tc.code || got.Result != tc.result {
				t.Errorf("%d, %q; want %d, %q", got.ExitCode, got.Result, tc.code, tc.result)
			}
		})
	}
	for _, language := range []string{"", "Python", "ruby"} {
		if res := post(t, base+"/process/code-run", api.CodeRunRequest{Language: language, Code: "1"},
			nil); res.StatusCode != 400 {
			t.Errorf("language %q: %d, want 400", language, res.StatusCode)
		}
	}
}

// randomFile writes random bytes as text: bytes of UTF-8, since JSON carries no others.
func randomFile(t *testing.T, size int) (path string, sum [32]byte) {
	t.Helper()
	data := make([]byte, 0, size+utf8.UTFMax)
	rnd := rand.New(rand.NewPCG(3, 4))
	for len(data) < size {
		r := rune(rnd.IntN(0x400))
		if rnd.IntN(50) == 0 {
			r = rune(0x10000 + rnd.IntN(0x1000))
		}
		data = utf8.AppendRune(data, r)
	}
	path = filepath.Join(t.TempDir(), "data")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path, sha256.Sum256(data)
}

func TestLargeOutputIsWhole(t *testing.T) {
	base, _ := filesServer(t)
	size := 100 << 20
	if testing.Short() || os.Getenv("SANDLOT_FULL") == "" {
		size = 10 << 20
	}
	path, want := randomFile(t, size)
	var got api.ExecuteResponse
	post(t, base+"/process/execute", api.ExecuteRequest{Command: "cat " + path}, &got)
	if sha256.Sum256([]byte(got.Result)) != want || got.Truncated {
		t.Errorf("%d bytes came, others than the %d written", len(got.Result), size)
	}
}

func TestDroppedOutputIsMarked(t *testing.T) {
	base := newServer(t, process.Config{Limits: journal.Limits{Memory: 128 << 10, File: 1 << 20}})
	var got api.ExecuteResponse
	post(t, base+"/process/execute", api.ExecuteRequest{Command: "head -c 5M /dev/zero | tr '\\0' x; echo end"}, &got)
	notice := fmt.Sprintf("[sandlot: %d bytes of output were dropped here", got.DroppedBytes)
	if !got.Truncated || got.DroppedBytes < 3<<20 || !strings.HasPrefix(got.Result, notice) ||
		!strings.HasSuffix(got.Result, "xend\n") {
		t.Errorf("truncated %v, dropped %d, begins %.100q", got.Truncated, got.DroppedBytes, got.Result)
	}
}

// newServer serves a toolbox whose processes are as cfg says.
func newServer(t testing.TB, cfg process.Config) (base string) {
	t.Helper()
	// not what the machine's user has in start-up files
	cfg.Dir, cfg.Env = t.TempDir(), append(os.Environ(), "HOME="+t.TempDir())
	processes, err := process.NewManager(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = processes.Close(0) })
	s, err := toolbox.New(toolbox.Config{
		WorkDir: cfg.Dir, Home: "/", Version: "v0",
		Logger: slog.New(slog.DiscardHandler), Process: processes,
	})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(s.Handler())
	t.Cleanup(srv.Close)
	return srv.URL
}

func TestIdempotencyKey(t *testing.T) {
	base := newServer(t, process.Config{})
	var first, second api.ExecuteResponse
	req := api.ExecuteRequest{Command: "echo $RANDOM$RANDOM$RANDOM"}
	post(t, base+"/process/execute", req, &first, "Idempotency-Key", "a")
	post(t, base+"/process/execute", req, &second, "Idempotency-Key", "a")
	if first.Result == "" || first.Result != second.Result {
		t.Errorf("one key gave %q and %q", first.Result, second.Result)
	}
	if res := post(t, base+"/process/execute", api.ExecuteRequest{Command: "true"}, nil, "Idempotency-Key",
		"a"); res.StatusCode != 422 {
		t.Errorf("the key with another command: %d, want 422", res.StatusCode)
	}
}
