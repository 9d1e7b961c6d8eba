//go:build e2e

package e2e_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/gorilla/websocket"

	"github.com/sandlot-dev/sandlot/tests/contract"
)

// TestControlCallsOfClientsThatAreNotRunHere sends the calls of the Go, Ruby and Java clients to the control API as
// these send them: the body of a create, how an address is escaped, and how a number is written differ.
func TestControlCallsOfClientsThatAreNotRunHere(t *testing.T) {
	s, _ := small.up(t)
	for _, tc := range []struct {
		client, create, list string
		rows                 []row // {box} stands for the sandbox
	}{
		{
			client: "Go", // sends public and networkBlockAll always, and numbers of lists as floats; sets two intervals alone
			create: `{"name":"of+go/ é","public":false,"networkBlockAll":false,"labels":{"code-toolbox-language":"python","of":"Go"},"env":{"A":"b"},"autoDeleteInterval":0}`,
			list:   `/sandbox?labels=%7B%22of%22%3A%22Go%22%7D&limit=1e%2B02&states=started&states=stopped`,
			rows: []row{
				{method: "GET", path: "/sandbox/of+go%2F%20%C3%A9", status: 200, want: `"autoDeleteInterval":0`},
				{method: "POST", path: "/sandbox/{box}/autoarchive/120", status: 200, want: `"autoArchiveInterval":120`},
				{method: "POST", path: "/sandbox/{box}/autodelete/-1", status: 200, want: `"autoDeleteInterval":-1`},
				{
					method: "PUT", path: "/sandbox/{box}/labels", body: `{"labels":{"of":"Go","more":"1"}}`, status: 200,
					want: `{"labels":{"more":"1","of":"Go"}}`,
				},
				{method: "GET", path: "/sandbox/{box}/ports/3000.0/preview-url", status: 200, want: `"token":"`},
				{method: "GET", path: "/sandbox/00000000-0000-4000-8000-000000000000", status: 404, want: `"statusCode":404`},
			},
		},
		{
			client: "Ruby", // names no sandbox
			create: `{"labels":{"code-toolbox-language":"python","of":"Ruby"},"env":{},"auto_stop_interval":null,"autoStopInterval":30,"volumes":[]}`,
			list:   `/sandbox?labels=%7B%22of%22%3A%22Ruby%22%7D&limit=100`,
			rows: []row{
				{method: "POST", path: "/sandbox/{box}/autostop/31", status: 200, want: `"autoStopInterval":31`},
				{method: "POST", path: "/sandbox/{box}/ttl/60", status: 200, want: `"autoDestroyAt":"2`},
				{method: "POST", path: "/sandbox/{box}/last-activity", status: 201},
				{
					method: "PUT", path: "/sandbox/{box}/labels", body: `{"labels":{"of":"Ruby"}}`, status: 200,
					want: `{"labels":{"of":"Ruby"}}`,
				},
				{method: "GET", path: "/sandbox/{box}/ports/2280/preview-url", status: 200, want: `"url":"http`},
				{method: "GET", path: "/sandbox/{box}/signing-key", status: 200},
				{method: "GET", path: "/sandbox/{box}/toolbox-proxy-url", status: 200, want: `/toolbox"}`},
			},
		},
		{
			client: "Java", // an empty body for a create without parameters
			create: `{}`,
			list:   `/sandbox?limit=100`,
			rows: []row{
				{
					method: "PUT", path: "/sandbox/{box}/labels", body: `{"labels":{"of":"Java"}}`, status: 200,
					want: `{"labels":{"of":"Java"}}`,
				},
				{method: "GET", path: "/sandbox?labels=%7B%22of%22%3A%22Java%22%7D&limit=100", status: 200, want: `{box}`},
				{method: "POST", path: "/sandbox/{box}/autostop/0", status: 200, want: `"autoStopInterval":0`},
			},
		},
	} {
		t.Run(tc.client, func(t *testing.T) {
			d := &daemon{t: t, base: s.API, of: contract.API(), header: http.Header{"Authorization": {"Bearer " + s.Key}}}
			for _, c := range callers {
				for _, h := range c.headers {
					if name, value, _ := strings.Cut(h, ": "); c.name == tc.client {
						d = d.with(name, value)
					}
				}
			}
			if d.header.Get("User-Agent") == "" {
				t.Fatal("no such client")
			}
			var box struct{ ID, Name, State, DesiredState string }
			if status := d.call("POST", "/sandbox", strings.NewReader(tc.create), &box); status != 200 ||
				box.State != "started" || box.DesiredState != "started" {
				t.Fatalf("create: %d %+v", status, box)
			}
			rows := append([]row{
				{method: "GET", path: "/sandbox/{box}", status: 200, want: `"id":"{box}"`},
				{method: "GET", path: tc.list, status: 200, want: `"id":"{box}"`},
			}, tc.rows...)
			rows = append(rows,
				row{method: "POST", path: "/sandbox/{box}/stop?force=false", status: 200, want: `"desiredState":"stopped"`},
				row{method: "GET", path: "/sandbox/{box}", status: 200, want: `"desiredState":"stopped"`},
				row{method: "POST", path: "/sandbox/{box}/start", status: 200, want: `"state":"started"`},
				row{method: "DELETE", path: "/sandbox/{box}", status: 200, want: `"desiredState":"destroyed"`},
			)
			for _, r := range rows {
				r.path, r.want = strings.ReplaceAll(r.path, "{box}", box.ID), strings.ReplaceAll(r.want, "{box}", box.ID)
				d.send(r, new(string))
			}
		})
	}
}

// TestThePassThroughCarriesWhatTheProxyDoes sends toolbox calls to the control API, as clients before 0.113 do:
// calls, large bodies, a log that is followed, a terminal, and a stranger's call.
func TestThePassThroughCarriesWhatTheProxyDoes(t *testing.T) {
	s, conn := small.up(t)
	box := conn.Create(nil)
	d := &daemon{
		t: t, base: s.API + "/toolbox/" + box.ID + "/toolbox",
		header: http.Header{"Authorization": {"Bearer " + s.Key}},
	}
	if code, out := d.exec("echo through; exit 3"); code != 3 || out != "through\n" {
		t.Errorf("a command: %d %q", code, out)
	}
	var older, work struct{ Dir string }
	if a, b := d.call("GET", "/project-dir", nil, &older), d.call("GET", "/work-dir", nil, &work); a != 200 ||
		b != 200 || older != work || work.Dir == "" {
		t.Errorf("project-dir: %d %q, work-dir: %d %q", a, older.Dir, b, work.Dir)
	}
	large := strings.Repeat("0123456789abcdef", 40<<20/16)
	form := "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\n" + large + "\r\n--b--\r\n"
	up := d.with("Content-Type", "multipart/form-data; boundary=b")
	// Of unknown length.
	res, err := up.open("POST", "/files/upload?path=/tmp/large", struct{ io.Reader }{strings.NewReader(form)})
	if err != nil || res.StatusCode != 200 {
		t.Fatalf("an upload of 40 MiB: %v, %v", res, err)
	}
	res.Body.Close()
	if got := d.text("/files/download?path=/tmp/large"); got != large {
		t.Errorf("40 MiB came back as %d bytes, or others", len(got))
	}
	d.session("s")
	command := d.start("s", "echo one; read x; echo two")
	ws, err := d.dial(command + "/logs?follow=true")
	if err != nil {
		t.Fatal(err)
	}
	if _, frame, err := ws.ReadMessage(); err != nil || !strings.Contains(string(frame), "one") {
		t.Errorf("a log that is followed began with %q, %v", frame, err)
	}
	if status := d.call("POST", command+"/input", map[string]string{"data": "x\n"}, nil); status != 204 {
		t.Errorf("input: %d", status)
	}
	for said := ""; !strings.Contains(said, "two"); {
		_, frame, err := ws.ReadMessage()
		if err != nil {
			t.Fatalf("a log that is followed ended with %v after %q", err, said)
		}
		said += string(frame)
	}
	term, err := d.dial("/process/pty/create-connect?id=t")
	if err != nil {
		t.Fatal(err)
	}
	if err := term.WriteMessage(websocket.BinaryMessage, []byte("echo 4$((1))4\n")); err != nil {
		t.Fatal(err)
	}
	for shown := ""; !strings.Contains(shown, "414"); {
		_, frame, err := term.ReadMessage()
		if err != nil {
			t.Fatalf("a terminal ended with %v after %q", err, shown)
		}
		shown += string(frame)
	}
	for key, want := range map[string]int{"": 401, "dtn_" + strings.Repeat("0", 64): 401} {
		bad := d.with("Authorization", strings.TrimSpace("Bearer "+key))
		if status := bad.call("POST", "/process/execute", map[string]string{"command": "true"}, nil); status != want {
			t.Errorf("with key %q: %d, want %d", key, status, want)
		}
	}
	if status := d.call("POST", "/init", map[string]string{}, nil); status != 404 {
		t.Errorf("the claim of a sandbox is the runner's, and was answered %d", status)
	}
}
