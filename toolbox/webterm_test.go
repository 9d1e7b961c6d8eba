package toolbox_test

import (
	"log/slog"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/gorilla/websocket"

	"github.com/sandlot-dev/sandlot/process"
	"github.com/sandlot-dev/sandlot/toolbox"
)

func newTerminalServer(t *testing.T, secretHash string) string {
	t.Helper()
	processes, err := process.NewManager(process.Config{Dir: t.TempDir(), Env: append(os.Environ(), "HOME="+t.TempDir())})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = processes.Close(0) })
	s, err := toolbox.New(toolbox.Config{
		WorkDir: "/", Home: "/", Version: "v0", SecretHash: secretHash,
		Logger: slog.New(slog.DiscardHandler), Process: processes,
	})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(s.TerminalHandler())
	t.Cleanup(srv.Close)
	return srv.URL
}

func TestWebTerminalPageIsWhole(t *testing.T) {
	base := newTerminalServer(t, "")
	res, page := call(t, "GET", base+"/", nil)
	if res.StatusCode != 200 || !strings.HasPrefix(res.Header.Get("Content-Type"), "text/html") {
		t.Fatalf("page: %d, %s", res.StatusCode, res.Header.Get("Content-Type"))
	}
	parts := regexp.MustCompile(`(?:src|href)="([a-z][a-z.-]+)"`).FindAllStringSubmatch(page, -1)
	if len(parts) < 5 {
		t.Errorf("the page has %d parts: %q", len(parts), parts)
	}
	for _, part := range parts {
		if res, text := call(t, "GET", base+"/"+part[1], nil); res.StatusCode != 200 || len(text) < 50 {
			t.Errorf("%s: %d, %d bytes", part[1], res.StatusCode, len(text))
		}
	}
	if regexp.MustCompile(`(src|href)="(https?:)?//`).MatchString(page) {
		t.Error("the page names another host")
	}
}

func TestWebTerminal(t *testing.T) {
	ws, _ := dial(t, newTerminalServer(t, "")+"/ws", nil)
	for _, message := range []string{
		`{"rows":33,"cols":111}`,
		`{"other":1}`,
		"stty size; pwd; printf '\\342\\230\\203\\377'; echo \"{}\"; exit\n",
	} {
		if err := ws.WriteMessage(websocket.TextMessage, []byte(message)); err != nil {
			t.Fatal(err)
		}
	}
	all := ""
	for {
		kind, data, err := ws.ReadMessage()
		if websocket.IsCloseError(err, websocket.CloseNormalClosure) {
			break
		}
		if err != nil || kind != websocket.TextMessage {
			t.Fatalf("kind %d, %v", kind, err)
		}
		all += string(data)
	}
	for _, want := range []string{"33 111\r\n/\r\n", "☃\uFFFD"} {
		if !strings.Contains(all, want) {
			t.Errorf("output %q lacks %q", all, want)
		}
	}
}

func TestWebTerminalNeedsTheSecret(t *testing.T) {
	base := newTerminalServer(t, strings.Repeat("ab", 32))
	for _, path := range []string{"/", "/ws"} {
		if res, _ := call(t, "GET", base+path, nil); res.StatusCode != 401 {
			t.Errorf("%s without the secret: %d", path, res.StatusCode)
		}
	}
}
