//go:build e2e

package e2e_test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/sandlot-dev/sandlot/tests/harness"
)

// A client whose network goes away says nothing: no end, no reset. Its connections must not be kept for ever, be they
// idle or written to.
func TestClientsThatVanishAreNoticed(t *testing.T) {
	harness.Image(t, "", harness.Busybox)
	program, err := harness.Bin("toolboxd")
	if err != nil {
		t.Fatal(err)
	}
	docker := func(args ...string) string {
		t.Helper()
		out, err := harness.Docker("", nil, args...)
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(out)
	}
	network := docker("network", "create", "--driver", "bridge", fmt.Sprintf("vanish-%d", time.Now().UnixNano()))
	t.Cleanup(func() { _, _ = harness.Docker("", nil, "network", "rm", network) })
	run := func(args ...string) string {
		id := docker(append([]string{"run", "-d", "--network", network}, args...)...)
		t.Cleanup(func() { _, _ = harness.Docker("", nil, "rm", "-f", id) })
		return id
	}
	server := run("-v", program+":/opt/sandlot/toolboxd:ro", "-e", "SANDLOT_PEER_SILENCE=4s", "--entrypoint",
		"/opt/sandlot/toolboxd", harness.Busybox)
	addr := docker("inspect", "-f", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", server)
	c := &daemon{t: t, base: "http://" + addr + ":2280"}
	harness.Until(t, 10*time.Second, "the toolbox answers", func() bool {
		res, err := http.Get(c.base + "/version")
		if err == nil {
			res.Body.Close()
		}
		return err == nil && res.StatusCode == http.StatusOK
	})

	post := func(path, body string) string {
		t.Helper()
		res, err := http.Post(c.base+path, "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		data, _ := io.ReadAll(res.Body)
		if res.StatusCode >= 300 {
			t.Fatalf("POST %s: %s: %s", path, res.Status, data)
		}
		return string(data)
	}
	post("/process/session", `{"sessionId":"s"}`)
	post("/process/session", `{"sessionId":"quiet"}`)
	id := func(answer string) string { return strings.Split(strings.SplitN(answer, `"cmdId":"`, 2)[1], `"`)[0] }
	busy := id(post("/process/session/s/exec", `{"command":"while :; do echo line; sleep 0.05; done","runAsync":true}`))
	quiet := id(post("/process/session/quiet/exec", `{"command":"sleep 1000","runAsync":true}`))
	post("/process/pty", `{"id":"p"}`)

	open := func() int { // connections of the client, as the server's kernel has them
		out := docker("exec", server, "cat", "/proc/net/tcp", "/proc/net/tcp6")
		n := 0
		for line := range strings.Lines(out) {
			f := strings.Fields(line)
			if len(f) > 3 && strings.HasSuffix(f[1], ":08E8") && f[3] == "01" {
				n++
			}
		}
		return n
	}
	http.DefaultClient.CloseIdleConnections()
	harness.Until(t, 10*time.Second, "no connection but the client's", func() bool { return open() == 0 })
	before := descriptorsIn(t, server)

	get := func(path, header string) string {
		return fmt.Sprintf(`(printf 'GET %s HTTP/1.1\r\nHost: x\r\n%s\r\n'; sleep 1000) | nc %s 2280 >/dev/null & `, path,
			header, addr)
	}
	const socket = `Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n`
	client := run("--entrypoint", "sh", harness.Busybox, "-c",
		get("/process/session/s/command/"+busy+"/logs?follow=true", socket)+
			get("/process/session/s/command/"+busy+"/logs?stream=true", "")+
			get("/process/session/quiet/command/"+quiet+"/logs?follow=true", socket)+
			get("/process/session/quiet/command/"+quiet+"/logs?stream=true", "")+
			get("/process/pty/p/connect", socket)+"wait")
	harness.Until(t, 10*time.Second, "five connections", func() bool { return open() == 5 })

	docker("network", "disconnect", "-f", network, client)
	began := time.Now()
	harness.Until(t, 30*time.Second, "no connection of a client that is gone", func() bool { return open() == 0 })
	t.Logf("noticed after %v", time.Since(began).Round(100*time.Millisecond))
	harness.Until(t, 10*time.Second, "descriptors as before", func() bool { return descriptorsIn(t, server) <= before })
	if got := post("/process/session/s/command/"+busy+"/input", `{"data":"x"}`); got != "" {
		t.Errorf("the command does not run any more: %s", got)
	}
}

// descriptorsIn counts those of a container's process 1.
func descriptorsIn(t *testing.T, container string) int {
	t.Helper()
	pid, err := harness.Docker("", nil, "inspect", "-f", "{{.State.Pid}}", container)
	if err != nil {
		t.Fatal(err)
	}
	names, err := os.ReadDir("/proc/" + strings.TrimSpace(pid) + "/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(names)
}
