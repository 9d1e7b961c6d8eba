package serve_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/internal/serve"
)

type body struct {
	Name  string   `json:"name" binding:"required"`
	Kind  string   `json:"kind" binding:"oneof=a b"`
	Count int      `json:"count" binding:"min=2,max=9"`
	Paths []string `json:"paths" binding:"required,min=1"`
	Maybe *int     `json:"maybe" binding:"max=3"`
}

func TestDecodeNamesWhatIsWrong(t *testing.T) {
	for _, tc := range []struct{ name, in, want string }{
		{"good", `{"name":"x","paths":["p"],"extra":1,"kind":"b","count":9,"maybe":3}`, ""},
		{"good with what may be missing", `{"name":"x","paths":["p"],"kind":null}`, ""},
		{"empty", ``, "the body is empty; send a JSON object"},
		{"no object", `[1]`, "the body is a JSON array; send an object"},
		{"no JSON", `{"name":`, "the body is not JSON: unexpected end of JSON input at byte 8"},
		{"wrong type", `{"name":5}`, "name must be a string, not a JSON number"},
		{"fraction", `{"name":"x","paths":["p"],"count":2.5}`, "count must be a whole number, not a JSON number 2.5"},
		{"missing", `{}`, "name is required, paths is required"},
		{"too short a list", `{"name":"x","paths":[]}`, "paths must be at least 1"},
		{
			"too small and not one of", `{"name":"x","paths":["p"],"count":1,"kind":"c"}`,
			"kind must be one of a, b, count must be at least 2",
		},
		{"too large behind a pointer", `{"name":"x","paths":["p"],"maybe":4}`, "maybe must be at most 3"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, _ := gin.CreateTestContext(httptest.NewRecorder())
			c.Request = httptest.NewRequest(http.MethodPost, "/", strings.NewReader(tc.in))
			var b body
			err := serve.Decode(c, &b)
			got := ""
			if err != nil {
				got = err.Error()
			}
			if got != tc.want || err != nil && (fault.KindOf(err) != fault.Invalid ||
				fault.CodeOf(err) != "INVALID_REQUEST_BODY") {
				t.Errorf("Decode = %q (%v, %s), want %q", got, fault.KindOf(err), fault.CodeOf(err), tc.want)
			}
		})
	}
}

func TestDecodeBoundsTheBody(t *testing.T) {
	c, _ := gin.CreateTestContext(httptest.NewRecorder())
	c.Request = httptest.NewRequest(http.MethodPost, "/", strings.NewReader(`{"name":"`+strings.Repeat("x", 1<<20)+`"}`))
	if err := serve.Decode(c, &body{}); fault.KindOf(err) != fault.TooLarge {
		t.Errorf("Decode = %v, want too large", err)
	}
}
