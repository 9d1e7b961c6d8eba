package fault_test

import (
	"strings"
	"testing"

	"github.com/sandlot-dev/sandlot/internal/fault"
)

func TestAPanicBecomesAnErrorOfNoKind(t *testing.T) {
	run := func(list []int) (err error) {
		defer fault.Recovered(&err)
		return fault.Newf(fault.NotFound, "list holds %d", list[3])
	}
	err := run(nil)
	if err == nil || fault.KindOf(err) != fault.Unknown || !strings.Contains(err.Error(), "index out of range") ||
		!strings.Contains(err.Error(), "recovered_test.go") {
		t.Errorf("a panic became %v, want an error of no kind with panic and stack", err)
	}
	if err := run([]int{0, 1, 2, 3}); fault.KindOf(err) != fault.NotFound {
		t.Errorf("without a panic the error became %v", err)
	}
}
