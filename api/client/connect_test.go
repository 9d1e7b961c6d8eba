package client_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gorilla/websocket"

	"github.com/sandlot-dev/sandlot/api"
	"github.com/sandlot-dev/sandlot/api/client"
)

// TestConnectTakesNoWordOfAServerOnTrust meets servers that break the protocol: whatever they send, Connect returns
// an error.
func TestConnectTakesNoWordOfAServerOnTrust(t *testing.T) {
	for _, tc := range []struct {
		name     string
		messages []string // binary where they begin with a marker
		want     string
	}{
		{"nothing", nil, "lost"},
		{"too much", []string{
			"\x01\x01\x01" + strings.Repeat("x", 200<<10),
			"\x01\x01\x01" + strings.Repeat("x", 200<<10),
		}, "lost"},
		{"too long", []string{"\x01\x01\x01" + strings.Repeat("x", 2<<20)}, "lost"},
		{"no JSON", []string{"exit"}, "lost"},
		{"no exit code", []string{`{"type":"exit"}`}, "lost"},
		{"taken without end", []string{
			`{"type":"taken","bytes":9223372036854775807}`,
			`{"type":"taken","bytes":9223372036854775807}`, `{"type":"taken","bytes":-1}`,
		}, "lost"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			up := websocket.Upgrader{}
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				ws, err := up.Upgrade(w, r, nil)
				if err != nil {
					t.Error(err)
					return
				}
				defer ws.Close()
				_, _, _ = ws.ReadMessage() // the command
				for _, m := range tc.messages {
					kind := websocket.TextMessage
					if m[0] == 1 {
						kind = websocket.BinaryMessage
					}
					_ = ws.WriteMessage(kind, []byte(m)) // the client may have left
				}
			}))
			defer server.Close()
			blocked, unblock := io.Pipe()
			defer unblock.Close()
			_, err := client.NewToolbox(server.URL, nil, nil).Connect(t.Context(),
				api.ConnectRequest{Command: "x"}, client.Streams{Stdin: blocked, Stdout: io.Discard, Stderr: io.Discard})
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%v, want %q", err, tc.want)
			}
		})
	}
	if _, err := client.NewToolbox("http://127.0.0.1:1", nil, nil).Connect(t.Context(), api.ConnectRequest{},
		client.Streams{}); err == nil {
		t.Error("a server that is not there: no error")
	}
}
