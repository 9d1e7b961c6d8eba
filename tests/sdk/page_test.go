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
	partly := table("partial")
	partly.Methods["A.b"] = sdk.Outcome{Status: "partial", Detail: "without charts"}
	page := sdk.Page(table("works"), table("501"), partly)
	for _, want := range []string{
		"| `A.b` | works | not built yet (501) |", "| `A.b` | works, without charts |",
		"| 1.2.3 | 1 | 0 | 0 | 0 | 1 | 0 |", "| 1.2.3 | 1 | 0 | 1 | 0 | 0 | 0 |",
		"**0.21.8**, 0.27.1",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page has no %q:\n%s", want, page)
		}
	}
	if strings.Contains(page, "not shown") {
		t.Error("the page tells details, which change from run to run")
	}
	if fails := sdk.Page(table("fails"), table("works"), table("works")); !strings.Contains(fails,
		"| `A.b` | **fails** | works |") {
		t.Errorf("the page does not tell a failure:\n%s", fails)
	}
}
