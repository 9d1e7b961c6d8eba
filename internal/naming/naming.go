package naming

import (
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/sandlot-dev/sandlot/internal/fault"
)

// Max bounds a name, in bytes.
const Max = 255

var unsafe = regexp.MustCompile(`(?i)<[a-z!/]|[a-z][a-z0-9+.-]*://|www\.`)

// blank has the characters that Unicode counts as visible although they show nothing, and the replacement character,
// which stands for bytes that are not UTF-8 and would make different names equal.
const blank = "\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0\ufffd"

func unseen(r rune) bool {
	return !unicode.IsPrint(r) || strings.ContainsRune(blank, r) || unicode.Is(unicode.Variation_Selector, r)
}

// Check refuses a name that a dashboard or an e-mail could take for markup or a link, that cannot be seen or told from
// another, or that is one of the reserved words of a route. Error: fault.Invalid.
func Check(name string, reserved ...string) error {
	switch {
	case len(name) > Max:
		return fault.Newf(fault.Invalid, "name must be at most %d bytes, not %d", Max, len(name))
	case strings.TrimSpace(name) == "":
		return fault.New(fault.Invalid, "name must not be blank")
	case !utf8.ValidString(name):
		return fault.New(fault.Invalid, "name must be UTF-8")
	case strings.ContainsFunc(name, unicode.IsControl):
		return fault.New(fault.Invalid, "name must not contain control characters")
	case strings.ContainsFunc(name, unseen):
		return fault.New(fault.Invalid,
			"name must not contain characters that cannot be seen, nor spaces of another kind than the usual one")
	case name == "." || name == "..":
		return fault.Newf(fault.Invalid, "name must not be %q, which clients take out of addresses", name)
	case unsafe.MatchString(name):
		return fault.New(fault.Invalid, "name must not contain HTML tags or web addresses")
	case slices.Contains(reserved, name):
		return fault.Newf(fault.Invalid, "name must not be %q, which is a word of the API's own", name)
	}
	return nil
}

var id = regexp.MustCompile(`(?i)^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

// IsID reports whether text has the form of an id, a UUID with its hyphens. A sandbox's name must not have it: a
// look-up by id must not find a sandbox by its name.
func IsID(text string) bool { return id.MatchString(text) }
