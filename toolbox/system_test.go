package toolbox_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/sandlot-dev/sandlot/api"
)

func TestEnvReachesLaterProcesses(t *testing.T) {
	base, _ := filesServer(t)
	for _, tc := range []struct {
		body   string
		status int
		want   string
	}{
		{`{"set":{"A":"1","B":"secret-x"}}`, 200, "1 secret-x"},
		{`{"set":{"C":"secret-y"},"unsetValuePrefix":"secret-","unset":["A"]}`, 200, " "},
		{`{"set":{"A":"2","9=":"x"}}`, 400, " "},
		{`{"set":{"A":"2","":"x"}}`, 400, " "},
		{`{}`, 200, " "},
	} {
		res, body := call(t, "POST", base+"/env", strings.NewReader(tc.body))
		if res.StatusCode != tc.status {
			t.Errorf("%s: %d %s", tc.body, res.StatusCode, body)
		}
		_, body = call(t, "POST", base+"/process/execute", strings.NewReader(`{"command":"echo \"$A $B\""}`))
		var r api.ExecuteResponse
		if err := json.Unmarshal([]byte(body), &r); err != nil || strings.TrimRight(r.Result, "\n") != tc.want {
			t.Errorf("after %s: %s, want %q", tc.body, body, tc.want)
		}
	}
}
