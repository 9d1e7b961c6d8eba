package toolbox

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/sandlot-dev/sandlot/api"
	"github.com/sandlot-dev/sandlot/interpreter"
)

// A run has as many charts at most, and a chart as many values, and as deep ones. What our own program finds in figures
// is below that.
const (
	maxCharts      = 200
	maxChartValues = 1 << 20
	maxChartDepth  = 16
)

// artifacts is api.Artifacts of what a program attached. Anybody in the sandbox can write there, so what published
// clients would refuse is left out.
func artifacts(attached []byte) map[string][]json.RawMessage {
	var charts []json.RawMessage
	for _, chart := range interpreter.Charts(attached) {
		if chart, ok := cleanChart(chart); ok && len(charts) < maxCharts {
			charts = append(charts, chart)
		}
	}
	if len(charts) == 0 {
		return nil
	}
	return map[string][]json.RawMessage{"charts": charts}
}

// cleanChart returns a chart as all clients can read it; ok is false for what they cannot. chart is valid JSON.
func cleanChart(chart json.RawMessage) (clean json.RawMessage, ok bool) {
	in := json.NewDecoder(bytes.NewReader(chart))
	in.UseNumber()
	var inside []json.Delim // of which objects and arrays
	broken := false         // text that is no text
	for n := 0; n == 0 || len(inside) > 0; n++ {
		token, err := in.Token()
		if err != nil || n > maxChartValues || n == 0 && token != json.Delim('{') {
			return nil, false
		}
		switch token := token.(type) {
		case json.Delim:
			if token == '}' || token == ']' {
				inside = inside[:len(inside)-1]
			} else if inside = append(inside, token); len(inside) > maxChartDepth {
				return nil, false
			}
		case json.Number: // some clients cannot read what is beyond 64 bits
			if _, err := strconv.ParseFloat(token.String(), 64); err != nil {
				return nil, false
			}
		case string:
			broken = broken || strings.ContainsRune(token, utf8.RuneError)
		case nil: // where a list of numbers or texts is expected
			if inside[len(inside)-1] == '[' {
				return nil, false
			}
		}
	}
	var shape api.Chart
	if json.Unmarshal(chart, &shape) != nil {
		return nil, false
	}
	if !broken {
		return chart, true
	}
	var mended map[string]any
	in = json.NewDecoder(bytes.NewReader(chart))
	in.UseNumber()
	if in.Decode(&mended) != nil {
		return nil, false
	}
	clean, err := json.Marshal(mended)
	return clean, err == nil
}
