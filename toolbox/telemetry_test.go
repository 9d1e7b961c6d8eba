package toolbox_test

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

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
	if w.Code != http.StatusOK || described != 2*len(values) || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/plain; version=0.0.4") {
		t.Errorf("status %d, type %q, %d values with %d descriptions", w.Code, w.Header().Get("Content-Type"), len(values), described)
	}
	for _, name := range []string{"sandbox_cpu_cores", "sandbox_memory_total_bytes", "sandbox_disk_free_bytes", "toolboxd_goroutines", "toolboxd_resident_bytes"} {
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
		srv.Export(ctx, toolbox.Telemetry{Endpoint: collector.URL + "/", Attributes: map[string]string{"service.name": "sandbox-x"}, Every: time.Millisecond})
		close(ended)
	}()
	req := <-got
	end()
	<-ended
	rm := req.ResourceMetrics[0]
	if rm.Resource.Attributes[0].Value.StringValue != "sandbox-x" || len(rm.ScopeMetrics[0].Metrics) < 8 || <-token != "tok" {
		t.Errorf("collector got %+v", req)
	}
	if p := rm.ScopeMetrics[0].Metrics[0].Gauge.DataPoints; len(p) != 1 || p[0].AsDouble < 1 || len(p[0].TimeUnixNano) < 18 {
		t.Errorf("first point %+v", p)
	}
}
