package toolbox_test

import (
	"regexp"
	"testing"
)

func TestEveryAnswerHasAnIDOfItsOwn(t *testing.T) {
	base, _ := filesServer(t)
	uuid := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	seen := map[string]bool{}
	for _, path := range []string{"/version", "/version", "/none", "/files/download?path=none", "/proxy/x/"} {
		res, _ := call(t, "GET", base+path, nil)
		id := res.Header.Get("X-Request-Id")
		if !uuid.MatchString(id) || seen[id] {
			t.Errorf("%s: id %q, want a new UUID", path, id)
		}
		seen[id] = true
	}
}
