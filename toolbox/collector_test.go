package toolbox_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sandlot-dev/sandlot/process"
	"github.com/sandlot-dev/sandlot/session"
	"github.com/sandlot-dev/sandlot/toolbox"
)

func TestMeasurementsInPrometheusForm(t *testing.T) {
	srv := newToolbox(t, t.TempDir())
	w := httptest.NewRecorder()
	srv.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	values, described := map[string]string{}, 0
	for lines := bufio.NewScanner(w.Body); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), "# ") {
			described++
			continue
		}
		name, value, _ := strings.Cut(lines.Text(), " ")
		values[name] = value
	}
	if w.Code != http.StatusOK || described != 2*len(values) ||
		!strings.HasPrefix(w.Header().Get("Content-Type"), "text/plain; version=0.0.4") {
		t.Errorf("status %d, type %q, %d values with %d descriptions", w.Code, w.Header().Get("Content-Type"),
			len(values), described)
	}
	for _, name := range []string{
		"sandbox_cpu_cores", "sandbox_memory_total_bytes", "sandbox_disk_free_bytes",
		"toolboxd_goroutines", "toolboxd_resident_bytes",
	} {
		if v := values[name]; v == "" || v == "0" {
			t.Errorf("%s = %q", name, v)
		}
	}
}

func TestMeasurementsReachACollector(t *testing.T) {
	type request struct {
		ResourceMetrics []struct {
			Resource struct {
				Attributes []struct {
					Key   string
					Value struct{ StringValue string }
				}
			}
			ScopeMetrics []struct {
				Metrics []struct {
					Name  string
					Gauge struct {
						DataPoints []struct {
							TimeUnixNano string
							AsDouble     float64
						}
					}
				}
			}
		}
	}
	got, token := make(chan request, 8), make(chan string, 8)
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var req request
		if err := json.NewDecoder(r.Body).Decode(&req); err != nil || r.URL.Path != "/v1/metrics" {
			t.Errorf("%s: %v", r.URL.Path, err)
		}
		select {
		case got <- req:
			token <- r.Header.Get("sandbox-auth-token")
		default:
		}
	}))
	defer collector.Close()
	srv := newToolbox(t, t.TempDir())
	w := httptest.NewRecorder()
	srv.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/init", strings.NewReader(`{"token":"tok"}`)))
	ctx, end := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		srv.Export(ctx, toolbox.Telemetry{
			Endpoint:   collector.URL + "/",
			Attributes: map[string]string{"service.name": "sandbox-x"}, Every: time.Millisecond,
		})
		close(ended)
	}()
	req := <-got
	end()
	<-ended
	rm := req.ResourceMetrics[0]
	if rm.Resource.Attributes[0].Value.StringValue != "sandbox-x" || len(rm.ScopeMetrics[0].Metrics) < 8 ||
		<-token != "tok" {
		t.Errorf("collector got %+v", req)
	}
	for i, name := range []string{ // that the published clients ask a collector's store for
		"cpu.limit", "cpu.utilization", "memory.limit", "memory.usage", "memory.cache", "filesystem.total",
		"filesystem.usage",
	} {
		if got := rm.ScopeMetrics[0].Metrics[i].Name; got != "daytona.sandbox."+name {
			t.Errorf("metric %d is %s, want daytona.sandbox.%s", i, got, name)
		}
	}
	if p := rm.ScopeMetrics[0].Metrics[0].Gauge.DataPoints; len(p) != 1 || p[0].AsDouble < 1 ||
		len(p[0].TimeUnixNano) < 18 {
		t.Errorf("first point %+v", p)
	}
}

// TestEntrypointOutputReachesACollector prints in pieces on both streams, much at once, and what is no text.
func TestEntrypointOutputReachesACollector(t *testing.T) {
	type request struct {
		ResourceLogs []struct {
			Resource struct {
				Attributes []struct {
					Key   string
					Value struct{ StringValue string }
				}
			}
			ScopeLogs []struct {
				LogRecords []struct {
					TimeUnixNano string
					Body         struct{ StringValue string }
					Attributes   []struct {
						Key   string
						Value struct{ StringValue string }
					}
				}
			}
		}
	}
	var mu sync.Mutex
	lines, posts, refuse := map[string][]string{}, 0, true
	collector := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if posts++; refuse {
			refuse = false
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		var req request
		body, err := io.ReadAll(r.Body)
		if err = errors.Join(err, json.Unmarshal(body, &req)); err != nil || r.URL.Path != "/v1/logs" || len(body) > 2<<20 {
			t.Errorf("%s, %d bytes: %v", r.URL.Path, len(body), err)
			return
		}
		if a := req.ResourceLogs[0].Resource.Attributes[0]; a.Key != "service.name" || a.Value.StringValue != "sandbox-x" {
			t.Errorf("of %+v", a)
		}
		for _, l := range req.ResourceLogs[0].ScopeLogs[0].LogRecords {
			stream := l.Attributes[0].Value.StringValue
			lines[stream] = append(lines[stream], l.Body.StringValue)
		}
	}))
	defer collector.Close()
	processes, err := process.NewManager(process.Config{Dir: t.TempDir(), Env: os.Environ()})
	if err != nil {
		t.Fatal(err)
	}
	defer processes.Close(0)
	sessions, err := session.NewManager(session.Config{Processes: processes})
	if err != nil {
		t.Fatal(err)
	}
	log := &strings.Builder{}
	srv, err := toolbox.New(toolbox.Config{
		WorkDir: "/", Home: "/", Version: "v0", Logger: slog.New(slog.NewTextHandler(log,
			nil)), Process: processes, Sessions: sessions,
	})
	if err != nil {
		t.Fatal(err)
	}
	srv.Export(canceled(t), toolbox.Telemetry{Endpoint: collector.URL}) // without an entrypoint
	hold := t.TempDir() + "/go"
	if _, err := sessions.StartEntrypoint([]string{"/bin/sh", "-c", `echo lost; until test -e "$0"; do sleep 0.05; done
		printf par; sleep 0.1; printf 'tial\r\n\nerr\377or\n' ; echo bad >&2; head -c 40000 /dev/zero | tr '\0' x; echo
		i=0; while test $i -lt 3000; do echo; i=$((i+1)); done; seq 20000; printf end`, hold}); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		srv.Export(ctx, toolbox.Telemetry{
			Endpoint:   collector.URL,
			Attributes: map[string]string{"service.name": "sandbox-x"},
		})
		close(ended)
	}()
	wait := func(what string, done func() bool) {
		t.Helper()
		for deadline := time.Now().Add(20 * time.Second); ; runtime.Gosched() {
			mu.Lock()
			ok := done()
			mu.Unlock()
			if ok {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("no %s after 20 s: %d posts", what, posts)
			}
		}
	}
	wait("first post", func() bool { return posts == 1 }) // within a second, though the program goes on
	if err := os.WriteFile(hold, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	wait("last line", func() bool { l := lines["stdout"]; return len(l) > 0 && l[len(l)-1] == "end" })
	stop()
	<-ended
	out := lines["stdout"]
	x := strings.Repeat("x", 16<<10)
	want := []string{"partial", "", "err\uFFFDor", x, x, strings.Repeat("x", 40000-2<<14)}
	if !slices.Equal(out[:min(len(out), len(want))], want) || len(out) != len(want)+3000+20000+1 ||
		out[len(out)-2] != "20000" || !slices.Equal(lines["stderr"], []string{"bad"}) {
		t.Errorf("%d lines, first %.60q, on stderr %q", len(out), out[:min(len(out), 8)], lines["stderr"])
	}
	if n := strings.Count(log.String(), "logs are not taken by the collector"); n != 1 {
		t.Errorf("told %d times: %s", n, log)
	}
}

func canceled(t *testing.T) context.Context {
	ctx, stop := context.WithCancel(t.Context())
	stop()
	return ctx
}
