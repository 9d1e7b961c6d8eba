package proxy_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/gorilla/websocket"
)

// A websocket's client that goes on sending, and does not answer the close frame, gets that frame and is cut off.
func TestBusyWebsocketIsClosedWithAReason(t *testing.T) {
	up := websocket.Upgrader{}
	f, p, srv := world(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := up.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer conn.Close() // the other end decides
		for {
			if _, _, err := conn.ReadMessage(); err != nil {
				return
			}
		}
	}))
	conn, _, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(srv.URL, "http")+"/toolbox/"+id+"/ws",
		http.Header{"Authorization": {"Bearer dtn_good"}})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close() // done with it
	conn.SetCloseHandler(func(int, string) error { return nil })
	cutOff := make(chan struct{})
	first := make(chan struct{})
	go func() {
		defer close(cutOff)
		for i := 0; ; i++ {
			if err := conn.WriteMessage(websocket.BinaryMessage, make([]byte, 1000)); err != nil {
				return
			}
			if i == 0 {
				close(first)
			}
		}
	}()
	<-first
	end(f, p)
	came := make(chan error, 1)
	go func() {
		_, _, err := conn.ReadMessage()
		came <- err
	}()
	if frame, ok := errors.AsType[*websocket.CloseError](within(t, "the close frame", came)); !ok ||
		!strings.Contains(frame.Text, killed) {
		t.Errorf("closed with %v", frame)
	}
	within(t, "the connection", cutOff)
}

// In the middle of a message nothing of ours may be put: the client would take it for a part of that.
func TestNoCloseFrameWithinAMessage(t *testing.T) {
	f, p, srv := world(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, buf, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer conn.Close() // the other end decides
		_, _ = buf.WriteString("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: " +
			"Upgrade\r\n\r\n\x82\x7e\x01\x00half")
		_ = buf.Flush()
		_, _ = conn.Read(make([]byte, 1)) // until the other end is gone
	}))
	_, from := raw(t, srv, "GET /toolbox/"+id+"/ws HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer dtn_good\r\nUpgrade: "+
		"websocket\r\nConnection: Upgrade\r\n\r\n")
	if res, err := http.ReadResponse(from, nil); err != nil || res.StatusCode != http.StatusSwitchingProtocols {
		t.Fatal(res, err)
	}
	if _, err := io.ReadFull(from, make([]byte, 8)); err != nil {
		t.Fatal(err)
	}
	end(f, p)
	rest := make(chan string, 1)
	go func() {
		data, _ := io.ReadAll(from)
		rest <- string(data)
	}()
	if got := within(t, "the websocket", rest); got != "" {
		t.Errorf("%q was put into a message", got)
	}
}

func TestWebsocketPasses(t *testing.T) {
	up := websocket.Upgrader{Subprotocols: []string{"one", "two"}}
	_, _, srv := world(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := up.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer conn.Close() // the other end decides
		for {
			kind, data, err := conn.ReadMessage()
			if err != nil {
				return
			}
			if err := conn.WriteMessage(kind, data); err != nil {
				return
			}
		}
	}))
	dialer := websocket.Dialer{Subprotocols: []string{"two"}}
	url := "ws" + strings.TrimPrefix(srv.URL, "http") + "/toolbox/" + id + "/ws?DAYTONA_SANDBOX_AUTH_KEY=" + tok(2280)
	conn, res, err := dialer.DialContext(t.Context(), url, nil)
	if err != nil {
		t.Fatalf("%v (%v)", err, res)
	}
	defer conn.Close() // done with it
	if conn.Subprotocol() != "two" {
		t.Errorf("subprotocol %q, want two", conn.Subprotocol())
	}
	for _, want := range []string{"hello", strings.Repeat("x", 1<<20), ""} {
		if err := conn.WriteMessage(websocket.BinaryMessage, []byte(want)); err != nil {
			t.Fatal(err)
		}
		if _, got, err := conn.ReadMessage(); err != nil || string(got) != want {
			t.Fatalf("echo of %d bytes: %d bytes, %v", len(want), len(got), err)
		}
	}
}
