package serve_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/sandlot-dev/sandlot/internal/serve"
)

func TestCutKeepsLettersWhole(t *testing.T) {
	for most := range 12 {
		got := serve.Cut("aé…é…z", most)
		if !utf8.ValidString(got) || len(got) > max(most, len("…")) || most == 12 && got != "aé…é…z" {
			t.Errorf("Cut to %d = %q", most, got)
		}
	}
	if got := serve.Cut("as it is", 8); got != "as it is" {
		t.Errorf("a text that fits became %q", got)
	}
	if got := serve.Cut("a\xffb", 8); got != "a?b" {
		t.Errorf("bytes that are no letters became %q", got)
	}
}

func TestShortErrorsKeepTheirCause(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	_ = ln.Close() // so that it refuses
	_, err = net.Dial("tcp", addr)
	for _, err := range []error{err, fmt.Errorf("broken: %w", &net.OpError{Op: "readfrom", Err: err})} {
		if got := serve.Short(err); strings.Contains(got.Error(), "127") || !strings.Contains(got.Error(), "refused") ||
			!errors.Is(got, syscall.ECONNREFUSED) {
			t.Errorf("%v became %v", err, got)
		}
	}
}

// What an app sends after its answer, unasked, is repeated by net/http in its log: it must not fill ours.
func TestWordsThatNobodyAskedForAreCutInTheLog(t *testing.T) {
	var written lines
	before, flags := log.Writer(), log.Flags()
	defer func() {
		log.SetOutput(before)
		log.SetFlags(flags)
	}()
	log.SetOutput(serve.CutLines(&written, 1000))
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close() // done with it
	var app sync.WaitGroup
	answered := make(chan struct{})
	app.Go(func() {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		defer conn.Close() // said all
		_, _ = conn.Read(make([]byte, 1000))
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		<-answered
		_, _ = io.WriteString(conn, strings.Repeat("\x01", 60<<10)) // the other end may have heard enough
	})
	client := http.Client{Transport: &http.Transport{ReadBufferSize: 64 << 10}}
	res, err := client.Get("http://" + ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close() // empty
	close(answered)
	for deadline := time.Now().Add(5 * time.Second); written.String() == "" && time.Now().Before(deadline); {
		app.Wait()
	}
	if got := written.String(); !strings.Contains(got, "Unsolicited") || len(got) > 1001 {
		t.Errorf("%d bytes were logged: %.200s", len(got), got)
	}
}

// lines is a log that can be read while it is written.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
