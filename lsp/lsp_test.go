package lsp_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/lsp"
	"github.com/sandlot-dev/sandlot/process"
)

// A bench is a Manager whose language "fake" is played by this binary, and a project.
type bench struct {
	*lsp.Manager
	t       testing.TB
	dir     string // of the Manager
	project string // absolute
	log     string
	key     lsp.Key
}

func newBench(t testing.TB, cfg lsp.Config, mode ...string) *bench {
	t.Helper()
	dir := t.TempDir()
	b := &bench{t: t, dir: dir, project: filepath.Join(dir, "app"), log: filepath.Join(dir, "log"), key: lsp.Key{Language: "fake", Project: "app"}}
	if err := os.Mkdir(b.project, 0o755); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	argv := append([]string{self, "fake-server", b.log}, mode...)
	cfg.Dir = dir
	if cfg.Processes == nil {
		cfg.Processes = processes(t, dir, append(os.Environ(), "GORACE=atexit_sleep_ms=0")) // a server ends when it ends
	}
	if cfg.Languages == nil {
		options := func(string) lsp.Options { return lsp.Options{Settings: map[string]any{"a": map[string]any{"b": 7}}} }
		cfg.Languages = []lsp.Language{
			{Name: "fake", Aliases: []string{"fk"}, IDs: map[string]string{".x": "fakex"}, Servers: []lsp.Program{{Argv: []string{"no-such-server"}}, {Argv: argv, Options: options}}},
			{Name: "none", Servers: []lsp.Program{{Argv: []string{"no-such-server"}}}, Install: "get one"},
		}
	}
	b.Manager, err = lsp.NewManager(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

func processes(t testing.TB, dir string, env []string) *process.Manager {
	t.Helper()
	m, err := process.NewManager(process.Config{Dir: dir, Env: env})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(0); err != nil {
			t.Error(err)
		}
	})
	return m
}

// start starts the bench's server.
func (b *bench) start() *lsp.Server {
	b.t.Helper()
	if err := b.Start(context.Background(), b.key); err != nil {
		b.t.Fatal(err)
	}
	s, err := b.Server(b.key)
	if err != nil {
		b.t.Fatal(err)
	}
	return s
}

// file writes a file of the project and returns its path.
func (b *bench) file(name, text string) string {
	b.t.Helper()
	path := filepath.Join(b.project, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		b.t.Fatal(err)
	}
	return path
}

// logged returns the lines of the server's log that begin with a method.
func (b *bench) logged(method string) (lines []string) {
	b.t.Helper()
	data, err := os.ReadFile(b.log)
	if err != nil {
		b.t.Fatal(err)
	}
	for l := range strings.Lines(string(data)) {
		if strings.HasPrefix(l, method+" ") {
			lines = append(lines, l)
		}
	}
	return lines
}

// label asks for completions of a file and returns the first label.
func label(t testing.TB, s *lsp.Server, path string) string {
	t.Helper()
	list, err := s.Completions(t.Context(), path, lsp.Position{}, lsp.CompletionContext{})
	if err != nil {
		t.Fatalf("completions of %s: %v", path, err)
	}
	if len(list.Items) == 0 {
		return ""
	}
	return list.Items[0].Label
}

func complete(ctx context.Context, s *lsp.Server, path string) error {
	_, err := s.Completions(ctx, path, lsp.Position{}, lsp.CompletionContext{})
	return err
}

// gone waits until a process has ended.
func gone(t testing.TB, pid int) {
	t.Helper()
	fd, err := os.FindProcess(pid)
	if err != nil {
		return
	}
	for deadline := time.Now().Add(5 * time.Second); fd.Signal(syscall.Signal(0)) == nil; runtime.Gosched() {
		state, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if strings.Contains(string(state), ") Z ") {
			return // nobody reaps here
		}
		if time.Now().After(deadline) {
			t.Fatalf("process %d is still there", pid)
		}
	}
}

func TestStartsOfOneKeyShareAServer(t *testing.T) {
	b := newBench(t, lsp.Config{})
	var starting sync.WaitGroup
	for range 20 {
		starting.Go(func() {
			if err := b.Start(t.Context(), lsp.Key{Language: "FK", Project: "app"}); err != nil {
				t.Error(err)
			}
		})
	}
	starting.Wait()
	if n := len(b.logged("initialize")); n != 1 || len(b.Servers()) != 1 {
		t.Errorf("%d processes for %v", n, b.Servers())
	}
	if err := b.Start(t.Context(), lsp.Key{Language: "fake", Project: b.project}); err != nil {
		t.Fatal(err)
	}
	if n := len(b.logged("initialize")); n != 2 {
		t.Errorf("%d processes for two projects as given", n)
	}
	if init := b.logged("initialize")[0]; !strings.Contains(init, `"rootUri":"file://`+b.project+`"`) || !strings.Contains(init, `"processId":null`) {
		t.Errorf("initialize: %s", init)
	}
}

func TestBadInputIsRefusedWithWhatToDo(t *testing.T) {
	b := newBench(t, lsp.Config{})
	b.file("plain", "")
	for _, tc := range []struct {
		name string
		key  lsp.Key
		kind fault.Kind
		text string
	}{
		{"unknown language", lsp.Key{Language: "cobol", Project: "app"}, fault.Invalid, "use one of fake, none"},
		{"no server", lsp.Key{Language: "none", Project: "app"}, fault.NotBuilt, "install one by `get one`"},
		{"no project", lsp.Key{Language: "fake"}, fault.Invalid, "pathToProject"},
		{"missing project", lsp.Key{Language: "fake", Project: "nowhere"}, fault.NotFound, "nowhere"},
		{"project is a file", lsp.Key{Language: "fake", Project: "app/plain"}, fault.Invalid, "not a folder"},
		{"NUL", lsp.Key{Language: "fake", Project: "a\x00b"}, fault.Invalid, "NUL"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := b.Start(t.Context(), tc.key)
			if fault.KindOf(err) != tc.kind || !strings.Contains(err.Error(), tc.text) {
				t.Errorf("%v %v, want %v with %q", fault.KindOf(err), err, tc.kind, tc.text)
			}
		})
	}
	if len(b.Servers()) != 0 {
		t.Errorf("%v are there", b.Servers())
	}
	if _, err := b.Server(b.key); !errors.Is(err, lsp.ErrNotStarted) || fault.CodeOf(err) != "LSP_SERVER_NOT_INITIALIZED" {
		t.Errorf("before start: %v", err)
	}
	if err := b.Stop(b.key); err != nil {
		t.Errorf("stop of what is not started: %v", err)
	}

	s := b.start()
	fifo := filepath.Join(b.project, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	big := b.file("big.x", "")
	if err := os.Truncate(big, 5<<20); err != nil {
		t.Fatal(err)
	}
	one := b.file("one.x", "a\r\nb")
	for _, tc := range []struct {
		name, path string
		at         lsp.Position
		kind       fault.Kind
	}{
		{"missing", "nothing.x", lsp.Position{}, fault.NotFound},
		{"FIFO", fifo, lsp.Position{}, fault.Invalid},
		{"folder", b.project, lsp.Position{}, fault.Invalid},
		{"too large", big, lsp.Position{}, fault.TooLarge},
		{"line behind the end", one, lsp.Position{Line: 2}, fault.Invalid},
		{"negative", one, lsp.Position{Character: -1}, fault.Invalid},
		{"long path", strings.Repeat("a/", 3000), lsp.Position{}, fault.Invalid},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := s.Completions(t.Context(), tc.path, tc.at, lsp.CompletionContext{})
			if fault.KindOf(err) != tc.kind {
				t.Errorf("%v %v, want %v", fault.KindOf(err), err, tc.kind)
			}
		})
	}
	if _, err := s.References(t.Context(), one, lsp.Position{}, true); fault.KindOf(err) != fault.Unprocessable {
		t.Errorf("what the server has not: %v", err)
	}
	if _, err := s.Rename(t.Context(), one, lsp.Position{}, "x"); fault.KindOf(err) != fault.Unprocessable {
		t.Errorf("a rename of files: %v", err)
	}
	if _, err := s.Format(t.Context(), one, lsp.FormatOptions{}); !fault.Retryable(err) {
		t.Errorf("content modified: %v", err)
	}
}

func TestAServerThatDoesNotComeUpIsToldWithItsStderr(t *testing.T) {
	b := newBench(t, lsp.Config{}, "dies")
	err := b.Start(t.Context(), b.key)
	if !errors.Is(err, lsp.ErrCrashed) || !strings.Contains(err.Error(), "code 5") || !strings.HasSuffix(err.Error(), "no licence") {
		t.Errorf("%v", err)
	}
	if len(err.Error()) > 9<<10 || len(b.Servers()) != 0 {
		t.Errorf("the error has %d bytes; servers are %v", len(err.Error()), b.Servers())
	}
}

func TestStartTakesNoLongerThanItMay(t *testing.T) {
	b := newBench(t, lsp.Config{Timeout: 100 * time.Millisecond}, "mute")
	if err := b.Start(t.Context(), b.key); !errors.Is(err, lsp.ErrTimeout) {
		t.Errorf("%v", err)
	}
}

// TestRequestsWaitForInitialized also looks that a start goes on when its caller has left.
func TestRequestsWaitForInitialized(t *testing.T) {
	gate := filepath.Join(t.TempDir(), "gate")
	if err := syscall.Mkfifo(gate, 0o600); err != nil {
		t.Fatal(err)
	}
	b := newBench(t, lsp.Config{}, "slow", gate)
	path := b.file("a.x", "text")
	ctx, leave := context.WithCancel(t.Context())
	var waiting sync.WaitGroup
	waiting.Go(func() {
		if err := b.Start(ctx, b.key); !errors.Is(err, context.Canceled) {
			t.Errorf("start of one who left: %v", err)
		}
	})
	open, err := os.OpenFile(gate, os.O_WRONLY, 0) // returns when the server waits there
	if err != nil {
		t.Fatal(err)
	}
	leave()
	waiting.Wait()
	s, err := b.Server(b.key)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		waiting.Go(func() {
			if got := label(t, s, path); got != "text" {
				t.Errorf("label %q", got)
			}
		})
	}
	open.Close()
	waiting.Wait()
	if n := len(b.logged("initialize")); n != 1 {
		t.Errorf("%d processes", n)
	}
}

func TestAnswersOfEachFormAreTaken(t *testing.T) {
	b := newBench(t, lsp.Config{})
	s := b.start()
	for _, tc := range []struct {
		text  string
		count int
		first string
		doc   string
	}{
		{"array", 1, "a", `"d"`},
		{"null", 0, "", ""},
		{"plain", 1, "plain", `{"kind":"markdown","value":"d"}`},
		{"many", 5000, "a", ""},
	} {
		list, err := s.Completions(t.Context(), b.file("a.x", tc.text), lsp.Position{}, lsp.CompletionContext{})
		if err != nil || list.Items == nil || len(list.Items) != tc.count || list.IsIncomplete != (tc.count == 5000) {
			t.Errorf("%s: %d items, incomplete %t, %v", tc.text, len(list.Items), list.IsIncomplete, err)
			continue
		}
		if tc.count > 0 && (list.Items[0].Label != tc.first || string(list.Items[0].Documentation) != tc.doc) {
			t.Errorf("%s: %+v", tc.text, list.Items[0])
		}
	}
	if err := complete(t.Context(), s, b.file("a.x", "string")); fault.KindOf(err) != fault.Upstream || errors.Is(err, lsp.ErrCrashed) {
		t.Errorf("an answer that is none: %v", err)
	}

	found, err := s.DocumentSymbols(t.Context(), b.file("b c%.x", "x"))
	want := []lsp.Symbol{
		{Name: "Outer", Kind: 5, Location: lsp.Location{URI: "file://" + b.project + "/b%20c%25.x", Range: lsp.Range{End: lsp.Position{Line: 2, Character: 4}}}},
		{Name: "Inner", Kind: 6, ContainerName: "Outer", Location: lsp.Location{URI: "file://" + b.project + "/b%20c%25.x", Range: lsp.Range{Start: lsp.Position{Line: 1, Character: 2}, End: lsp.Position{Line: 1, Character: 9}}}},
	}
	if err != nil || fmt.Sprint(found.List) != fmt.Sprint(want) {
		t.Errorf("flattened: %v, %v", found, err)
	}
	places, err := s.Definition(t.Context(), b.file("a.x", "x"), lsp.Position{})
	if err != nil || len(places.List) != 1 || places.List[0].URI != "file:///a%20b.x" || places.List[0].Range.Start.Character != 2 {
		t.Errorf("a link: %v, %v", places, err)
	}
	if hover, err := s.Hover(t.Context(), b.file("a.x", "x"), lsp.Position{}); err != nil || hover.Contents != "plain\n\n```go\nx\n```" {
		t.Errorf("hover %q, %v", hover.Contents, err)
	}
}

func TestRequestsOfTheServerAreAnswered(t *testing.T) {
	b := newBench(t, lsp.Config{})
	s := b.start()
	for request, want := range map[string]string{
		`workspace/configuration {"items":[{"section":"a.b"},{"section":"a"},{"section":"c"},{}]}`: `[7,{"b":7},null,null]`,
		`client/registerCapability {"registrations":[]}`:                                           `null`,
		`window/workDoneProgress/create {"token":1}`:                                               `null`,
		`workspace/workspaceFolders null`:                                                          `[{"name":"app","uri":"file://` + b.project + `"}]`,
		`workspace/applyEdit {}`:                                                                   `{"applied":false,"failureReason":"this client changes no files"}`,
		`workspace/semanticTokens/refresh null`:                                                    `null`,
		`window/showMessageRequest {}`:                                                             `null`,
		`custom/what {}`:                                                                           `{"code":-32601,"message":"not supported: custom/what"}`,
	} {
		got := label(t, s, b.file("a.x", "ask "+request))
		if _, answer, _ := strings.Cut(got[1:], `"`); answer != want {
			t.Errorf("%s: %s, want %s", request, got, want)
		}
	}
}

func TestACrashIsSurvivedOnceInACall(t *testing.T) {
	b := newBench(t, lsp.Config{})
	s := b.start()
	kept := b.file("kept.x", "kept")
	if err := s.OpenDocument(t.Context(), kept); err != nil {
		t.Fatal(err)
	}
	if err := s.ChangeDocument(t.Context(), b.project+"/unsaved.x", "not on disk"); err != nil {
		t.Fatal(err)
	}
	mark := filepath.Join(t.TempDir(), "mark")
	text := "crash-once " + mark
	if got := label(t, s, b.file("a.x", text)); got != text {
		t.Errorf("label %q", got)
	}
	if inits, opens := len(b.logged("initialize")), b.logged("textDocument/didOpen"); inits != 2 || strings.Count(strings.Join(opens, ""), "kept.x") != 2 || strings.Count(strings.Join(opens, ""), "not on disk") != 2 {
		t.Errorf("%d processes, opened %s", inits, opens)
	}
	if got := label(t, s, b.project+"/unsaved.x"); got != "not on disk" {
		t.Errorf("unsaved text is %q after a restart", got)
	}

	err := complete(t.Context(), s, b.file("a.x", "crash"))
	if !errors.Is(err, lsp.ErrCrashed) || !strings.Contains(err.Error(), "code 3") || !strings.Contains(err.Error(), "boom") {
		t.Errorf("a server that always crashes: %v", err)
	}
	if n := len(b.logged("initialize")); n != 3 {
		t.Errorf("%d processes, want one more", n)
	}
	if got := label(t, s, kept); got != "kept" {
		t.Errorf("label %q after two crashes", got)
	}
}

func TestKillBetweenCallsIsSurvived(t *testing.T) {
	b := newBench(t, lsp.Config{})
	s := b.start()
	path := b.file("a.x", "pid")
	for range 5 {
		pid, err := strconv.Atoi(label(t, s, path))
		if err != nil {
			t.Fatal(err)
		}
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
	label(t, s, path)
}

func TestWhatIsNotTheProtocolEndsTheServer(t *testing.T) {
	b := newBench(t, lsp.Config{})
	s := b.start()
	for act, says := range map[string]string{
		"garbage": `"Traceback, most recent call last"`, "half": "exited with code 0", "header": "a header of more than 4096",
		"huge": "99999999999 bytes", "neither": "none of the protocol",
	} {
		err := complete(t.Context(), s, b.file("a.x", act))
		if !errors.Is(err, lsp.ErrCrashed) || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, want %s", act, err, says)
		}
	}
	if got := label(t, s, b.file("a.x", "fine")); got != "fine" {
		t.Errorf("label %q", got)
	}
}

func TestARequestEndsWithItsCallerOrItsDeadline(t *testing.T) {
	b := newBench(t, lsp.Config{})
	s := b.start()
	hang, fine := b.file("h.x", "hang"), b.file("a.x", "fine")
	ctx, cancel := context.WithCancelCause(t.Context())
	var waiting sync.WaitGroup
	waiting.Go(func() {
		if err := complete(ctx, s, hang); !errors.Is(err, io.ErrNoProgress) {
			t.Errorf("a request that was called off: %v", err)
		}
	})
	for len(b.logged("textDocument/completion")) == 0 { // it is on its way
		runtime.Gosched()
	}
	cancel(io.ErrNoProgress)
	waiting.Wait()
	label(t, s, fine)
	if calledOff := b.logged("$/cancelRequest"); len(calledOff) != 1 {
		t.Errorf("the server was told %v", calledOff)
	}
	for i := range 3 {
		short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		if err := complete(short, s, hang); !errors.Is(err, lsp.ErrTimeout) {
			t.Errorf("request %d: %v", i, err)
		}
		cancel()
	}
	if got := label(t, s, fine); got != "fine" || len(b.logged("initialize")) != 2 {
		t.Errorf("after three in a row: %q, %d processes", got, len(b.logged("initialize")))
	}
}

// TestAServerThatReadsNothingHoldsNobodyUp fills the pipe to a server.
func TestAServerThatReadsNothingHoldsNobodyUp(t *testing.T) {
	b := newBench(t, lsp.Config{}, "deaf")
	s := b.start()
	path := b.file("a.x", strings.Repeat("x", 3<<20))
	short, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := complete(short, s, path); !errors.Is(err, lsp.ErrTimeout) {
		t.Errorf("%v", err)
	}
	for changes := 0; len(b.logged("initialize")) < 2; changes++ {
		if err := s.ChangeDocument(t.Context(), path, strings.Repeat("y", 3<<20)); err != nil {
			t.Fatal(err)
		}
		if changes > 40 {
			t.Fatal("a server that reads nothing is kept")
		}
	}
}

func TestDocumentsAreAsTheirFilesAre(t *testing.T) {
	b := newBench(t, lsp.Config{})
	s := b.start()
	path := b.file("a.x", "one")
	for i := range 200 { // often within one tick of the file system's clock
		want := fmt.Sprint(1000 + i)
		b.file("a.x", want)
		if got := label(t, s, path); got != want {
			t.Fatalf("the server has %q, the file %q", got, want)
		}
	}
	changes := len(b.logged("textDocument/didChange"))
	label(t, s, path)
	label(t, s, path)
	if n := len(b.logged("textDocument/didChange")); n != changes || len(b.logged("textDocument/didOpen")) != 1 {
		t.Errorf("%d changes of what has not changed", n-changes)
	}

	if err := s.ChangeDocument(t.Context(), path, "mine"); err != nil {
		t.Fatal(err)
	}
	if got := label(t, s, path); got != "mine" {
		t.Errorf("changed to %q", got)
	}
	if err := s.OpenDocument(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	if got := label(t, s, path); got != "1199" {
		t.Errorf("opened again as %q", got)
	}
	if err := s.ChangeDocument(t.Context(), path, "mine"); err != nil {
		t.Fatal(err)
	}
	b.file("a.x", "saved by somebody")
	if got := label(t, s, path); got != "saved by somebody" {
		t.Errorf("after a write to the file: %q", got)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := complete(t.Context(), s, path); !errors.Is(err, lsp.ErrNoFile) {
		t.Errorf("after the file has gone: %v", err)
	}
	if label(t, s, b.file("b.x", "b")); len(b.logged("textDocument/didClose")) != 1 {
		t.Errorf("closed %d times", len(b.logged("textDocument/didClose")))
	}
	if err := s.CloseDocument(t.Context(), path); err != nil {
		t.Errorf("close of what is not open: %v", err)
	}
	if opened := b.logged("textDocument/didOpen")[0]; !strings.Contains(opened, `"languageId":"fakex"`) {
		t.Errorf("opened as %s", opened)
	}
}

func TestOpenDocumentsAreBounded(t *testing.T) {
	b := newBench(t, lsp.Config{})
	s := b.start()
	first := b.file("first.x", "first")
	if err := s.ChangeDocument(t.Context(), b.project+"/mine.x", "mine"); err != nil {
		t.Fatal(err)
	}
	label(t, s, first)
	for i := range 260 {
		label(t, s, b.file(fmt.Sprintf("f%d.x", i), "text"))
	}
	if n := len(b.logged("textDocument/didClose")); n != 262-256 {
		t.Errorf("closed %d", n)
	}
	if got := label(t, s, b.project+"/mine.x"); got != "mine" {
		t.Errorf("what only the server has was closed: %q", got)
	}
	if got := label(t, s, first); got != "first" {
		t.Errorf("opened again as %q", got)
	}
	var err error
	for i := 0; err == nil && i < 100; i++ {
		err = s.ChangeDocument(t.Context(), fmt.Sprintf("c%d.x", i), "x")
	}
	if fault.KindOf(err) != fault.Limited {
		t.Errorf("changed without bound: %v", err)
	}
	if err := s.ChangeDocument(t.Context(), first, strings.Repeat("x", 5<<20)); fault.KindOf(err) != fault.TooLarge {
		t.Errorf("5 MiB: %v", err)
	}
}

func TestPathsMeanWhatCallersMean(t *testing.T) {
	b := newBench(t, lsp.Config{})
	s := b.start()
	b.file("sub/a b.x", "project")
	b.file("100%25.x", "literal")
	b.file("50%.x", "bad escape")
	b.file("漢#?.x", "signs")
	if err := os.WriteFile(filepath.Join(b.dir, "outer.x"), []byte("outer"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"file://" + b.project + "/sub/a b.x":            "project",
		"file://" + b.project + "/sub/a%20b.x":          "project",
		"file://localhost" + b.project + "/sub/a%20b.x": "project",
		"file://sub/a b.x":                              "project",
		"file://app/sub/a%20b.x":                        "project",
		"sub/../sub/a b.x":                              "project",
		"app/sub/a b.x":                                 "project",
		b.project + "/sub/a b.x":                        "project",
		"file://100%25.x":                               "literal",
		"file://50%.x":                                  "bad escape",
		"file://漢#?.x":                                  "signs",
		"file://%E6%BC%A2%23%3F.x":                      "signs",
		"file://outer.x":                                "outer",
		"outer.x":                                       "outer",
	} {
		if got := label(t, s, name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	for _, opened := range b.logged("textDocument/didOpen") {
		if strings.Contains(opened, "signs") && !strings.Contains(opened, `/%E6%BC%A2%23%3F.x"`) {
			t.Errorf("opened as %s", opened)
		}
	}
}

func TestPositionsAreUTF16(t *testing.T) {
	for _, tc := range []struct {
		mode []string
		want string
	}{
		{nil, "0:3 1:2 1:3 1:6 2:1"},
		{[]string{"bytes"}, "0:3 1:4 1:6 1:13 2:1"}, // a server that counts bytes, whatever was agreed
	} {
		b := newBench(t, lsp.Config{}, tc.mode...)
		s := b.start()
		path := b.file("a.x", "at x\n😀é漢b字\r\nz")
		var got []string
		for _, at := range []lsp.Position{
			{Line: 0, Character: 3}, {Line: 1, Character: 2}, {Line: 1, Character: 3}, {Line: 1, Character: 999}, {Line: 2, Character: 1},
		} {
			list, err := s.Completions(t.Context(), path, at, lsp.CompletionContext{})
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, list.Items[0].Label)
		}
		if got := strings.Join(got, " "); got != tc.want {
			t.Errorf("%v: the server was asked for %s, want %s", tc.mode, got, tc.want)
		}
	}
}

func TestStopLeavesNothing(t *testing.T) {
	for _, mode := range []string{"", "stubborn"} {
		before := runtime.NumGoroutine()
		b := newBench(t, lsp.Config{}, strings.Fields(mode)...)
		s := b.start()
		pid, err := strconv.Atoi(label(t, s, b.file("p.x", "pid")))
		if err != nil {
			t.Fatal(err)
		}
		child, err := strconv.Atoi(label(t, s, b.file("c.x", "child")))
		if err != nil {
			t.Fatal(err)
		}
		hang := b.file("h.x", "hang")
		var waiting sync.WaitGroup
		waiting.Go(func() {
			if err := complete(t.Context(), s, hang); !errors.Is(err, lsp.ErrNotStarted) {
				t.Errorf("a request when the server was stopped: %v", err)
			}
		})
		news := s.Subscribe()
		waiting.Go(func() {
			if _, err := news.Next(t.Context()); !errors.Is(err, io.EOF) {
				t.Errorf("a subscription when the server was stopped: %v", err)
			}
		})
		for len(b.logged("textDocument/completion")) < 3 {
			runtime.Gosched()
		}
		began := time.Now()
		if err := b.Stop(b.key); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took > 6*time.Second {
			t.Errorf("it took %v", took)
		}
		waiting.Wait()
		gone(t, pid)
		gone(t, child)
		if err := complete(t.Context(), s, hang); !errors.Is(err, lsp.ErrNotStarted) {
			t.Errorf("a request behind stop: %v", err)
		}
		if mode == "" && len(b.logged("exit")) != 1 {
			t.Error("it was not asked to end")
		}
		b.start() // a new one
		b.Close()
		if err := b.Start(t.Context(), b.key); !errors.Is(err, lsp.ErrClosed) {
			t.Errorf("start behind Close: %v", err)
		}
		for deadline := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > before+1; runtime.Gosched() {
			if time.Now().After(deadline) {
				stacks := make([]byte, 1<<20)
				t.Fatalf("%d goroutines, %d before:\n%s", runtime.NumGoroutine(), before, stacks[:runtime.Stack(stacks, true)])
			}
		}
	}
}

func TestServersAreBounded(t *testing.T) {
	b := newBench(t, lsp.Config{})
	var starting sync.WaitGroup
	for i := range lsp.MaxServers {
		dir := filepath.Join(b.dir, fmt.Sprint(i))
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		starting.Go(func() {
			if err := b.Start(t.Context(), lsp.Key{Language: "fake", Project: dir}); err != nil {
				t.Error(err)
			}
		})
	}
	starting.Wait()
	if err := b.Start(t.Context(), b.key); fault.KindOf(err) != fault.Limited {
		t.Errorf("one more: %v", err)
	}
	if err := b.Stop(lsp.Key{Language: "fake", Project: filepath.Join(b.dir, "0")}); err != nil {
		t.Error(err)
	}
	if err := b.Start(t.Context(), b.key); err != nil {
		t.Errorf("in the place of one that was stopped: %v", err)
	}
}

func TestDiagnosticsArePublished(t *testing.T) {
	b := newBench(t, lsp.Config{})
	s := b.start()
	path := b.file("a.x", "publish first")
	list, err := s.Diagnostics(t.Context(), path)
	if err != nil || len(list) != 1 || list[0].Message != "first" {
		t.Fatalf("%v, %v", list, err)
	}
	b.file("a.x", "publish second")
	if list, err = s.Diagnostics(t.Context(), path); err != nil || len(list) != 1 || list[0].Message != "second" {
		t.Fatalf("after a change: %v, %v", list, err)
	}
	news := s.Subscribe()
	if got, err := news.Next(t.Context()); err != nil || got.URI != "file://"+path || got.Version != 2 || got.Diagnostics[0].Message != "second" || got.Lost {
		t.Errorf("what is known already: %+v, %v", got, err)
	}
	for i := range 5 { // all but the last are replaced before they are read
		b.file("a.x", fmt.Sprint("publish ", i))
		label(t, s, path)
	}
	if got, err := news.Next(t.Context()); err != nil || got.Diagnostics[0].Message != "4" {
		t.Errorf("behind five changes: %+v, %v", got, err)
	}
	short, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if got, err := news.Next(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("nothing is new: %+v, %v", got, err)
	}
	quiet, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := s.Diagnostics(quiet, b.file("b.x", "silent")); !errors.Is(err, lsp.ErrTimeout) {
		t.Errorf("a server that publishes nothing: %v", err)
	}
	late := s.Subscribe()
	for i := range 1100 {
		if err := s.ChangeDocument(t.Context(), fmt.Sprintf("many%d.x", i), "publish x"); err != nil {
			t.Fatal(err)
		}
		if err := s.CloseDocument(t.Context(), fmt.Sprintf("many%d.x", i)); err != nil {
			t.Fatal(err)
		}
	}
	label(t, s, path)
	if got, err := late.Next(t.Context()); err != nil || !got.Lost {
		t.Errorf("beyond the limit: %+v, %v", got, err)
	}
}

// TestWorkspaceSymbolsOfAServerWithoutASearch looks that files are asked about once.
func TestWorkspaceSymbolsOfAServerWithoutASearch(t *testing.T) {
	b := newBench(t, lsp.Config{})
	s := b.start()
	for i := range 20 {
		b.file(fmt.Sprintf("d/f%d.x", i), "class Outer")
	}
	b.file("node_modules/n.x", "class Outer")
	b.file(".hidden/n.x", "class Outer")
	b.file("other.x", "nothing")
	b.file("other.txt", "class Outer")
	for range 2 {
		found, err := s.WorkspaceSymbols(t.Context(), "oUTer")
		if err != nil || len(found.List) != 20 || found.Truncated || found.List[0].Name != "Outer" {
			t.Fatalf("%d, %v", len(found.List), err)
		}
	}
	if n := len(b.logged("textDocument/documentSymbol")); n > 40 || n < 20 {
		t.Errorf("asked %d times", n)
	}
	label(t, s, b.project+"/other.txt") // whatever was sent before has come
	if opens, closes := len(b.logged("textDocument/didOpen")), len(b.logged("textDocument/didClose")); opens != closes+1 {
		t.Errorf("%d opened, %d closed", opens, closes)
	}
	if found, err := s.WorkspaceSymbols(t.Context(), "nowhere"); err != nil || found.List == nil || len(found.List) != 0 {
		t.Errorf("%v, %v", found, err)
	}
	if found, err := s.WorkspaceSymbols(t.Context(), ""); err != nil || len(found.List) != 42 {
		t.Errorf("all: %d, %v", len(found.List), err)
	}
}
