package sdk_test

import (
	"strings"
	"testing"

	"github.com/sandlot-dev/sandlot/tests/sdk"
)

func TestPageTellsEachOutcome(t *testing.T) {
	table := func(status string) sdk.Table {
		return sdk.Table{Version: "1.2.3", Methods: map[string]sdk.Outcome{"A.b": {Status: status, Detail: "not shown"}}}
	}
	page := sdk.Page(table("works"), table("501"), table("fails"), []string{"1.2.3"})
	for _, want := range []string{"| `A.b` | works | not built yet (501) |", "| `A.b` | **fails** |", "| 1.2.3 | 1 | 0 | 0 | 1 | 0 |"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page has no %q:\n%s", want, page)
		}
	}
	if strings.Contains(page, "not shown") {
		t.Error("the page tells details, which change from run to run")
	}
}
