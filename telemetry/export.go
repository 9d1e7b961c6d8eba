package telemetry

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"sync"
	"time"

	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/internal/logkey"
	"github.com/sandlot-dev/sandlot/process/journal"
)

// Signal is a kind of telemetry, as OpenTelemetry names it.
type Signal string

// The signals that are exported.
const (
	Metrics Signal = "metrics"
	Logs    Signal = "logs"
)

// Output is the output of a program. Follow passes each chunk on, from the one that holds byte number from on, and
// returns when the output is complete, ctx has ended, or each has returned an error. A chunk is valid until each
// returns.
type Output interface {
	Follow(ctx context.Context, from int64, each func(journal.Chunk) error) error
}

// Config is what Export needs.
type Config struct {
	Meter      *Meter            // required
	Output     Output            // whose lines become log records; nil means none
	Attributes map[string]string // of the sandbox
	Every      time.Duration     // from one measurement to the next; 0 means 1 min
	Logger     *slog.Logger      // required

	// Send sends the body of one request, which is JSON. Required.
	Send func(ctx context.Context, signal Signal, body []byte) error
}

// Export sends measurements at intervals, and output as it comes, until ctx ends.
func Export(ctx context.Context, cfg Config) {
	if cfg.Every == 0 {
		cfg.Every = time.Minute
	}
	var logs sync.WaitGroup
	defer logs.Wait()
	if cfg.Output != nil {
		logs.Go(func() {
			if err := exportOutput(ctx, &exporter{cfg: cfg, signal: Logs}); err != nil {
				cfg.Logger.Error("the entrypoint's output is sent to no collector any more", logkey.Err, err)
			}
		})
	}
	metrics := &exporter{cfg: cfg, signal: Metrics}
	tick := time.NewTicker(cfg.Every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		metrics.send(ctx, func() any { return otlpMetrics(cfg.Meter.Gauges(), cfg.Attributes, time.Now()) })
	}
}

// exporter sends one signal. It belongs to one goroutine.
type exporter struct {
	cfg     Config
	signal  Signal
	failing bool // the last request failed, and that was logged
}

// send sends what data returns. The first failure of a row is logged.
func (e *exporter) send(ctx context.Context, data func() any) {
	err := e.trySend(ctx, data)
	if err != nil && !e.failing && ctx.Err() == nil {
		e.cfg.Logger.Warn(string(e.signal)+" are not taken by the collector", logkey.Err, err)
	}
	e.failing = err != nil
}

func (e *exporter) trySend(ctx context.Context, data func() any) (err error) {
	defer fault.Recovered(&err)
	body, err := json.Marshal(data())
	if err != nil {
		return err
	}
	return e.cfg.Send(ctx, e.signal, body)
}

// exportOutput sends the output, a record per line, until it is complete or ctx ends. While the collector is slow,
// the output stays in its journal.
func exportOutput(ctx context.Context, e *exporter) (err error) {
	defer fault.Recovered(&err)
	ctx, stop := context.WithCancel(ctx)
	chunks := make(chan journal.Chunk)
	var reader sync.WaitGroup
	reader.Go(func() {
		defer close(chunks)
		_ = copyChunks(ctx, e.cfg.Output, chunks) // the error is the end of ctx or of the output
	})
	defer reader.Wait()
	defer stop()
	lines := lineSplitter{send: func(batch []outputLine) {
		e.send(ctx, func() any { return otlpLogs(batch, e.cfg.Attributes) })
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

func copyChunks(ctx context.Context, from Output, to chan<- journal.Chunk) (err error) {
	defer fault.Recovered(&err)
	return from.Follow(ctx, 0, func(c journal.Chunk) error {
		c.Data = bytes.Clone(c.Data)
		select {
		case to <- c:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
}
