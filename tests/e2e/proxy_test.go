//go:build e2e

package e2e_test

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/sandlot-dev/sandlot/tests/contract"
	"github.com/sandlot-dev/sandlot/tests/harness"
)

// echoServer is a websocket server of one file that needs nothing but Python: it sends back each message.
const echoServer = `
import base64, hashlib, socket, struct, threading
def take(c, n):
    data = b""
    while len(data) < n:
        more = c.recv(n - len(data))
        if not more: raise EOFError
        data += more
    return data
def serve(c):
    head = b""
    while not head.endswith(b"\r\n\r\n"): head += take(c, 1)
    lines = [l.split(":", 1) for l in head.decode().split("\r\n")[1:] if ":" in l]
    fields = {k.lower(): v.strip() for k, v in lines}
    key = base64.b64encode(hashlib.sha1((fields["sec-websocket-key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()).decode()
    c.sendall(("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " + key + "\r\n\r\n").encode())
    while True:
        op, n = take(c, 2)
        n &= 127
        if n == 126: n = struct.unpack(">H", take(c, 2))[0]
        elif n == 127: n = struct.unpack(">Q", take(c, 8))[0]
        mask = take(c, 4)
        data = bytes(b ^ mask[i % 4] for i, b in enumerate(take(c, n)))
        if op & 15 == 8: return c.close()
        c.sendall(bytes([op]) + (bytes([n]) if n < 126 else b"\x7e" + struct.pack(">H", n)) + data)
s = socket.create_server(("0.0.0.0", 8765))
while True: threading.Thread(target=serve, args=(s.accept()[0],), daemon=True).start()
`

// preview asks for the standard preview link of a port.
func preview(c *harness.Conn, box *harness.Box, port int) (link, token string) {
	var got struct{ SandboxID, URL, Token string }
	c.API("GET", fmt.Sprintf("/sandbox/%s/ports/%d/preview-url", box.ID, port), nil).Want(http.StatusOK).Into(&got)
	return got.URL, got.Token
}

// fetch gets a page of a preview host and returns status and body.
func fetch(t *testing.T, s *harness.Sandlot, link, token string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, link, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("X-Daytona-Preview-Token", token)
	}
	resp, err := s.HTTP().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// addresses are how the address of port 3000 of a sandbox begins in each mode.
var addresses = map[string]func(id, proxy string) string{
	"host": func(id, proxy string) string {
		return "http://3000-" + id + ".localhost" + proxy[strings.LastIndex(proxy, ":"):]
	},
	"loopback": func(string, string) string { return "http://127." },
	"path":     func(id, proxy string) string { return "http://" + proxy + "/p/" + id + "/3000" },
}

func TestPreview(t *testing.T) {
	for mode, begins := range addresses {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			s := harness.Start(t, harness.Options{Env: []string{"SANDLOT_PREVIEW_MODE=" + mode}})
			previewInMode(t, s, s.As(t, s.Key), mode, begins)
		})
	}
}

func previewInMode(t *testing.T, s *harness.Sandlot, c *harness.Conn, mode string,
	begins func(id, proxy string) string,
) {
	box := c.Create(nil)
	box.MustExec(`mkdir -p /tmp/www && echo "a page" > /tmp/www/index.html && cd /tmp/www && (nohup python3 -m http.server 3000 >/tmp/http.log 2>&1 &)`)
	link, token := preview(c, box, 3000)
	if want := begins(box.ID, s.Proxy); !strings.HasPrefix(link, want) {
		t.Fatalf("preview URL %q, want one that begins with %q", link, want)
	}
	other := c.Create(nil)
	var kept struct{ URL string } // a signed link
	harness.Until(t, 10*time.Second, "the page behind the preview", func() bool {
		status, body := fetch(t, s, link+"/", token)
		return status == http.StatusOK && body == "a page\n"
	})

	t.Run("who may see it", func(t *testing.T) {
		_, otherToken := preview(c, other, 3000)
		for _, tc := range []struct {
			name, token string
			want        int
		}{
			{"no token", "", http.StatusUnauthorized},
			{"wrong token", strings.Repeat("a", 32), http.StatusUnauthorized},
			{"a prefix of the token", token[:len(token)-1], http.StatusUnauthorized},
			{"another sandbox's token", otherToken, http.StatusUnauthorized},
			{"the token", token, http.StatusOK},
		} {
			if status, _ := fetch(t, s, link+"/", tc.token); status != tc.want {
				t.Errorf("%s: status %d, want %d", tc.name, status, tc.want)
			}
		}
		if status, _ := fetch(t, s, link+"/?DAYTONA_SANDBOX_AUTH_KEY="+token, ""); status >= 400 {
			t.Errorf("token as a query: status %d", status)
		}
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, link+"/", nil)
		req.Header.Set("Authorization", "Bearer "+s.Key)
		if resp, err := s.HTTP().Do(req); err != nil || resp.StatusCode != http.StatusOK {
			t.Errorf("with the API key: %v %v", resp, err)
		} else {
			_ = resp.Body.Close()
		}
	})

	t.Run("public takes effect at once", func(t *testing.T) {
		for range 3 {
			c.API("POST", "/sandbox/"+box.ID+"/public/true", nil).Want(http.StatusOK)
			if status, body := fetch(t, s, link+"/", ""); status != http.StatusOK {
				t.Errorf("public: status %d: %s", status, body)
			}
			for _, port := range []int{2280, 22222, 33333} {
				reserved, _ := preview(c, box, port)
				if status, _ := fetch(t, s, reserved+"/version", ""); status != http.StatusUnauthorized {
					t.Errorf("port %d of a public sandbox: status %d, want 401", port, status)
				}
			}
			c.API("POST", "/sandbox/"+box.ID+"/public/false", nil).Want(http.StatusOK)
			if status, _ := fetch(t, s, link+"/", ""); status != http.StatusUnauthorized {
				t.Errorf("private again: status %d, want 401", status)
			}
		}
	})

	t.Run("nothing listens", func(t *testing.T) {
		empty, token := preview(c, box, 4567)
		status, body := fetch(t, s, empty+"/", token)
		if status != http.StatusBadGateway && status != http.StatusServiceUnavailable || !strings.Contains(body, "4567") {
			t.Errorf("status %d: %s; want 502 that names the port", status, body)
		}
	})

	t.Run("bad ports", func(t *testing.T) {
		for _, port := range []string{"0", "65536", "-1", "x", "1.5", "3000%20"} {
			a := c.API("GET", "/sandbox/"+box.ID+"/ports/"+port+"/preview-url", nil).Want(http.StatusBadRequest)
			if !strings.Contains(a.Message(), "65535") {
				t.Errorf("port %s: message %q does not name the range", port, a.Message())
			}
		}
		c.API("GET", "/sandbox/"+box.ID+"/ports/3000.0/preview-url", nil).Want(http.StatusOK)
		c.API("POST", "/sandbox/"+box.ID+"/public/true", nil).Want(http.StatusOK)
		defer c.API("POST", "/sandbox/"+box.ID+"/public/false", nil).Want(http.StatusOK)
		at := map[string]string{"host": "3000-", "path": "/3000"}[mode]
		for _, port := range []string{"02280", "+2280", "002280", "0x8e8", "99999", "2280x"} {
			if mode == "loopback" {
				continue // the port is no text
			}
			status, _ := fetch(t, s, strings.Replace(link, at, strings.Replace(at, "3000", port, 1), 1)+"/version", "")
			if status < 400 {
				t.Errorf("port %s: status %d", port, status)
			}
		}
	})

	t.Run("websocket", func(t *testing.T) {
		box.Toolbox("POST", "/files/upload-v2?path=/tmp/echo.py", strings.NewReader(echoServer)).Want(http.StatusOK)
		box.MustExec("(nohup python3 /tmp/echo.py >/tmp/echo.log 2>&1 &)")
		link, token := preview(c, box, 8765)
		dialer := websocket.Dialer{NetDialContext: s.DialProxy, HandshakeTimeout: 10 * time.Second}
		if _, resp, err := dialer.DialContext(t.Context(), "ws"+strings.TrimPrefix(link, "http"), nil); err == nil ||
			resp == nil || resp.StatusCode != http.StatusUnauthorized {
			t.Errorf("websocket without a token: %v, %v; want 401", resp, err)
		}
		var ws *websocket.Conn
		harness.Until(t, 10*time.Second, "the websocket behind the preview", func() bool {
			conn, _, err := dialer.DialContext(t.Context(), "ws"+strings.TrimPrefix(link, "http"),
				http.Header{"X-Daytona-Preview-Token": {token}})
			ws = conn
			return err == nil
		})
		defer ws.Close()
		for _, message := range []string{"hello", "", strings.Repeat("é", 20_000)} {
			if err := ws.WriteMessage(websocket.TextMessage, []byte(message)); err != nil {
				t.Fatal(err)
			}
			if kind, got, err := ws.ReadMessage(); err != nil || kind != websocket.TextMessage || string(got) != message {
				t.Fatalf("echo of %d bytes: %d bytes, kind %d, %v", len(message), len(got), kind, err)
			}
		}
	})

	t.Run("signed links", func(t *testing.T) {
		var made struct{ Token, URL string }
		c.API("GET", "/sandbox/"+box.ID+"/ports/3000/signed-preview-url?expiresInSeconds=600",
			nil).Want(http.StatusOK).Into(&made)
		if status, body := fetch(t, s, made.URL, ""); status >= 400 {
			t.Errorf("a signed link: %d %s", status, body)
		}
		if status, _ := fetch(t, s, link+"/", made.Token); status != http.StatusOK {
			t.Errorf("a link's token in the header: %d", status)
		}
		c.API("POST", "/sandbox/"+box.ID+"/ports/3000/signed-preview-url/"+made.Token+"/expire", nil).Want(http.StatusOK)
		if status, _ := fetch(t, s, made.URL, ""); status != http.StatusUnauthorized {
			t.Errorf("a revoked link: %d", status)
		}
		var short struct{ URL string }
		c.API("GET", "/sandbox/"+box.ID+"/ports/3000/signed-preview-url?expiresInSeconds=1",
			nil).Want(http.StatusOK).Into(&short)
		harness.Until(t, 10*time.Second, "the end of a link", func() bool {
			status, _ := fetch(t, s, short.URL, "")
			return status == http.StatusUnauthorized
		})
		c.API("GET", "/sandbox/"+box.ID+"/ports/3000/signed-preview-url", nil).Want(http.StatusOK).Into(&kept)
	})

	t.Run("a token dies with a restart", func(t *testing.T) {
		c.API("POST", "/sandbox/"+box.ID+"/stop", nil).Want(http.StatusOK)
		box.WaitState("stopped")
		c.API("POST", "/sandbox/"+box.ID+"/start", nil).Want(http.StatusOK)
		if status, _ := fetch(t, s, link+"/", token); status != http.StatusUnauthorized {
			t.Errorf("the token of before the restart: status %d, want 401", status)
		}
		again, fresh := preview(c, box, 3000)
		if fresh == token || again != link {
			t.Errorf("the token is %q again, or the address %q in place of %q", fresh, again, link)
		}
		if status, _ := fetch(t, s, kept.URL, ""); status == http.StatusUnauthorized {
			t.Error("a signed link died with the restart")
		}
	})

	t.Run("a deleted sandbox is gone at once", func(t *testing.T) {
		_, token := preview(c, box, 3000)
		c.API("DELETE", "/sandbox/"+box.ID, nil).Want(http.StatusOK)
		refused := func(link, token string) bool {
			req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, link, nil)
			req.Header.Set("X-Daytona-Preview-Token", token)
			resp, err := s.HTTP().Do(req)
			if err != nil { // the address of its own is closed
				return mode == "loopback"
			}
			_ = resp.Body.Close()
			return resp.StatusCode >= 400 && resp.StatusCode < 500
		}
		if !refused(link+"/", token) || !refused(kept.URL, "") {
			t.Error("it is still met")
		}
	})
}

func TestToolboxPath(t *testing.T) {
	s, c := small.up(t)
	box := c.Create(nil)
	base := strings.TrimSuffix(box.ToolboxProxyURL, "/") + "/" + box.ID
	_, token := preview(c, box, 2280)
	asToken := func(token string) *http.Response {
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, base+"/version", nil)
		req.Header.Set("X-Daytona-Preview-Token", token)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		return resp
	}
	if got := asToken(token).StatusCode; got != http.StatusOK {
		t.Errorf("toolbox with the preview token: %d", got)
	}
	if got := asToken(token[1:]).StatusCode; got != http.StatusUnauthorized {
		t.Errorf("toolbox with a wrong token: %d", got)
	}
	s.As(t, s.Key).At(contract.Toolbox(), "GET", "http://"+s.Proxy+"/toolbox/"+box.ID, "/work-dir",
		nil).Want(http.StatusOK)

	t.Run("bytes pass unchanged both ways", func(t *testing.T) {
		data := make([]byte, 24<<20)
		_, _ = rand.Read(data)
		box.Toolbox("POST", "/files/upload-v2?path=/tmp/big", bytes.NewReader(data)).Want(http.StatusOK)
		got := box.Toolbox("GET", "/files/download?path=/tmp/big", nil).Want(http.StatusOK)
		if sha256.Sum256(got.Body) != sha256.Sum256(data) {
			t.Errorf("%d bytes came back as %d others", len(data), len(got.Body))
		}
	})
	t.Run("names pass unchanged", func(t *testing.T) {
		name := "/tmp/a b+c%2F&é\"'"
		box.Toolbox("POST", "/files/upload-v2"+harness.Query("path", name), strings.NewReader("x")).Want(http.StatusOK)
		box.Toolbox("GET", "/files/info"+harness.Query("path", name), nil).Want(http.StatusOK)
	})
	t.Run("errors are the daemon's own", func(t *testing.T) {
		a := box.Toolbox("GET", "/files/info?path=/no/such", nil).Want(http.StatusNotFound)
		if a.Code() != "FILE_NOT_FOUND" || !strings.Contains(string(a.Body), `"DAYTONA_DAEMON"`) {
			t.Errorf("body %s", a.Body)
		}
	})
	t.Run("credentials stay outside", func(t *testing.T) {
		if _, out := box.Exec("env; cat /proc/1/environ | tr '\\0' '\\n'"); strings.Contains(out, s.Key) ||
			strings.Contains(out, token) {
			t.Error("the sandbox can read a credential from its environment")
		}
	})
}

// TestLongAnswersToPostsAreWhole holds the proxy to answers that begin as soon as the request's last byte was sent:
// the end of the request and the beginning of the answer must not disturb each other.
func TestLongAnswersToPostsAreWhole(t *testing.T) {
	s, c := small.up(t)
	box := c.Create(nil)
	const size = 300_000
	box.Toolbox("POST", "/files/upload-v2?path=/tmp/long", bytes.NewReader(make([]byte, size))).Want(http.StatusOK)
	at, err := url.Parse(strings.TrimSuffix(box.ToolboxProxyURL, "/") + "/" + box.ID + "/files/bulk-download")
	if err != nil {
		t.Fatal(err)
	}
	body := `{"paths":["/tmp/long"]}`
	for n := range 600 {
		// Head and body as two packets, on a connection of their own, as some clients send them.
		conn, err := net.Dial("tcp", s.Proxy)
		if err != nil {
			t.Fatal(err)
		}
		_, err = fmt.Fprintf(conn,
			"POST %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n\r\n", at.Path, at.Host, s.Key,
			len(body))
		if err == nil {
			_, err = io.WriteString(conn, body)
		}
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		_ = conn.Close()
		if err != nil || len(got) < size {
			t.Fatalf("answer %d of 600: %d bytes of %d and more, %v", n, len(got), size, err)
		}
	}
}

// loopbackApp listens on loopback alone. It refuses uploads to /large at their header's end, and closes; elsewhere it
// says the method and what came.
const loopbackApp = `import socket, threading
def serve(c):
    with c, c.makefile("rb") as f:
        while True:
            line = f.readline().decode().split()
            if len(line) < 3: return
            n = 0
            while (h := f.readline().strip().lower()):
                if h.startswith(b"content-length:"): n = int(h.split(b":")[1])
            if line[1] == "/large":
                return c.sendall(b"HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 9\r\n\r\ntoo large")
            if line[1] == "/get":
                c.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 20000000\r\n\r\n" + b"x" * 20000000)
                continue
            said = ("%s %d" % (line[0], len(f.read(n)))).encode()
            c.sendall(b"HTTP/1.1 200 OK\r\nX-Request-Id: own\r\nContent-Length: %d\r\n\r\n%s" % (len(said), said))
s = socket.create_server(("127.0.0.1", 3100))
while True: threading.Thread(target=serve, args=(s.accept()[0],), daemon=True).start()
`

// An app on loopback is reached as one on all addresses is.
func TestAppsOnLoopback(t *testing.T) {
	s, c := full.up(t)
	box := c.Create(nil)
	box.MustExec("cat >/tmp/app.py <<'END'\n" + loopbackApp + "END\n(nohup python3 /tmp/app.py >/tmp/app.log 2>&1 &)")
	link, token := preview(c, box, 3100)
	do := func(method, path string, size int) (*http.Response, string) {
		t.Helper()
		var body io.Reader
		if size > 0 {
			body = strings.NewReader(strings.Repeat("x", size))
		}
		req, err := http.NewRequestWithContext(t.Context(), method, link+path, body)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Daytona-Preview-Token", token)
		res, err := s.HTTP().Do(req)
		if err != nil {
			t.Fatalf("%s %s: %v", method, path, err)
		}
		defer res.Body.Close() // read whole
		said, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatalf("%s %s: %v", method, path, err)
		}
		return res, string(said)
	}
	harness.Until(t, 10*time.Second, "the app", func() bool {
		res, _ := do("GET", "/", 0)
		return res.StatusCode == http.StatusOK
	})
	for i := range 30 {
		if res, said := do("POST", "/large", 50<<20); res.StatusCode != http.StatusRequestEntityTooLarge ||
			said != "too large" {
			t.Fatalf("upload %d: %d %s", i, res.StatusCode, said)
		}
	}
	for _, method := range []string{"GET", "PROPFIND", "MKCOL", "PURGE"} {
		if res, said := do(method, "/", 0); said != method+" 0" || strings.Join(res.Header["X-Request-Id"], " ") != "own" {
			t.Errorf("%s: %d %q, ids %q", method, res.StatusCode, said, res.Header["X-Request-Id"])
		}
	}
	if _, said := do("POST", "/", 5<<20); said != "POST 5242880" {
		t.Errorf("an upload: %q", said)
	}
	if _, said := do("GET", "/get", 0); said != strings.Repeat("x", 20_000_000) {
		t.Errorf("a download has %d bytes", len(said))
	}
}
