package toolbox

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/internal/logkey"
)

// gauge is one measured value, under the name that Prometheus and OpenTelemetry know it by.
type gauge struct {
	name, help, unit string // unit as OpenTelemetry writes it
	value            float64
}

// gauges measures what the sandbox may use and uses, and what the daemon itself does.
func (s *Server) gauges() []gauge {
	u := s.meter.Read()
	return []gauge{
		{"sandbox_cpu_cores", "Processors granted", "{cpu}", float64(u.CPUs)},
		{"sandbox_cpu_used_percent", "Processor use of what is granted, mean since the last look", "%", u.CPUPercent},
		{"sandbox_memory_total_bytes", "Memory granted", "By", float64(u.MemTotal)},
		{"sandbox_memory_used_bytes", "Memory used, without what can be dropped", "By", float64(u.MemUsed)},
		{"sandbox_memory_cache_bytes", "Memory of files that can be dropped", "By", float64(u.MemCache)},
		{"sandbox_disk_total_bytes", "Size of the root file system", "By", float64(u.DiskTotal)},
		{"sandbox_disk_used_bytes", "Used of the root file system", "By", float64(u.DiskUsed)},
		{"sandbox_disk_free_bytes", "Free of the root file system", "By", float64(u.DiskFree)},
		{"toolboxd_goroutines", "Goroutines of the daemon", "{goroutine}", float64(runtime.NumGoroutine())},
		{"toolboxd_open_files", "Descriptors the daemon has open", "{file}", float64(openFiles())},
		{"toolboxd_resident_bytes", "Resident memory of the daemon", "By", float64(resident())},
	}
}

func openFiles() int {
	list, _ := os.ReadDir("/proc/self/fd") // 0 where there is no /proc
	return len(list)
}

func resident() int {
	raw, _ := os.ReadFile("/proc/self/statm") // 0 where there is no /proc
	fields := strings.Fields(string(raw))
	if len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.Atoi(fields[1]) // the kernel writes numbers
	return pages * os.Getpagesize()
}

// prometheus handles GET /metrics.
func (s *Server) prometheus(c *gin.Context) error {
	var b strings.Builder
	for _, g := range s.gauges() {
		fmt.Fprintf(&b, "# HELP %s %s\n# TYPE %s gauge\n%s %s\n", g.name, g.help, g.name, g.name, strconv.FormatFloat(g.value, 'g', -1, 64))
	}
	c.Data(http.StatusOK, "text/plain; version=0.0.4; charset=utf-8", []byte(b.String()))
	return nil
}

// Telemetry says where measurements go.
type Telemetry struct {
	Endpoint   string            // of an OTLP collector that takes JSON over HTTP, without /v1/metrics
	Attributes map[string]string // of the sandbox
	Every      time.Duration     // 0 means a minute
}

// Export sends the sandbox's measurements to a collector until ctx ends. What cannot be sent is told in the log, once until it works
// again, and dropped.
func (s *Server) Export(ctx context.Context, to Telemetry) {
	if to.Every == 0 {
		to.Every = time.Minute
	}
	tick := time.NewTicker(to.Every)
	defer tick.Stop()
	client := &http.Client{Timeout: 10 * time.Second}
	told := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		err := s.send(ctx, client, to)
		if err != nil && !told {
			s.cfg.Logger.Warn("measurements are not taken by the collector", logkey.Addr, to.Endpoint, logkey.Err, err)
		}
		told = err != nil
	}
}

func (s *Server) send(ctx context.Context, client *http.Client, to Telemetry) (err error) {
	defer fault.Recovered(&err)
	body, err := json.Marshal(otlp(s.gauges(), to.Attributes, time.Now()))
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimRight(to.Endpoint, "/")+"/v1/metrics", bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	if token := s.token.Load(); token != nil {
		req.Header.Set("sandbox-auth-token", *token)
	}
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, res.Body.Close()) }()
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 64<<10)) // so that the connection is used again
	if res.StatusCode >= http.StatusMultipleChoices {
		return fmt.Errorf("the collector answered %s", res.Status)
	}
	return nil
}

// otlp is an OTLP metrics request in its JSON encoding (OpenTelemetry protocol 1.x, ExportMetricsServiceRequest).
func otlp(gauges []gauge, attributes map[string]string, at time.Time) any {
	type object = map[string]any
	var attrs, metrics []object
	for key, value := range attributes {
		attrs = append(attrs, object{"key": key, "value": object{"stringValue": value}})
	}
	for _, g := range gauges {
		metrics = append(metrics, object{"name": g.name, "description": g.help, "unit": g.unit, "gauge": object{
			"dataPoints": []object{{"timeUnixNano": strconv.FormatInt(at.UnixNano(), 10), "asDouble": g.value}},
		}})
	}
	return object{"resourceMetrics": []object{{
		"resource":     object{"attributes": attrs},
		"scopeMetrics": []object{{"scope": object{"name": "toolboxd"}, "metrics": metrics}},
	}}}
}
