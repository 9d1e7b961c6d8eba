package toolbox

import (
	"slices"
	"testing"

	"github.com/gin-gonic/gin"
)

// TestEveryDescribedRouteIsServed compares the two lists of routes.go.
func TestEveryDescribedRouteIsServed(t *testing.T) {
	e := gin.New()
	new(Server).mount(e)
	var served, described []string
	for _, r := range e.Routes() {
		served = append(served, r.Method+" "+r.Path)
	}
	for _, o := range Operations() {
		described = append(described, o.Method+" "+o.Path)
	}
	slices.Sort(served)
	slices.Sort(described)
	if !slices.Equal(served, described) || len(served) < 100 {
		t.Errorf("served:    %q\ndescribed: %q", served, described)
	}
}
