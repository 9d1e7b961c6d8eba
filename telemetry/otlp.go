package telemetry

import (
	"strconv"
	"time"

	"github.com/sandlot-dev/sandlot/process/journal"
)

type otlpObject = map[string]any

func otlpAttributes(attributes map[string]string) (list []otlpObject) {
	for key, value := range attributes {
		list = append(list, otlpObject{"key": key, "value": otlpObject{"stringValue": value}})
	}
	return list
}

func otlpTime(t time.Time) string { return strconv.FormatInt(t.UnixNano(), 10) }

// otlpMetrics returns an ExportMetricsServiceRequest, to be encoded as JSON.
func otlpMetrics(gauges []Gauge, attributes map[string]string, at time.Time) any {
	var metrics []otlpObject
	for _, g := range gauges {
		metrics = append(metrics, otlpObject{"name": g.OTel, "description": g.Help, "unit": g.Unit, "gauge": otlpObject{
			"dataPoints": []otlpObject{{"timeUnixNano": otlpTime(at), "asDouble": g.Value}},
		}})
	}
	return otlpObject{"resourceMetrics": []otlpObject{{
		"resource":     otlpObject{"attributes": otlpAttributes(attributes)},
		"scopeMetrics": []otlpObject{{"scope": otlpObject{"name": "toolboxd"}, "metrics": metrics}},
	}}}
}

// otlpLogs returns an ExportLogsServiceRequest, to be encoded as JSON. Records have no severity: output on stderr is
// not always an error.
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
