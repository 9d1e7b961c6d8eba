package harness

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/sandlot-dev/sandlot/tests/contract"
)

// Conn speaks to one Sandlot for one test. Every answer it gets is held to the contract, and a breach fails the test.
type Conn struct {
	t      testing.TB
	s      *Sandlot
	header http.Header
}

// As returns a Conn that shows key; "" shows none.
func (s *Sandlot) As(t testing.TB, key string) *Conn {
	c := &Conn{t: t, s: s, header: http.Header{}}
	if key != "" {
		c.header.Set("Authorization", "Bearer "+key)
	}
	return c
}

// Answer is what a server said.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte

	t    testing.TB
	what string
}

// API calls the control API; path starts below /api. body may be nil, an io.Reader (sent as it is) or anything that
// JSON can hold.
func (c *Conn) API(method, path string, body any) Answer {
	c.t.Helper()
	return c.call(contract.API(), method, c.s.API, path, body)
}

// At calls url+path on a surface of the contract; nil checks nothing but the error body.
func (c *Conn) At(surface *contract.Surface, method, base, path string, body any) Answer {
	c.t.Helper()
	return c.call(surface, method, base, path, body)
}

func (c *Conn) call(surface *contract.Surface, method, base, path string, body any) Answer {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), method, base+path, reader(c.t, body))
	if err != nil {
		c.t.Fatal(err)
	}
	for k, v := range c.header {
		req.Header[k] = v
	}
	if _, raw := body.(io.Reader); body != nil && !raw {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		c.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatalf("%s %s: reading the answer: %v", method, path, err)
	}
	a := Answer{Status: resp.StatusCode, Header: resp.Header, Body: data, t: c.t, what: method + " " + path}
	if err := check(surface, method, path, a); err != nil {
		c.t.Errorf("answer breaks the contract: %v\n%.600s", err, data)
	}
	return a
}

func check(surface *contract.Surface, method, path string, a Answer) error {
	at, _, _ := strings.Cut(path, "?")
	if surface != nil {
		if op, ok := surface.Find(method, at); ok {
			return op.Check(a.Status, a.Header, a.Body)
		}
	}
	if a.Status >= 400 {
		return contract.CheckError(a.Status, a.Body)
	}
	return nil
}

func reader(t testing.TB, body any) io.Reader {
	t.Helper()
	switch body := body.(type) {
	case nil:
		return nil
	case io.Reader:
		return body
	default:
		data, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		return bytes.NewReader(data)
	}
}

// Want fails the test at once when the status is another.
func (a Answer) Want(status int) Answer {
	a.t.Helper()
	if a.Status != status {
		a.t.Fatalf("%s: status %d, want %d: %.2000s", a.what, a.Status, status, a.Body)
	}
	return a
}

// Into decodes the body, and fails the test when that cannot be.
func (a Answer) Into(v any) {
	a.t.Helper()
	if err := json.Unmarshal(a.Body, v); err != nil {
		a.t.Fatalf("%s: %v: %.600s", a.what, err, a.Body)
	}
}

// Message is the message of an error body.
func (a Answer) Message() string {
	a.t.Helper()
	var body struct{ Message string }
	a.Into(&body)
	return body.Message
}

// Code is the code of an error body.
func (a Answer) Code() string {
	a.t.Helper()
	var body struct{ Code string }
	a.Into(&body)
	return body.Code
}

// Box is a sandbox as the API last described it.
type Box struct {
	ID                 string            `json:"id"`
	Name               string            `json:"name"`
	State              string            `json:"state"`
	DesiredState       string            `json:"desiredState"`
	ErrorReason        string            `json:"errorReason"`
	Snapshot           string            `json:"snapshot"`
	Public             bool              `json:"public"`
	Labels             map[string]string `json:"labels"`
	Env                map[string]string `json:"env"`
	CPU, Memory, Disk  int
	AutoStopInterval   int    `json:"autoStopInterval"`
	AutoArchive        int    `json:"autoArchiveInterval"`
	AutoDeleteInterval int    `json:"autoDeleteInterval"`
	ToolboxProxyURL    string `json:"toolboxProxyUrl"`

	c *Conn
}

// Create makes a sandbox that is started when Create returns, and deletes it when the test ends.
func (c *Conn) Create(body map[string]any) *Box {
	c.t.Helper()
	box := &Box{c: c}
	c.API("POST", "/sandbox", body).Want(http.StatusOK).Into(box)
	c.t.Cleanup(func() { box.remove() })
	if box.State != "started" || box.DesiredState != "started" {
		c.t.Fatalf("POST /sandbox answered state %q, desired %q; want started", box.State, box.DesiredState)
	}
	return box
}

// remove deletes the sandbox after the test's context has ended.
func (b *Box) remove() {
	req, err := b.c.s.request(http.MethodDelete, "/sandbox/"+b.ID)
	if err != nil {
		return
	}
	if resp, err := http.DefaultClient.Do(req); err == nil {
		_ = resp.Body.Close()
	}
}

// Toolbox calls the sandbox's daemon through the proxy's toolbox path.
func (b *Box) Toolbox(method, path string, body any) Answer {
	b.c.t.Helper()
	return b.c.call(contract.Toolbox(), method, strings.TrimSuffix(b.ToolboxProxyURL, "/")+"/"+b.ID, path, body)
}

// Refresh reads the sandbox again.
func (b *Box) Refresh() *Box {
	b.c.t.Helper()
	fresh := Box{c: b.c}
	b.c.API("GET", "/sandbox/"+b.ID, nil).Want(http.StatusOK).Into(&fresh)
	*b = fresh
	return b
}

// Exec runs a command and returns its exit code and output.
func (b *Box) Exec(command string) (int, string) {
	b.c.t.Helper()
	var out struct {
		ExitCode int
		Result   string
	}
	b.Toolbox("POST", "/process/execute", map[string]any{"command": command}).Want(http.StatusOK).Into(&out)
	return out.ExitCode, out.Result
}

// MustExec is Exec for a command that has to succeed; it returns the output without its last newline.
func (b *Box) MustExec(command string) string {
	b.c.t.Helper()
	code, out := b.Exec(command)
	if code != 0 {
		b.c.t.Fatalf("%s: exit code %d: %s", command, code, out)
	}
	return strings.TrimSuffix(out, "\n")
}

// WaitState waits until the sandbox is in one of the states; "gone" is the 404 of a deleted one.
func (b *Box) WaitState(states ...string) string {
	b.c.t.Helper()
	var last string
	Until(b.c.t, waitState, fmt.Sprintf("sandbox %s to be %v", b.ID, states), func() bool {
		a := b.c.API("GET", "/sandbox/"+b.ID, nil)
		last = "gone"
		if a.Status != http.StatusNotFound {
			a.Want(http.StatusOK).Into(b)
			last = b.State
		}
		for _, s := range states {
			if s == last {
				return true
			}
		}
		return false
	})
	return last
}

// Query makes a query string of pairs.
func Query(pairs ...string) string {
	q := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		q.Add(pairs[i], pairs[i+1])
	}
	return "?" + q.Encode()
}
