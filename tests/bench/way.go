package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/gorilla/websocket"

	"github.com/sandlot-dev/sandlot/tests/harness"
)

const (
	// wayToolbox and wayFloor are the ports of a sandbox at which a toolboxd without a secret and the floor answer
	// whoever reaches the container.
	wayToolbox = 8001
	wayFloor   = 8002
)

// way measures what the proxy adds: the same servers in the same sandbox are asked straight and through it, by turns.
func (b *bench) way() (rows []Row, err error) {
	s, err := b.running()
	if err != nil {
		return nil, err
	}
	x, err := b.newBox(s)
	if err != nil {
		return nil, err
	}
	at, err := b.furnish(s, x)
	if err != nil {
		return nil, err
	}
	asking, err := b.asking(s, x, at)
	if err != nil {
		return nil, err
	}
	rows = append(rows, asking...)
	talking, err := b.talking(s, x, at)
	if err != nil {
		return rows, err
	}
	rows = append(rows, talking...)
	fetching, err := b.fetching(s, x, at)
	if err != nil {
		return rows, err
	}
	return append(rows, fetching...), b.deleteBox(s, x)
}

// furnish starts the servers in a sandbox and returns its own address.
func (b *bench) furnish(s *harness.Sandlot, x box) (at string, err error) {
	toolboxd, err := harness.Bin("toolboxd")
	if err != nil {
		return "", err
	}
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	for name, program := range map[string]string{"toolboxd": toolboxd, "bench": self} {
		data, err := os.ReadFile(program)
		if err != nil {
			return "", err
		}
		if _, err := b.post(x.url()+"/files/upload-v2?path=/tmp/"+name, s.Key, bytes.NewReader(data)); err != nil {
			return "", err
		}
	}
	start := fmt.Sprintf("chmod +x /tmp/toolboxd /tmp/bench; (setsid /tmp/toolboxd --listen 0.0.0.0:%d >/tmp/1.log "+
		"2>&1 &); (setsid /tmp/bench floor 0.0.0.0:%d >/tmp/2.log 2>&1 &)", wayToolbox, wayFloor)
	if err := b.exec(x.url(), s.Key, start, ""); err != nil {
		return "", err
	}
	at, err = s.Docker("inspect", "--format", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", x.ID)
	if err != nil {
		return "", err
	}
	at = strings.TrimSpace(at)
	for _, port := range []int{wayToolbox, wayFloor} {
		for deadline := time.Now().Add(10 * time.Second); ; <-time.After(10 * time.Millisecond) {
			_, err := b.getAs(fmt.Sprintf("http://%s:%d/version", at, port), "")
			if err == nil {
				break
			}
			if time.Now().After(deadline) {
				return "", err
			}
		}
	}
	return at, nil
}

func (b *bench) getAs(url, key string) ([]byte, error) {
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	return b.do(req, key)
}

func (b *bench) asking(s *harness.Sandlot, x box, at string) ([]Row, error) {
	straight := fmt.Sprintf("http://%s:%d", at, wayToolbox)
	small := strings.Repeat("x", 1000)
	stat := func(base, key string) func() error {
		return func() error { _, err := b.getAs(base+"/files/info?path=/tmp", key); return err }
	}
	put := func(base, key string) func() error {
		return func() error {
			_, err := b.post(base+"/files/upload-v2?path=/tmp/small", key, strings.NewReader(small))
			return err
		}
	}
	m, err := alternate(b.count(3000),
		task{name: "straight", do: stat(straight, "")}, task{name: "through the proxy", do: stat(x.url(), s.Key)},
		task{name: "body, straight", do: put(straight, "")}, task{name: "body, through the proxy", do: put(x.url(), s.Key)})
	if err != nil {
		return nil, err
	}
	note := fmt.Sprintf("straight it takes %.3f ms", m[0])
	return []Row{
		Row{What: "a request, what the proxy adds", Unit: "ms", Ours: m[1] - m[0], Note: note}.atMost(0.2),
		Row{
			What: "a request with 1 kB, what the proxy adds", Unit: "ms", Ours: m[3] - m[2],
			Note: fmt.Sprintf("straight it takes %.3f ms", m[2]),
		}.atMost(0.2),
	}, nil
}

func (b *bench) talking(s *harness.Sandlot, x box, at string) ([]Row, error) {
	data, err := b.getAs(fmt.Sprintf("%s/sandbox/%s/ports/%d/preview-url", s.API, x.ID, wayFloor), s.Key)
	if err != nil {
		return nil, err
	}
	var link struct{ URL, Token string }
	if err := json.Unmarshal(data, &link); err != nil {
		return nil, err
	}
	dialer := websocket.Dialer{NetDialContext: s.DialProxy}
	through, _, err := dialer.Dial("ws"+strings.TrimPrefix(link.URL, "http")+"/echo", http.Header{"X-Daytona-Preview-Token": {link.Token}}) //nolint:bodyclose // a handshake has no body
	if err != nil {
		return nil, err
	}
	defer through.Close()
	straight, _, err := websocket.DefaultDialer.Dial(fmt.Sprintf("ws://%s:%d/echo", at, wayFloor), nil) //nolint:bodyclose // likewise
	if err != nil {
		return nil, err
	}
	defer straight.Close()
	message := []byte(strings.Repeat("x", 100))
	echo := func(ws *websocket.Conn) func() error {
		return func() error {
			if err := ws.WriteMessage(websocket.BinaryMessage, message); err != nil {
				return err
			}
			_, got, err := ws.ReadMessage()
			if err == nil && !bytes.Equal(got, message) {
				err = fmt.Errorf("the echo is %q", got)
			}
			return err
		}
	}
	m, err := alternate(b.count(5000), task{name: "straight", do: echo(straight)},
		task{name: "through the proxy", do: echo(through)})
	if err != nil {
		return nil, err
	}
	return []Row{
		Row{
			What: "a websocket message, what the proxy adds", Unit: "ms", Ours: (m[1] - m[0]) / 2,
			Note: fmt.Sprintf("half of what it adds to a message of 100 bytes and its echo, which take %.3f ms straight", m[0]),
		}.atMost(0.05),
	}, nil
}

func (b *bench) fetching(s *harness.Sandlot, x box, at string) ([]Row, error) {
	if err := b.exec(x.url(), s.Key, fmt.Sprintf("head -c %d /dev/zero >/tmp/large", b.size()), ""); err != nil {
		return nil, err
	}
	buf := make([]byte, mib)
	fetch := func(base, key string) func() error {
		return func() error {
			req, err := http.NewRequest(http.MethodGet, base+"/files/download?path=/tmp/large", nil)
			if err != nil {
				return err
			}
			if key != "" {
				req.Header.Set("Authorization", "Bearer "+key)
			}
			res, err := b.http.Do(req)
			if err != nil {
				return err
			}
			defer res.Body.Close()
			n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{res.Body}, buf)
			if err == nil && n != b.size() {
				err = fmt.Errorf("%s: %d bytes", res.Status, n)
			}
			return err
		}
	}
	send := func(base, key string) func() error {
		return func() error {
			req, err := http.NewRequest(http.MethodPost, base+"/files/upload-v2?path=/tmp/sent",
				io.LimitReader(zeros{}, b.size()))
			if err != nil {
				return err
			}
			req.ContentLength = b.size()
			_, err = b.do(req, key)
			return err
		}
	}
	straight := fmt.Sprintf("http://%s:%d", at, wayToolbox)
	m, err := alternate(b.count(15),
		task{name: "straight", do: fetch(straight, "")}, task{name: "through the proxy", do: fetch(x.url(), s.Key)},
		task{name: "up, straight", do: send(straight, "")}, task{name: "up, through the proxy", do: send(x.url(), s.Key)})
	if err != nil {
		return nil, err
	}
	mbs := func(ms float64) float64 { return float64(b.size()) / 1e3 / ms }
	name := fmt.Sprintf("%d MiB through the proxy", b.size()/mib)
	return []Row{
		Row{
			What: "download " + name, Unit: "MB/s", Ours: mbs(m[1]), Raw: mbs(m[0]),
			Note: "raw is the same toolboxd asked straight",
		}.atLeastRaw(0.9),
		{What: "upload " + name, Unit: "MB/s", Ours: mbs(m[3]), Raw: mbs(m[2]), Note: "likewise; told, not held to a goal"},
	}, nil
}

type zeros struct{}

// Read implements io.Reader.
func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }
