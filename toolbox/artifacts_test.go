package toolbox_test

import (
	"encoding/json"
	"fmt"
	osexec "os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/sandlot-dev/sandlot/api"
)

// TestForgedCharts has programs write to the descriptor that charts come by: what a published client would refuse does
// not reach it, and what is sound does.
func TestForgedCharts(t *testing.T) {
	if _, err := osexec.LookPath("python3"); err != nil {
		t.Skip(err)
	}
	base, _ := filesServer(t)
	for _, tc := range []struct {
		name, writes string // a Python expression of bytes
		want         []string
	}{
		{
			"a sound one", `b'{"type":"bar","title":null,"elements":[{"label":"a","value":"1.5"}],"orientation":"vertical"}'`,
			[]string{`{"type":"bar","title":null,"elements":[{"label":"a","value":"1.5"}],"orientation":"vertical"}`},
		},
		{"without a newline, behind junk", `b'junk\n\n{"type":"line"}\n{"type":'`, []string{`{"type":"line"}`}},
		{
			"with a child in the background", `b'{"type":"line"}'); os.system('sleep 60 &'); (b''`,
			[]string{`{"type":"line"}`},
		},
		{"too long a line", `b'{"title":"' + b'x' * (17 << 20) + b'"}\n{"type":"line"}'`, []string{`{"type":"line"}`}},
		{"other values", `b'null\n[]\n1\n"x"\ntrue\n'`, nil},
		{"a number as value", `b'{"type":"bar","elements":[{"value":1}]}'`, nil},
		{"text as tick", `b'{"type":"line","x_ticks":["1"]}'`, nil},
		{"null as tick", `b'{"type":"line","x_ticks":[null]}'`, nil},
		{"null as point", `b'{"type":"line","elements":[{"points":[null,[1,null]]}]}'`, nil},
		{"null as element", `b'{"type":"pie","elements":[null]}'`, nil},
		{"a list of another type", `b'{"type":"pie","elements":{}}'`, nil},
		{"too deep", `b'{"x":' + b'[' * 9000 + b']' * 9000 + b'}'`, nil},
		{"elements too deep", `b'{"elements":[' * 2000 + b'{}' + b']}' * 2000`, nil},
		{"too large a number", `b'{"type":"line","x":1e999}'`, nil},
		{"an endless number", `b'{"type":"line","x_ticks":[' + b'1' * 5000 + b']}'`, nil},
		{"not a number", `b'{"type":"line","x_ticks":[NaN]}'`, nil},
		{"half a character", `b'{"title":"\\ud800"}'`, []string{"{\"title\":\"\ufffd\"}"}},
		{"bytes that are no text", `b'{"title":"\xff"}'`, []string{"{\"title\":\"\ufffd\"}"}},
		{"too many", `b'{"type":"line"}\n' * 100000`, slices.Repeat([]string{`{"type":"line"}`}, 200)},
		{"too many values", `b'{"x_ticks":[' + b'1,' * 2000000 + b'1]}'`, nil},
		{"a hole of 1 GiB", `b'{}'); os.ftruncate(3, 1 << 30); (b''`, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var got struct {
				ExitCode  int
				Result    string
				Artifacts *struct{ Charts []json.RawMessage }
			}
			post(t, base+"/process/code-run", api.CodeRunRequest{
				Language: "python", Code: fmt.Sprintf("import os\nos.write(3, %s)\nprint('end')", tc.writes),
			}, &got)
			charts := []string{}
			if got.Artifacts != nil {
				for _, chart := range got.Artifacts.Charts {
					charts = append(charts, string(chart))
				}
			}
			if got.ExitCode != 0 || got.Result != "end\n" || strings.Join(charts, "\n") != strings.Join(tc.want, "\n") {
				t.Errorf("%d %q: %d charts: %.300s", got.ExitCode, got.Result, len(charts), charts)
			}
		})
	}
}
