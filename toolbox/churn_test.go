package toolbox_test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sandlot-dev/sandlot/process"
)

// TestClientsThatVanishLeaveNothing connects in every way that lasts and breaks the connection without a word.
func TestClientsThatVanishLeaveNothing(t *testing.T) {
	base := newServer(t, process.Config{})
	total := 5_000
	if testing.Short() || os.Getenv("SANDLOT_FULL") == "" {
		total = 400
	}
	post(t, base+"/process/session", map[string]string{"sessionId": "s"}, nil)
	cmd := exec(t, base+"/process/session/s", "sleep 600")
	logs := strings.TrimPrefix(cmd, base) + "/logs?follow=true"
	http.DefaultClient.CloseIdleConnections()
	descriptors := func() int {
		names, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(names)
	}
	goroutines, fds := runtime.NumGoroutine(), descriptors()

	addr := strings.TrimPrefix(base, "http://")
	upgrade := "Connection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
	var clients sync.WaitGroup
	for w := range 4 {
		clients.Go(func() {
			for i := w; i < total; i += 4 {
				request := ""
				switch i % 4 {
				case 0:
					request = "GET " + logs + " HTTP/1.1\r\nHost: x\r\n" + upgrade + "\r\n"
				case 1:
					request = fmt.Sprintf("GET /process/pty/create-connect?id=%d HTTP/1.1\r\nHost: x\r\n%s\r\n", i, upgrade)
				case 2:
					body := `{"command":"sleep 0.01"}`
					request = fmt.Sprintf("POST /process/execute HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
				case 3:
					request = "POST /process/execute HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{\"comm"
				}
				conn, err := net.Dial("tcp", addr)
				if err != nil {
					t.Error(err)
					return
				}
				_, _ = conn.Write([]byte(request))
				if i%4 < 2 {
					if _, err := bufio.NewReader(conn).ReadString('\n'); err != nil {
						t.Error(err)
					}
				}
				_ = conn.(*net.TCPConn).SetLinger(0) // reset
				_ = conn.Close()
				if i%4 == 1 {
					res, _ := call(t, "DELETE", fmt.Sprintf("%s/process/pty/%d", base, i), nil)
					if res.StatusCode != 200 {
						t.Errorf("terminal %d: delete gave %d", i, res.StatusCode)
					}
				}
			}
		})
	}
	clients.Wait()
	http.DefaultClient.CloseIdleConnections()
	deadline := time.Now().Add(10 * time.Second)
	for runtime.NumGoroutine() > goroutines+2 || descriptors() > fds+2 {
		if time.Now().After(deadline) {
			buf := make([]byte, 1<<20)
			t.Fatalf("goroutines %d → %d, descriptors %d → %d\n%s", goroutines, runtime.NumGoroutine(), fds,
				descriptors(), buf[:runtime.Stack(buf, true)])
		}
		runtime.Gosched()
	}
}
