package toolbox

import (
	"bufio"
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/sandlot-dev/sandlot/api"
	"github.com/sandlot-dev/sandlot/process/journal"
)

// A run has as many charts at most, and a chart as many values, and as deep ones. What our own program finds in figures
// is below that.
const (
	maxCharts      = 200
	maxChart       = 16 << 20 // bytes
	maxChartValues = 1 << 20
	maxChartDepth  = 16
)

// writeArtifacts writes api.Artifacts of a run as a member of a JSON object and a comma, if it has any. Anybody in the
// sandbox can write there, so what published clients would refuse is left out. One chart is in memory at a time.
func writeArtifacts(w *bufio.Writer, r *journal.Reader) error {
	charts := 0
	lines := lineCutter{most: maxChart, each: func(line []byte) {
		if charts == maxCharts || !json.Valid(line) {
			return
		}
		chart, ok := cleanChart(line)
		if !ok {
			return
		}
		if charts++; charts == 1 {
			_, _ = w.WriteString(`"artifacts":{"charts":[`) // errors stay in w
		} else {
			_ = w.WriteByte(',')
		}
		_, _ = w.Write(chart)
	}}
	err := eachChunk(r, func(c journal.Chunk) error {
		if c.Stream == journal.Events {
			lines.write(c.Data)
		}
		return nil
	})
	lines.write([]byte("\n"))
	if charts > 0 {
		_, _ = w.WriteString("]},")
	}
	return err
}

// lineCutter passes on each line that is not blank and has at most most bytes.
type lineCutter struct {
	most int
	each func([]byte)
	line []byte
	long bool // this line is
}

func (l *lineCutter) write(data []byte) {
	for len(data) > 0 {
		part, rest, whole := bytes.Cut(data, []byte("\n"))
		data = rest
		if l.long = l.long || len(l.line)+len(part) > l.most; !l.long {
			l.line = append(l.line, part...)
		}
		if !whole {
			return
		}
		if line := bytes.TrimSpace(l.line); len(line) > 0 && !l.long {
			l.each(line)
		}
		l.line, l.long = l.line[:0], false
	}
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
