package proxy_test

import (
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/sandlot-dev/sandlot/internal/lifecycle"
)

var update = flag.Bool("update", false, "write testdata anew")

// Each state has a sentence and an advice of its own, for who asks in it and for whose request it cuts off.
func TestEachStateHasItsOwnSentence(t *testing.T) {
	arrived := make(chan struct{}, 1)
	var told strings.Builder
	advice := map[string]string{}
	for _, state := range append(lifecycle.States, "archived", "restoring") {
		f, p, srv := world(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			arrived <- struct{}{}
			<-r.Context().Done()
		}))
		path := "/toolbox/" + id + "/execute"
		came := ask(t, srv, http.MethodPost, path, nil)
		<-arrived
		f.set(func(f *fleet) {
			f.target.State, f.target.Reason, f.target.Addr, f.target.Since = string(state), "", netip.Addr{}, time.Unix(1, 0)
			if state == lifecycle.Stopped || state == lifecycle.Error {
				f.target.Reason = killed
			}
		})
		p.Forget(id)
		cut := refusalOf(t, within(t, "the request in "+string(state), came).body)
		asked := refusalOf(t, within(t, "another", ask(t, srv, http.MethodPost, path, nil)).body)
		_, _ = fmt.Fprintf(&told, "%s\n  cut off: %s\n  asked:   %s\n", state, cut.Message, asked.Message)
		for _, message := range []string{cut.Message, asked.Message} {
			if strings.Contains(message, "EOF") || !strings.Contains(message, "; ") {
				t.Errorf("%s: %q", state, message)
			}
		}
		if other := advice[asked.Message]; other != "" {
			t.Errorf("%s and %s are answered alike: %s", state, other, asked.Message)
		}
		advice[asked.Message] = string(state)
	}
	const golden = "testdata/states.txt"
	if *update {
		if err := os.WriteFile(golden, []byte(told.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil || told.String() != string(want) {
		t.Errorf("%v; the states are told as\n%s\nwant\n%s", err, told.String(), want)
	}
}

// A connection that breaks without any news of the sandbox is told in words.
func TestBrokenConnectionsAreToldInWords(t *testing.T) {
	_, _, srv := world(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/halfway") {
			if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
				_, _ = conn.Write([]byte("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n"))
				_ = conn.Close()
			}
			return
		}
		_, _ = io.Copy(io.Discard, r.Body) // to where it ends
		panic(http.ErrAbortHandler)
	}))
	for _, path := range []string{"/execute", "/halfway"} {
		got := within(t, "the request", ask(t, srv, http.MethodPost, "/toolbox/"+id+path, nil))
		if r := refusalOf(t, got.body); got.status != http.StatusBadGateway || strings.Contains(r.Message, "EOF") || !strings.Contains(r.Message, "closed the connection") {
			t.Errorf("%s: answered %+v", path, got)
		}
	}
}
