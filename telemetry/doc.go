// Package telemetry measures a sandbox and its daemon, and writes measurements and program output in the forms that
// collectors read.
//
//	meter := &telemetry.Meter{}
//	text := telemetry.Prometheus(meter.Gauges())
//	telemetry.Export(ctx, telemetry.Config{Meter: meter, Output: command, Send: post, Logger: logger})
//
// The room makes the bytes of a request and hands them to Config.Send; the caller knows the connection.
//
// # Lifetime
//
// A Meter holds no descriptor and runs nothing between calls. Export blocks until its context ends; all its
// goroutines have ended when it returns.
//
// # Limits
//
//   - A batch of log records holds about 256 KiB of text.
//   - A record holds one line; a line over 16 KiB becomes several records.
//   - A line waits for others at most 1 s.
//   - What Send refuses is dropped. The log says so once, until a Send succeeds again.
//
// # Source
//
// Prometheus text format 0.0.4; OpenTelemetry protocol 1.x in its JSON encoding. The names of the metrics are those
// that published clients query (docs/wire.md, "The toolbox: commands and code").
//
// A Meter is safe for concurrent use.
package telemetry
