package telemetry

import (
	"bytes"
	"fmt"
	"strconv"
)

// PrometheusType is the content type of what Prometheus returns.
const PrometheusType = "text/plain; version=0.0.4; charset=utf-8"

// Prometheus writes gauges in the text format of Prometheus.
func Prometheus(gauges []Gauge) []byte {
	var b bytes.Buffer
	for _, g := range gauges {
		fmt.Fprintf(&b, "# HELP %s %s\n# TYPE %s gauge\n", g.Name, g.Help, g.Name)
		fmt.Fprintf(&b, "%s %s\n", g.Name, strconv.FormatFloat(g.Value, 'g', -1, 64))
	}
	return b.Bytes()
}
