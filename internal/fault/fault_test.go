package fault_test

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/sandlot-dev/sandlot/internal/fault"
)

func TestKindAndCodeSurviveWrapping(t *testing.T) {
	sentinel := fault.New(fault.NotFound, "session not found")
	for _, tc := range []struct {
		name string
		err  error
		kind fault.Kind
		code string
		text string
	}{
		{"plain error has no kind", io.EOF, fault.Unknown, "", "EOF"},
		{"sentinel", sentinel, fault.NotFound, "", "session not found"},
		{
			"wrapped sentinel", fmt.Errorf("session %q: %w", "a1", sentinel), fault.NotFound, "",
			`session "a1": session not found`,
		},
		{
			"outer kind wins", fault.Newf(fault.Unavailable, "runner: %w", sentinel), fault.Unavailable, "",
			"runner: session not found",
		},
		{
			"code is found below", fault.Newf(fault.Invalid, "list: %w",
				fault.Codef(fault.NotFound, "FILE_NOT_FOUND", "no %s", "a")),
			fault.Invalid, "FILE_NOT_FOUND", "list: no a",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := fault.KindOf(tc.err); got != tc.kind {
				t.Errorf("KindOf = %v, want %v", got, tc.kind)
			}
			if got := fault.CodeOf(tc.err); got != tc.code {
				t.Errorf("CodeOf = %q, want %q", got, tc.code)
			}
			if got := tc.err.Error(); got != tc.text {
				t.Errorf("Error() = %q, want %q", got, tc.text)
			}
		})
	}
	if !errors.Is(fault.Newf(fault.Unavailable, "x: %w", sentinel), sentinel) {
		t.Error("the cause of a Newf error is not reached by errors.Is")
	}
}
