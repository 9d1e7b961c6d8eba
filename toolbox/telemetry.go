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
	"sync"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/internal/logkey"
	"github.com/sandlot-dev/sandlot/process/journal"
	"github.com/sandlot-dev/sandlot/session"
)

// gauge is one measured value.
type gauge struct {
	name string // in Prometheus
	otel string // in OpenTelemetry: for what published clients ask a collector's store about, the name that they ask by (api.md 13.1)
	help string
	unit string // as OpenTelemetry writes it

	value float64
}

// gauges measures what the sandbox may use and uses, and what the daemon itself does.
func (s *Server) gauges() []gauge {
	u := s.meter.Read()
	const box, self = "daytona.sandbox.", "sandlot.toolboxd."
	return []gauge{
		{"sandbox_cpu_cores", box + "cpu.limit", "Processors granted", "{cpu}", float64(u.CPUs)},
		{"sandbox_cpu_used_percent", box + "cpu.utilization", "Processor use of what is granted, mean since the last look", "%", u.CPUPercent},
		{"sandbox_memory_total_bytes", box + "memory.limit", "Memory granted", "By", float64(u.MemTotal)},
		{"sandbox_memory_used_bytes", box + "memory.usage", "Memory used, without what can be dropped", "By", float64(u.MemUsed)},
		{"sandbox_memory_cache_bytes", box + "memory.cache", "Memory of files that can be dropped", "By", float64(u.MemCache)},
		{"sandbox_disk_total_bytes", box + "filesystem.total", "Size of the root file system", "By", float64(u.DiskTotal)},
		{"sandbox_disk_used_bytes", box + "filesystem.usage", "Used of the root file system", "By", float64(u.DiskUsed)},
		{"sandbox_disk_free_bytes", box + "filesystem.free", "Free of the root file system", "By", float64(u.DiskFree)},
		{"toolboxd_goroutines", self + "goroutines", "Goroutines of the daemon", "{goroutine}", float64(runtime.NumGoroutine())},
		{"toolboxd_open_files", self + "open_files", "Descriptors the daemon has open", "{file}", float64(openFiles())},
		{"toolboxd_resident_bytes", self + "resident", "Resident memory of the daemon", "By", float64(resident())},
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

// Telemetry says where measurements and the output of the image's own program go.
type Telemetry struct {
	Endpoint   string            // of an OTLP collector that takes JSON over HTTP, without /v1/metrics
	Attributes map[string]string // of the sandbox
	Every      time.Duration     // between measurements; 0 means a minute
}

// Export sends the sandbox's measurements and the output of its entrypoint to a collector until ctx ends. What cannot be sent is told in the log,
// once until it works again, and dropped.
func (s *Server) Export(ctx context.Context, to Telemetry) {
	if to.Every == 0 {
		to.Every = time.Minute
	}
	client := &http.Client{Timeout: 10 * time.Second}
	var logs sync.WaitGroup
	defer logs.Wait()
	logs.Go(func() {
		if err := s.exportOutput(ctx, &exporter{s: s, client: client, to: to, signal: "logs"}); err != nil {
			s.cfg.Logger.Error("the entrypoint's output is sent to no collector any more", logkey.Err, err)
		}
	})
	metrics := &exporter{s: s, client: client, to: to, signal: "metrics"}
	tick := time.NewTicker(to.Every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		metrics.send(ctx, func() any { return otlpMetrics(s.gauges(), to.Attributes, time.Now()) })
	}
}

// exporter sends one signal of OpenTelemetry. It is for one goroutine.
type exporter struct {
	s      *Server
	client *http.Client
	to     Telemetry
	signal string // "metrics" or "logs"
	told   bool   // that it does not work
}

// send sends what data returns; a failure is told in the log if it is the first.
func (e *exporter) send(ctx context.Context, data func() any) {
	err := e.post(ctx, data)
	if err != nil && !e.told && ctx.Err() == nil {
		e.s.cfg.Logger.Warn(e.signal+" are not taken by the collector", logkey.Addr, e.to.Endpoint, logkey.Err, err)
	}
	e.told = err != nil
}

func (e *exporter) post(ctx context.Context, data func() any) (err error) {
	defer fault.Recovered(&err)
	body, err := json.Marshal(data())
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimRight(e.to.Endpoint, "/")+"/v1/"+e.signal, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	if token := e.s.token.Load(); token != nil {
		req.Header.Set("sandbox-auth-token", *token)
	}
	res, err := e.client.Do(req)
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

// Bounds of what is sent of the entrypoint's output at a time.
const (
	maxBatch = 256 << 10   // bytes
	maxLine  = 16 << 10    // bytes of a line; a longer one is sent in several records
	maxDelay = time.Second // that a line waits for others
)

// exportOutput sends the entrypoint's output, a record for a line, until it is over. While the collector is slow the journal holds what comes.
func (s *Server) exportOutput(ctx context.Context, e *exporter) (err error) {
	defer fault.Recovered(&err)
	cmd, err := s.cfg.Sessions.Entrypoint().Command(session.EntrypointCommand)
	if err != nil {
		return nil // the image starts nothing
	}
	ctx, stop := context.WithCancel(ctx)
	chunks := make(chan journal.Chunk)
	var reader sync.WaitGroup
	reader.Go(func() {
		defer close(chunks)
		_ = copyChunks(ctx, cmd, chunks) // it ends with the program or with ctx
	})
	defer reader.Wait()
	defer stop()
	lines := lineSplitter{send: func(batch []outputLine) {
		e.send(ctx, func() any { return otlpLogs(batch, e.to.Attributes) })
	}}
	var late <-chan time.Time
	for {
		select {
		case c, more := <-chunks:
			if !more {
				lines.end()
				return nil
			}
			lines.add(c, time.Now())
			if late == nil {
				late = time.After(maxDelay)
			}
		case <-late:
			lines.flush()
			late = nil
		}
	}
}

func copyChunks(ctx context.Context, cmd *session.Command, to chan<- journal.Chunk) (err error) {
	defer fault.Recovered(&err)
	return cmd.Follow(ctx, 0, func(c journal.Chunk) error {
		c.Data = bytes.Clone(c.Data)
		select {
		case to <- c:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
}

// outputLine is a line of a program's output, or a part of a long one.
type outputLine struct {
	stream journal.Stream
	text   string
	at     time.Time // that it was read
}

// lineSplitter makes batches of lines of chunks.
type lineSplitter struct {
	send  func([]outputLine)
	rest  [journal.Stderr + 1][]byte // of each stream, behind the last line end
	batch []outputLine
	size  int // of batch, about, in bytes
	at    time.Time
}

func (l *lineSplitter) add(c journal.Chunk, at time.Time) {
	l.at = at
	if c.Skipped > 0 {
		l.line(c.Stream, bytes.TrimSpace(droppedNotice(c.Skipped)))
	}
	rest := append(l.rest[c.Stream], c.Data...)
	for len(rest) > 0 {
		end := bytes.IndexByte(rest[:min(len(rest), maxLine)], '\n')
		switch {
		case end >= 0:
			l.line(c.Stream, rest[:end])
			rest = rest[end+1:]
		case len(rest) >= maxLine:
			n := maxLine
			if whole := wholeRunes(rest[:n]); whole > 0 {
				n = whole
			}
			l.line(c.Stream, rest[:n])
			rest = rest[n:]
		default:
			l.rest[c.Stream] = append(l.rest[c.Stream][:0], rest...)
			return
		}
	}
	l.rest[c.Stream] = l.rest[c.Stream][:0]
}

func (l *lineSplitter) line(s journal.Stream, text []byte) {
	l.batch = append(l.batch, outputLine{s, strings.ToValidUTF8(string(bytes.TrimSuffix(text, []byte("\r"))), "\uFFFD"), l.at})
	if l.size += len(text) + 128; l.size >= maxBatch { // with what a record costs besides
		l.flush()
	}
}

// end makes lines of what has no line end.
func (l *lineSplitter) end() {
	for s, rest := range l.rest {
		if len(rest) > 0 {
			l.line(journal.Stream(s), rest)
		}
	}
	l.flush()
}

func (l *lineSplitter) flush() {
	if len(l.batch) > 0 {
		l.send(l.batch)
	}
	l.batch, l.size = l.batch[:0], 0
}

type otlpObject = map[string]any

func otlpAttributes(attributes map[string]string) (list []otlpObject) {
	for key, value := range attributes {
		list = append(list, otlpObject{"key": key, "value": otlpObject{"stringValue": value}})
	}
	return list
}

func otlpTime(t time.Time) string { return strconv.FormatInt(t.UnixNano(), 10) }

// otlpMetrics is an ExportMetricsServiceRequest of the OpenTelemetry protocol 1.x, in its JSON encoding.
func otlpMetrics(gauges []gauge, attributes map[string]string, at time.Time) any {
	var metrics []otlpObject
	for _, g := range gauges {
		metrics = append(metrics, otlpObject{"name": g.otel, "description": g.help, "unit": g.unit, "gauge": otlpObject{
			"dataPoints": []otlpObject{{"timeUnixNano": otlpTime(at), "asDouble": g.value}},
		}})
	}
	return otlpObject{"resourceMetrics": []otlpObject{{
		"resource":     otlpObject{"attributes": otlpAttributes(attributes)},
		"scopeMetrics": []otlpObject{{"scope": otlpObject{"name": "toolboxd"}, "metrics": metrics}},
	}}}
}

// otlpLogs is an ExportLogsServiceRequest of the same. What stands on stderr is no error by that, so that no severity is told.
func otlpLogs(lines []outputLine, attributes map[string]string) any {
	type value struct {
		StringValue string `json:"stringValue"`
	}
	type attribute struct {
		Key   string `json:"key"`
		Value value  `json:"value"`
	}
	type record struct {
		TimeUnixNano         string      `json:"timeUnixNano"`
		ObservedTimeUnixNano string      `json:"observedTimeUnixNano"`
		Body                 value       `json:"body"`
		Attributes           []attribute `json:"attributes"`
	}
	attrs := map[journal.Stream][]attribute{
		journal.Stdout: {{"log.iostream", value{"stdout"}}}, journal.Stderr: {{"log.iostream", value{"stderr"}}},
	}
	records := make([]record, len(lines))
	for i, l := range lines {
		at := otlpTime(l.at)
		records[i] = record{at, at, value{l.text}, attrs[l.stream]}
	}
	return otlpObject{"resourceLogs": []otlpObject{{
		"resource":  otlpObject{"attributes": otlpAttributes(attributes)},
		"scopeLogs": []otlpObject{{"scope": otlpObject{"name": "entrypoint"}, "logRecords": records}},
	}}}
}
