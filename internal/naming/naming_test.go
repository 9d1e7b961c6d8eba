package naming_test

import (
	"strings"
	"testing"

	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/internal/naming"
)

func TestNames(t *testing.T) {
	for name, ok := range map[string]bool{
		"plain": true, "with space": true, "日本語 ünï": true, "a'b\"c": true, "🙂": true, "../x": true, "a/b": true,
		strings.Repeat("x", 255): true, strings.Repeat("x", 256): false,
		"": false, " ": false, "\xff": false, "a\x00": false, "a\nb": false, "a\u0085": false,
		"zero\u200bwidth": false, "bidi\u202e": false, "bom\ufeff": false, "no\u00a0break": false, "line\u2028": false,
		"\u3164": false, "a\u2800": false,
		"private\ue000": false, "soft\u00adhyphen": false, "tag\U000e0041": false, "variant\ufe0f": false,
		"variant\U000e0100": false, "\ufffd": false, ".": false, "..": false, "...": true, "<b>": false,
		"http://x": false, "www.x": false, "paginated": false,
	} {
		if err := naming.Check(name, "paginated"); (err == nil) != ok || err != nil && fault.KindOf(err) != fault.Invalid {
			t.Errorf("Check(%q) = %v, want it allowed: %v", name, err, ok)
		}
	}
}

func TestForm(t *testing.T) {
	for text, is := range map[string]bool{
		"00000000-0000-4000-8000-000000000000": true, "0A8B6E3C-1D2E-7F00-9ABC-DEF012345678": true,
		"00000000000040008000000000000000": false, "{00000000-0000-4000-8000-000000000000}": false,
		"": false, "abc": false, "00000000-0000-4000-8000-00000000000": false,
	} {
		if naming.IsID(text) != is {
			t.Errorf("IsID(%q) = %v", text, !is)
		}
	}
}
