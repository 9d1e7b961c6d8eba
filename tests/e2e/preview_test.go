//go:build e2e

package e2e_test

import (
	"testing"
	"time"

	"github.com/sandlot-dev/sandlot/tests/harness"
)

// TestProgramsOpenPreviews opens a preview as programs do that ask the system for names: many machines do not know
// *.localhost. Java, for which this machine need have nothing, is in tests/frameworks.
func TestProgramsOpenPreviews(t *testing.T) {
	_, c := small.up(t)
	box := c.Create(nil)
	box.MustExec(`mkdir -p /tmp/www && echo "a page" >/tmp/www/index.html && (setsid httpd -f -p 3000 -h /tmp/www >/dev/null 2>&1 &)`)
	link, token := preview(c, box, 3000)
	link += "/?DAYTONA_SANDBOX_AUTH_KEY=" + token
	for _, tc := range []struct {
		name string
		args []string
	}{
		{"python3", []string{"-c", `import sys, urllib.request as u; print(u.build_opener(u.ProxyHandler({})).open(sys.argv[1]).read().decode(), end="")`, link}},
		{"node", []string{"-e", `fetch(process.argv[1]).then((r) => r.text()).then((t) => process.stdout.write(t))`, link}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var out string
			var err error
			if !harness.Wait(10*time.Second, func() bool { // the server comes to listen
				out, err = harness.Run(nil, nil, tc.name, tc.args...)
				return err == nil && out == "a page\n"
			}) {
				t.Errorf("%s printed %q of %s: %v", tc.name, out, link, err)
			}
		})
	}
}
