package toolbox_test

import (
	"bufio"
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/sandlot-dev/sandlot/api"
)

func TestWatchOverBothForms(t *testing.T) {
	base, dir := filesServer(t)
	conn, _, err := websocket.DefaultDialer.DialContext(t.Context(),
		"ws"+strings.TrimPrefix(base, "http")+"/files/watch?recursive=true", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	next := func() (e api.FileEvent) {
		t.Helper()
		if err := conn.ReadJSON(&e); err != nil {
			t.Fatal(err)
		}
		return e
	}
	if e := next(); e.Type != "ready" || e.Path != dir || e.Cursor == "" {
		t.Errorf("%+v", e)
	}
	_ = os.Mkdir(dir+"/d", 0o755)
	made := next()
	if made.Type != "create" || made.Path != dir+"/d" || !made.IsDir {
		t.Errorf("%+v", made)
	}
	put(t, dir+"/d/new\nline", "")
	if e := next(); e.Type != "create" || e.Path != dir+"/d/new\nline" || e.IsDir {
		t.Errorf("%+v", e)
	}

	req, _ := http.NewRequestWithContext(t.Context(), "GET", base+"/files/watch?recursive=true", nil)
	req.Header.Set("Last-Event-ID", made.Cursor)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if got := res.Header.Get("Content-Type"); got != "text/event-stream" {
		t.Error(got)
	}
	lines := bufio.NewScanner(res.Body)
	var last api.FileEvent
	for lines.Scan() && last.Type != "create" {
		if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
			if err := json.Unmarshal([]byte(data), &last); err != nil {
				t.Fatal(err)
			}
		}
	}
	if last.Path != dir+"/d/new\nline" {
		t.Errorf("resumed with %+v", last)
	}

	for _, target := range []string{"/files/watch?path=none", "/files/watch?path=a%00"} {
		_, res, err := websocket.DefaultDialer.DialContext(t.Context(), "ws"+strings.TrimPrefix(base, "http")+target, nil)
		if err == nil || res.StatusCode < 400 {
			t.Errorf("%s: %v %v", target, res, err)
		}
	}
	_ = os.RemoveAll(dir)
	for err == nil {
		_, _, err = conn.ReadMessage()
	}
	if !websocket.IsCloseError(err, websocket.CloseNormalClosure) {
		t.Errorf("ended with %v", err)
	}
}
