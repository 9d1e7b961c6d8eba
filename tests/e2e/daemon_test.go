//go:build e2e

package e2e_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/gorilla/websocket"

	"github.com/sandlot-dev/sandlot/api"
	"github.com/sandlot-dev/sandlot/tests/contract"
	"github.com/sandlot-dev/sandlot/tests/harness"
)

// daemon is a toolbox that a test speaks to: one on loopback, or one behind the proxy.
type daemon struct {
	t      *testing.T
	base   string
	header http.Header
	of     *contract.Surface // of the contract that answers are held to; nil is the toolbox's
	ctx    context.Context   //nolint:containedctx // of the test, or of a part of it: nil is the test's own
}

// straight is a connection to a toolboxd of the test's own.
func straight(t *testing.T, env ...string) (*daemon, *harness.Process) {
	t.Helper()
	base, _, p := harness.Toolboxd(t, env...)
	return &daemon{t: t, base: base}, p
}

// behind is a connection to a sandbox's toolbox as clients have it.
func behind(t *testing.T, s *harness.Sandlot, box *harness.Box) *daemon {
	return &daemon{
		t: t, base: strings.TrimSuffix(box.ToolboxProxyURL, "/") + "/" + box.ID,
		header: http.Header{"Authorization": {"Bearer " + s.Key}},
	}
}

// with is the same daemon with one more header.
func (d *daemon) with(name, value string) *daemon {
	e := *d
	e.header = d.header.Clone()
	if e.header == nil {
		e.header = http.Header{}
	}
	e.header.Set(name, value)
	return &e
}

// many is for tests with many connections at a time.
var many = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 2048}}

// open sends a request; the caller closes the body. body may be nil, an io.Reader (sent as it is) or anything that
// JSON can hold.
func (d *daemon) open(method, path string, body any) (*http.Response, error) {
	r, raw := body.(io.Reader)
	if !raw && body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		r = bytes.NewReader(data)
	}
	ctx := d.ctx
	if ctx == nil {
		ctx = d.t.Context()
	}
	req, err := http.NewRequestWithContext(ctx, method, d.base+path, r)
	if err != nil {
		return nil, err
	}
	for k, v := range d.header {
		req.Header[k] = v
	}
	return many.Do(req)
}

// call sends a request and decodes the answer into out, if there is one. The status is 0 when there was no answer.
func (d *daemon) call(method, path string, in, out any) int {
	d.t.Helper()
	res, err := d.open(method, path, in)
	if err != nil {
		d.t.Error(err)
		return 0
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err == nil && out != nil {
		err = json.Unmarshal(data, out)
	}
	if err != nil {
		d.t.Errorf("%s %s: %v in %.300s", method, path, err, data)
	}
	return res.StatusCode
}

// text is the body of an answer that has to be a 200.
func (d *daemon) text(path string) string {
	d.t.Helper()
	res, err := d.open("GET", path, nil)
	if err != nil {
		d.t.Error(err)
		return ""
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		d.t.Errorf("GET %s: %d, %v: %.300s", path, res.StatusCode, err, data)
	}
	return string(data)
}

func (d *daemon) exec(command string) (code int, output string) {
	d.t.Helper()
	var res api.ExecuteResponse
	if status := d.call("POST", "/process/execute", api.ExecuteRequest{Command: command}, &res); status != 200 {
		d.t.Errorf("execute %q: status %d", command, status)
	}
	return res.ExitCode, res.Result
}

// session makes a shell session.
func (d *daemon) session(id string) {
	d.t.Helper()
	if status := d.call("POST", "/process/session", api.CreateSessionRequest{SessionID: id}, nil); status != 201 {
		d.t.Errorf("session %s: status %d", id, status)
	}
}

// start runs a command of a session without waiting for it, and returns the path of the command.
func (d *daemon) start(session, command string) string {
	d.t.Helper()
	var res api.SessionExecuteResponse
	if status := d.call("POST", "/process/session/"+session+"/exec",
		api.SessionExecuteRequest{Command: command, RunAsync: true}, &res); status != 202 {
		d.t.Errorf("session %s: %q: status %d", session, command, status)
	}
	return "/process/session/" + session + "/command/" + res.CmdID
}

// dial opens a websocket; the caller closes it.
func (d *daemon) dial(path string, subprotocols ...string) (*websocket.Conn, error) {
	dialer := websocket.Dialer{Subprotocols: subprotocols, ReadBufferSize: 64 << 10}
	ws, res, err := dialer.DialContext(d.t.Context(), "ws"+strings.TrimPrefix(d.base, "http")+path, d.header)
	if err == nil {
		_ = res.Body.Close()
	}
	return ws, err
}

// gauges reads GET /metrics.
func (d *daemon) gauges() map[string]float64 {
	d.t.Helper()
	values := map[string]float64{}
	for lines := bufio.NewScanner(strings.NewReader(d.text("/metrics"))); lines.Scan(); {
		if name, value, ok := strings.Cut(lines.Text(), " "); ok && name != "#" {
			f, err := strconv.ParseFloat(value, 64)
			if err != nil {
				d.t.Errorf("metrics: %q", lines.Text())
			}
			values[name] = f
		}
	}
	return values
}
