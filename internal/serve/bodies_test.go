package serve_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/internal/serve"
)

// bodyServer decodes every body that it is sent and answers the length of the name in it.
func bodyServer(t *testing.T, each, all int64, within time.Duration) (addr string) {
	t.Helper()
	f := &serve.Face{Source: "S", Logger: slog.New(slog.DiscardHandler)}
	f.Bodies.Each, f.Bodies.All, f.Bodies.Within = each, all, within
	e := f.NewEngine()
	e.POST("/", f.Wrap(func(c *gin.Context) error {
		var in struct{ Name string }
		if err := serve.Decode(c, &in); err != nil {
			return err
		}
		c.String(http.StatusOK, "%d", len(in.Name))
		return nil
	}))
	s := httptest.NewServer(e)
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

func post(addr string, name int) (status int, answer string) {
	res, err := http.Post("http://"+addr, "", strings.NewReader(`{"name":"`+strings.Repeat("x", name)+`"}`))
	if err != nil {
		return 0, err.Error()
	}
	defer res.Body.Close()
	all, _ := io.ReadAll(res.Body)
	return res.StatusCode, string(all)
}

// TestStalledBodiesHoldNoMoreThanTheyMay has many clients that send most of a large body and no more.
func TestStalledBodiesHoldNoMoreThanTheyMay(t *testing.T) {
	const each, all = 1 << 20, 4 << 20
	addr := bodyServer(t, each, all, 3*time.Second)
	var stalled sync.WaitGroup
	answers := make(chan string, 60)
	sent := make(chan struct{}, 60)
	for range 60 {
		stalled.Go(func() {
			var d net.Dialer
			conn, err := d.DialContext(context.Background(), "tcp", addr)
			if err != nil {
				answers <- err.Error()
				return
			}
			defer conn.Close()
			_, _ = fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", each-100)
			_, _ = conn.Write(make([]byte, each-1000))
			sent <- struct{}{}
			_ = conn.SetReadDeadline(time.Now().Add(20 * time.Second))
			head := make([]byte, 12)
			if _, err := io.ReadFull(conn, head); err != nil {
				answers <- err.Error()
				return
			}
			answers <- string(head[9:])
		})
	}
	for range 60 {
		<-sent
	}
	if status, answer := post(addr, 8<<10); status != http.StatusOK {
		t.Errorf("a small body beside stalled ones: %d %s", status, answer)
	}
	stalled.Wait()
	close(answers)
	count := map[string]int{}
	for a := range answers {
		count[a]++
	}
	if count["408"] == 0 || count["408"] > all/each+1 || count["503"] == 0 || count["408"]+count["503"] != 60 {
		t.Errorf("stalled bodies were answered with %v; want 408 for what the budget holds and 503 for the rest", count)
	}
	for range 10 { // and nothing is held after them
		if status, answer := post(addr, each-100); status != http.StatusOK || answer != fmt.Sprint(each-100) {
			t.Fatalf("a large body after them: %d %s", status, answer)
		}
	}
	if status, _ := post(addr, each); status != http.StatusRequestEntityTooLarge {
		t.Errorf("a body over the limit: %d", status)
	}
}

// TestADeadlineOfABodyEndsWithIt has a connection that is used again after longer than a body may take.
func TestADeadlineOfABodyEndsWithIt(t *testing.T) {
	addr := bodyServer(t, 0, 0, 100*time.Millisecond)
	var d net.Dialer
	conn, err := d.DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for range 3 {
		_, _ = fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 14\r\n\r\n{\"name\":\"abc\"}")
		buf := make([]byte, 1024)
		n, err := conn.Read(buf)
		if err != nil || !strings.Contains(string(buf[:n]), "200 OK") {
			t.Fatalf("%q, %v", buf[:n], err)
		}
		<-time.After(150 * time.Millisecond)
	}
}

// TestAnAnswerDoesNotWaitForABodyWithoutEnd has a client that is refused, without gin, and never sends the body that
// it has announced.
func TestAnAnswerDoesNotWaitForABodyWithoutEnd(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		serve.Answer(w, serve.NewBody("S", r, fault.New(fault.Unauthenticated, "no")))
	}))
	defer s.Close()
	var d net.Dialer
	conn, err := d.DialContext(t.Context(), "tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
	_, _ = fmt.Fprint(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n")
	if answer, err := io.ReadAll(conn); err != nil || !strings.Contains(string(answer), " 401 ") {
		t.Errorf("answered with %q, %v", answer, err)
	}
}
