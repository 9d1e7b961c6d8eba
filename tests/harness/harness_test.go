package harness_test

import (
	"testing"

	"github.com/sandlot-dev/sandlot/tests/harness"
)

func TestSmallImagesRun(t *testing.T) {
	if _, err := harness.Docker("", nil, "version"); err != nil {
		t.Skipf("no engine: %v", err)
	}
	for _, image := range []string{harness.Busybox, harness.OnlyCMD} {
		harness.Image(t, "", image)
		out, err := harness.Docker("", nil, "run", "--rm", "--network", "none", image, "sh", "-c", "echo hi; id -u")
		if err != nil || out != "hi\n0\n" {
			t.Errorf("%s: %q, %v; want hi and 0", image, out, err)
		}
	}
	harness.Image(t, "", harness.Scratch)
}
